//! `cargo xtask`: set-up, demo, tests, device runs and budgets.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod ablations;
mod bench;
mod budgets;
mod demo;
mod device;
mod elf;
mod examples;
mod inputs;
mod machine;
mod setup;
mod shell;
mod suite;
mod toolchain;

/// Sets up, shows and tests flashvec, emulated microcontrollers included.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing: bare-metal targets, QEMU, defmt-print.
    ///
    /// Each step says what it does and why. Bare-metal targets come from rustup; where it cannot download
    /// them, or FLASHVEC_TOOLCHAIN=debian says so, Debian's compiler and library source are installed.
    ///
    /// Example: cargo xtask setup
    Setup,
    /// Distils a real teacher, then encodes on this machine and on an emulated Cortex-M4, and compares the bits.
    ///
    /// Example: cargo xtask demo
    Demo,
    /// Sets up and runs every test: style, unit tests, device runs, budgets, firmware examples, fuzz smoke.
    ///
    /// Example: cargo xtask test
    Test {
        /// Take the budget figures and the examples' output of this run as the new truth.
        #[arg(long)]
        accept: bool,
    },
    /// Encodes texts on every emulated part and compares the bits with this machine's.
    ///
    /// Example: cargo xtask device-test --image model.fvec
    DeviceTest {
        /// An image to run instead of synthetic ones in every codec; the committed budgets are then left out.
        #[arg(long)]
        image: Option<PathBuf>,
        /// Lines to encode instead of the built-in texts; the committed budgets are then left out.
        #[arg(long)]
        texts: Option<PathBuf>,
        /// Write this run's RAM and code figures to tests/budgets.toml.
        #[arg(long, conflicts_with_all = ["image", "texts"])]
        accept: bool,
    },
    /// Counts instructions, RAM and code on every emulated part.
    ///
    /// Example: cargo xtask bench-device --image model.fvec --texts sentences.txt
    BenchDevice {
        /// Images to run instead of the demo's model in every codec.
        #[arg(long, num_args = 1..)]
        image: Vec<PathBuf>,
        /// Lines to encode instead of five built-in sentences.
        #[arg(long)]
        texts: Option<PathBuf>,
    },
    /// Plots instructions on an emulated Cortex-M4F against bytes of text and tokens in the vocabulary.
    ///
    /// Example: cargo xtask bench-growth --texts sentences.txt
    BenchGrowth {
        /// Lines to cut texts from, 50 KB or more.
        #[arg(long)]
        texts: PathBuf,
    },
    /// Measures what each part of compression is worth and writes distiller/docs/ablations.md.
    ///
    /// Example: cargo xtask ablations minilm-f32/ --sts stsb/dev.tsv --corpus wiki.txt
    Ablations(ablations::Args),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Setup => setup::run().map(drop),
        Command::Demo => demo::run(),
        Command::Test { accept } => suite::run(accept),
        Command::DeviceTest {
            image,
            texts,
            accept,
        } => device::test(image.as_deref(), texts.as_deref(), accept),
        Command::BenchDevice { image, texts } => bench::run(&image, texts.as_deref()),
        Command::BenchGrowth { texts } => bench::growth(&texts),
        Command::Ablations(args) => ablations::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
