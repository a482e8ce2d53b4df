//! Tells programs on libtorch where it is, so that they run without `LD_LIBRARY_PATH`.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // From torch-sys, which has found and checked it.
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let (Ok(folder), Ok(os)) = (
        env::var("DEP_TCH_LIBTORCH_LIB"),
        env::var("CARGO_CFG_TARGET_OS"),
    ) else {
        return;
    };
    if os == "windows" {
        return;
    }
    let mut arguments = vec![format!("-Wl,-rpath,{folder}")];
    // No symbol of this one is named, so a linker would leave it out, and CUDA with it.
    if Path::new(&folder).join("libtorch_cuda.so").exists() {
        arguments
            .extend(["-Wl,--no-as-needed", "-ltorch_cuda", "-Wl,--as-needed"].map(String::from));
    }
    for argument in &arguments {
        println!("cargo:rustc-link-arg={argument}");
    }
    // For the build scripts of what depends on this crate.
    println!("cargo:link_arguments={}", arguments.join(";"));
}
