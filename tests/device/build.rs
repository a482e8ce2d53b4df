//! Picks the memory layout of the emulated machine that the target's code runs on.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo:rustc-check-cfg=cfg(armv8m)");
    if target.starts_with("thumbv8m") {
        println!("cargo:rustc-cfg=armv8m");
    }
    let layout = match target.as_str() {
        t if t.starts_with("riscv32") => "virt.x",
        t if t.starts_with("thumbv8m") => "mps2-an505.x",
        _ => "mps2.x",
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy(format!("memory/{layout}"), out.join("memory.x")).expect("copying the memory layout");
    println!("cargo:rustc-link-search={}", out.display());
    if target.starts_with("riscv32") {
        println!("cargo:rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rerun-if-changed=memory");
}
