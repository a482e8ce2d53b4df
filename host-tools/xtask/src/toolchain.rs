//! The compiler for bare-metal targets: rustup's where it has the targets, else Debian's with the library's source.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::shell::{self, Result};

/// The targets whose code runs on the emulated parts.
pub const TARGETS: [&str; 5] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imc-unknown-none-elf",
];

/// Debian's packages of a recent compiler, with the source to build `core` from.
pub const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "rust-web-clippy"];

pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CLIPPY: &str = "/usr/bin/clippy-driver";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml";

/// A compiler for the bare-metal targets.
pub enum Toolchain {
    /// The compiler that cargo runs anyway, with rustup's prebuilt `core`.
    Rustup,
    /// Debian's, which builds `core` from source.
    Debian,
}

/// Whether the person asked for Debian's compiler.
pub fn wants_debian() -> bool {
    env::var_os("FLASHVEC_TOOLCHAIN").is_some_and(|name| name == "debian")
}

impl Toolchain {
    /// The compiler that is ready for every target.
    pub fn find() -> Result<Option<Self>> {
        if !wants_debian() && rustup_targets_missing()?.is_empty() {
            return Ok(Some(Self::Rustup));
        }
        let debian = [DEBIAN_RUSTC, DEBIAN_CLIPPY, DEBIAN_SOURCE];
        Ok(debian
            .iter()
            .all(|path| Path::new(path).exists())
            .then_some(Self::Debian))
    }

    /// The compiler's version, for instance `1.95.0`.
    pub fn version(&self) -> Result<String> {
        let rustc = match self {
            Self::Rustup => rustc(),
            Self::Debian => DEBIAN_RUSTC.into(),
        };
        let printed = shell::capture(
            Command::new(rustc).arg("--version"),
            Duration::from_secs(60),
        )?;
        Ok(printed.split(' ').nth(1).unwrap_or("unknown").to_owned())
    }

    /// `cargo SUBCOMMAND` in a firmware crate's folder, for a target.
    pub fn cargo(&self, subcommand: &str, folder: &str, target: &str) -> Result<Command> {
        let mut command = shell::cargo();
        command.current_dir(shell::root().join(folder));
        command.env("CARGO_TARGET_DIR", shell::target_dir().join("firmware"));
        command.args([subcommand, "--quiet", "--release", "--target", target]);
        if matches!(self, Self::Debian) {
            command.env("RUSTC", DEBIAN_RUSTC);
            // Building `core` is an unstable feature of cargo.
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_UNSTABLE_BUILD_STD", "core,alloc");
            let path = env::var_os("PATH").unwrap_or_default();
            let path = env::split_paths(&path)
                .chain([host_tools()?])
                .collect::<Vec<_>>();
            let path = env::join_paths(path).expect("these came from PATH");
            command.env("PATH", path);
        }
        Ok(command)
    }

    /// Clippy with warnings denied, in a firmware crate's folder.
    pub fn clippy(&self, folder: &str, target: &str, features: &[&str]) -> Result<Command> {
        match self {
            Self::Rustup => {
                let mut command = self.cargo("clippy", folder, target)?;
                command.args(features).args(["--", "-D", "warnings"]);
                Ok(command)
            }
            Self::Debian => {
                // What `cargo clippy` does, with the driver that belongs to this compiler.
                let mut command = self.cargo("check", folder, target)?;
                command.args(features);
                command.env("RUSTC_WORKSPACE_WRAPPER", DEBIAN_CLIPPY);
                command.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings");
                Ok(command)
            }
        }
    }
}

fn rustc() -> PathBuf {
    env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from)
}

fn sysroot() -> Result<PathBuf> {
    let mut command = Command::new(rustc());
    command
        .args(["--print", "sysroot"])
        .current_dir(shell::root());
    let printed = shell::capture(&mut command, Duration::from_secs(60))?;
    Ok(PathBuf::from(printed.trim_end()))
}

/// Whether the compiler has the library for a target.
pub fn has_target(target: &str) -> Result<bool> {
    Ok(sysroot()?
        .join("lib/rustlib")
        .join(target)
        .join("lib")
        .is_dir())
}

/// Bare-metal targets that the compiler lacks.
pub fn rustup_targets_missing() -> Result<Vec<&'static str>> {
    let libraries = sysroot()?.join("lib/rustlib");
    Ok(TARGETS
        .into_iter()
        .filter(|target| !libraries.join(target).join("lib").is_dir())
        .collect())
}

/// Where `rust-lld` is, the linker of bare-metal targets: beside the cargo that runs this program.
fn host_tools() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").map(PathBuf::from).unwrap_or_default();
    let sysroot = cargo.ancestors().nth(2).unwrap_or(Path::new(""));
    let tools = sysroot.join("lib/rustlib").join(host_triple()?).join("bin");
    if tools.join("rust-lld").is_file() {
        Ok(tools)
    } else {
        shell::fail(format!(
            "{} has no rust-lld: install cargo with rustup",
            tools.display()
        ))
    }
}

/// The triple of this machine.
pub fn host_triple() -> Result<String> {
    let mut command = Command::new(rustc());
    command.arg("-vV").current_dir(shell::root());
    let printed = shell::capture(&mut command, Duration::from_secs(60))?;
    let host = printed.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| shell::Failure::new("`rustc -vV` names no host"))
}
