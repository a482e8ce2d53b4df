//! Links libtorch as the distiller's build script says, if it was asked for.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_FLASHVEC_DISTILLER_LINK_ARGUMENTS");
    let arguments = std::env::var("DEP_FLASHVEC_DISTILLER_LINK_ARGUMENTS").unwrap_or_default();
    for argument in arguments.split(';').filter(|argument| !argument.is_empty()) {
        println!("cargo:rustc-link-arg={argument}");
    }
}
