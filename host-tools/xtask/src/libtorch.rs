//! What runs on libtorch: its set-up, its part of the tests, and the comparison of the two backends.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::inputs::TEACHER;
use crate::shell::{self, Failure, Result, fail, say};

/// The version that the crate tch is made for.
const VERSION: &str = "2.11.0";

/// PyPI's wheels for Linux are for CUDA. On the CPU they need of CUDA only these two libraries, not the gigabytes
/// that the wheel's own dependencies are.
const PACKAGES: [&str; 3] = [
    "torch==2.11.0",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cupti==13.0.85",
];

/// What is kept of them. `libtorch.so` holds nothing and wants CUDA: linkers look for it and leave it out.
const LIBRARIES: [&str; 4] = [
    "libtorch.so",
    "libtorch_cpu.so",
    "libc10.so",
    "libgomp.so.1",
];
const CUDA_LIBRARIES: [&str; 2] = ["libcudart.so.13", "libcupti.so.13"];

/// Command-line arguments that turn libtorch on.
const FEATURES: [&str; 6] = [
    "--package",
    "flashvec-distiller",
    "--package",
    "flashvec-cli",
    "--features",
    "flashvec-distiller/libtorch,flashvec-cli/libtorch",
];

/// The libtorch to build against: the one that LIBTORCH or LIBTORCH_USE_PYTORCH names, or one for the CPU alone in
/// the target folder, installed if need be. Returns `cargo` for it.
fn cargo() -> Result<Command> {
    let mut command = shell::cargo();
    if env::var_os("LIBTORCH").is_none() && env::var_os("LIBTORCH_USE_PYTORCH").is_none() {
        command.env("LIBTORCH", install()?);
    }
    Ok(command)
}

/// The folder of libtorch for the CPU in the target folder.
fn install() -> Result<PathBuf> {
    let home = shell::target_dir().join("libtorch");
    let libtorch = home.join("torch");
    // torch-sys reads it to see whether the version is right; written last.
    let version = libtorch.join("build-version");
    if fs::read_to_string(&version).is_ok_and(|found| found.trim() == VERSION) {
        return Ok(libtorch);
    }
    say(
        &format!("pip install {}", PACKAGES.join(" ")),
        "libtorch for the CPU, into the target folder; a download of 540 MB, once",
    );
    let made = shell::target_dir().join("libtorch.partial");
    remove(&made)?;
    remove(&home)?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    // The libraries are the same for every Python.
    pip.args([
        "--no-deps",
        "--only-binary=:all:",
        "--python-version",
        "3.11",
    ]);
    pip.arg("--target").arg(&made).args(PACKAGES);
    shell::capture(&mut pip, Duration::from_secs(1200))?;
    keep(&made.join("torch/lib"), &LIBRARIES)?;
    keep(&made.join("nvidia/cu13/lib"), &CUDA_LIBRARIES)?;
    rename(&made, &home)?;
    shell::write(&version, VERSION)?;
    Ok(libtorch)
}

/// Removes what a folder holds besides these files.
fn keep(folder: &Path, names: &[&str]) -> Result<()> {
    for name in names {
        if !folder.join(name).is_file() {
            return fail(format!("{} has no {name}", folder.display()));
        }
    }
    let entries = fs::read_dir(folder)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", folder.display())))?;
    for entry in entries.flatten() {
        if names.iter().all(|name| entry.file_name() != *name) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else if path.exists() {
        fs::remove_file(path)
    } else {
        return Ok(());
    };
    removed.map_err(|error| shell::unwritable(path, &error))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| shell::unwritable(to, &error))
}

/// `cargo clippy` and the tests of teachers, distillations on the command line among them, with libtorch.
pub fn test() -> Result<()> {
    say(
        "cargo clippy and cargo test with libtorch",
        "the first time, its bindings are compiled, which takes minutes",
    );
    let mut clippy = cargo()?;
    clippy.args(["clippy", "--quiet", "--all-targets"]);
    shell::run(clippy.args(FEATURES).args(["--", "-D", "warnings"]))?;
    let mut test = cargo()?;
    test.args([
        "test",
        "--quiet",
        "--release",
        "--lib",
        "--test",
        "teachers",
    ]);
    shell::run(test.args(FEATURES))
}

/// The program `flashvec` with libtorch, built.
pub fn command_line() -> Result<PathBuf> {
    let mut build = cargo()?;
    build.args(["build", "--quiet", "--release"]);
    shell::run(build.args(FEATURES))?;
    Ok(shell::target_dir().join("release/flashvec"))
}

/// `cargo xtask check-teachers`.
pub fn check(teacher: Option<&str>, device: &str) -> Result<()> {
    let teacher = teacher.unwrap_or(TEACHER);
    say(
        &format!("{teacher} on candle and on libtorch"),
        "both must give the same hidden states and the same model, to rounding",
    );
    let mut run = cargo()?;
    run.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "flashvec-distiller",
    ]);
    run.args([
        "--features",
        "libtorch",
        "--example",
        "check_teachers",
        "--",
    ]);
    shell::run(run.args([teacher, device]))
}
