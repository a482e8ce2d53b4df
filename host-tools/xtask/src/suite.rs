//! `cargo xtask test`: every check there is, one named step after the other.

use std::time::Instant;

use crate::examples::EXAMPLES;
use crate::machine::PARTS;
use crate::shell::{self, Result, say};
use crate::toolchain::{self, Toolchain};
use crate::{boards, device, examples, inputs, libtorch, setup};

/// Crates outside the workspace, which formats and lints do not reach by themselves.
const FIRMWARE: [&str; 4] = [
    "tests/device",
    "firmware-examples/qemu-cortex-m",
    "firmware-examples/qemu-riscv32",
    "firmware-examples/voice-assistant",
];

/// Fuzz targets, and how long each runs.
const FUZZ: [(&str, u32); 3] = [("image", 20), ("head", 10), ("few_shot_state", 10)];

/// Counts the steps that passed; the first that fails ends the run.
struct Steps {
    passed: u32,
    started: Instant,
}

impl Steps {
    fn step<R>(&mut self, name: &str, run: impl FnOnce() -> Result<R>) -> Result<R> {
        match run() {
            Ok(result) => {
                self.passed += 1;
                println!("ok  {name} ({} s in all)", self.started.elapsed().as_secs());
                Ok(result)
            }
            Err(error) => {
                eprintln!("FAILED  {name}");
                println!("{} passed, 1 failed", self.passed);
                Err(error)
            }
        }
    }
}

pub fn run(accept: bool) -> Result<()> {
    let mut steps = Steps {
        passed: 0,
        started: Instant::now(),
    };
    let toolchain = steps.step("set-up", setup::run)?;
    steps.step("rustfmt", rustfmt)?;
    steps.step("clippy, workspace", clippy_workspace)?;
    steps.step("clippy, core's features", clippy_core)?;
    steps.step("clippy, firmware", || clippy_firmware(&toolchain))?;
    steps.step("rustdoc", rustdoc)?;
    steps.step("cargo test", || {
        say(
            "cargo test --release --workspace",
            "unit, integration and documentation tests; a teacher without optimisation would take minutes",
        );
        shell::run(shell::cargo().args(["test", "--quiet", "--release", "--workspace"]))
    })?;
    steps.step("libtorch", libtorch::test)?;
    steps.step("cargo test, core with assertions", || {
        say(
            "cargo test --package flashvec",
            "overflow checks and debug assertions are on",
        );
        shell::run(shell::cargo().args(["test", "--quiet", "--package", "flashvec"]))
    })?;
    steps.step("device bits and budgets", || {
        device::test_synthetic(&toolchain, accept)
    })?;
    steps.step("Linux boards and their packages", boards::test)?;
    steps.step("firmware examples", || examples::run(&toolchain, accept))?;
    steps.step("fuzz smoke", fuzz)?;
    println!("{} passed, 0 failed", steps.passed);
    Ok(())
}

fn rustfmt() -> Result<()> {
    say(
        "cargo fmt --check",
        "one style, so that diffs show what changed",
    );
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    for folder in FIRMWARE
        .into_iter()
        .chain(["tests/fuzz", "tests/peers/model2vec-rs"])
    {
        let folder = shell::root().join(folder);
        shell::run(shell::cargo().current_dir(folder).args(["fmt", "--check"]))?;
    }
    Ok(())
}

fn clippy_workspace() -> Result<()> {
    say(
        "cargo clippy --workspace",
        "warnings are errors, and core's panic lints are among them; the command line without a distiller as well",
    );
    let mut small = shell::cargo();
    small
        .args(["clippy", "--quiet", "--features", "manual"])
        .args(boards::FEATURES);
    shell::run(small.args(["--", "-D", "warnings"]))?;
    let arguments = [
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    shell::run(shell::cargo().args(arguments))
}

fn clippy_core() -> Result<()> {
    say(
        "cargo clippy in core",
        "it must build bare, for classifiers, with defmt, which nothing on the host turns on, and with std",
    );
    for features in [
        ["--no-default-features", "--quiet"],
        ["--features", "classify"],
        ["--features", "defmt,classify"],
        ["--features", "std"],
    ] {
        let mut clippy = shell::cargo();
        clippy
            .args(["clippy", "--package", "flashvec"])
            .args(features);
        shell::run(clippy.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn rustdoc() -> Result<()> {
    say(
        "cargo doc --no-deps --workspace",
        "a link in the documentation that leads nowhere is an error",
    );
    let mut doc = shell::cargo();
    doc.env("RUSTDOCFLAGS", "-D warnings");
    shell::run(doc.args(["doc", "--quiet", "--no-deps", "--workspace"]))
}

fn clippy_firmware(toolchain: &Toolchain) -> Result<()> {
    say(
        "cargo clippy on the firmware",
        "these crates are outside the workspace and built for other targets",
    );
    for part in &PARTS {
        shell::run(&mut toolchain.clippy("tests/device", part.target, &[])?)?;
        let classify = ["--features", "classify"];
        shell::run(&mut toolchain.clippy("tests/device", part.target, &classify)?)?;
    }
    for (name, target) in EXAMPLES {
        shell::run(&mut toolchain.clippy(&examples::folder(name), target, &[])?)?;
    }
    Ok(())
}

/// Fuzzes for a while with the flags that `cargo fuzz` would pass, of which none needs nightly.
fn fuzz() -> Result<()> {
    say(
        &format!(
            "fuzz for {} s",
            FUZZ.map(|(_, seconds)| seconds).iter().sum::<u32>()
        ),
        "no image, no head, no state and no text may make core panic or hang",
    );
    let folder = shell::root().join("tests/fuzz");
    let host = toolchain::host_triple()?;
    let target_dir = shell::target_dir().join("fuzz");
    let flags = [
        "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
    ];
    let mut build = shell::cargo();
    build
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("RUSTFLAGS", flags.join(" "));
    // With an explicit target the flags stay off build scripts and procedural macros.
    shell::run(build.args(["build", "--quiet", "--release", "--bins", "--target", &host]))?;
    let artifacts = folder.join("artifacts/");
    std::fs::create_dir_all(&artifacts).map_err(|error| shell::unwritable(&artifacts, &error))?;
    let seeds = inputs::fuzz_seeds()?;
    for (target, seconds) in FUZZ {
        let program = target_dir.join(&host).join("release").join(target);
        let mut fuzz = std::process::Command::new(program);
        fuzz.arg(format!("-max_total_time={seconds}"))
            .args(["-timeout=10", "-max_len=16000"]);
        fuzz.arg(format!("-artifact_prefix={}", artifacts.display()))
            .arg(seeds.join(target));
        let limit = std::time::Duration::from_secs(u64::from(seconds) + 60);
        shell::capture(&mut fuzz, limit)?;
    }
    Ok(())
}
