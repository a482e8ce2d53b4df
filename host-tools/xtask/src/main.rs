//! `cargo xtask`: set-up, demo, tests, device runs and budgets.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod ablations;
mod bench;
mod bench_distill;
mod bench_peers;
mod boards;
mod budgets;
mod demo;
mod device;
mod elf;
mod examples;
mod few_shot;
mod inputs;
mod libtorch;
mod machine;
mod package;
mod setup;
mod shell;
mod suite;
mod toolchain;
mod voice_assistant;

/// Sets up, shows and tests flashvec, emulated microcontrollers included.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing: bare-metal and Linux targets, QEMU, defmt-print, cargo-deb.
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
    /// Sets up and runs every test: style, unit tests, device runs, budgets, Linux boards and their packages, firmware
    /// examples, fuzz smoke.
    ///
    /// Example: cargo xtask test
    Test {
        /// Take the budget figures and the examples' output of this run as the new truth.
        #[arg(long)]
        accept: bool,
    },
    /// Runs the command line as built for small Linux boards, emulated, and compares what it prints with this machine's.
    ///
    /// Example: cargo xtask board-test
    BoardTest,
    /// Makes Debian packages of the command line for small Linux boards, and installs what that needs.
    ///
    /// Example: cargo xtask deb arm64
    Deb {
        /// arm64 or armhf; both if absent.
        architecture: Option<String>,
    },
    /// Installs these packages in new Debian systems, emulated, and compares what they do with this machine.
    ///
    /// Downloads Debian for each, 30 MB. Needs root.
    ///
    /// Example: cargo xtask deb-test arm64
    DebTest {
        /// arm64 or armhf; both if absent.
        architecture: Option<String>,
    },
    /// Runs the firmware examples and compares what they print with what is committed, and with this machine's bits.
    ///
    /// Example: cargo xtask examples
    Examples {
        /// Take their output, and the voice assistant's RAM, flash and instructions, as the new truth.
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
        /// Lines to cut texts from, 10 KB or more.
        #[arg(long)]
        texts: PathBuf,
    },
    /// Measures what each part of compression is worth and writes distiller/docs/ablations.md.
    ///
    /// Example: cargo xtask ablations minilm-f32/ --corpus wiki.txt -- --sts stsb/dev.tsv
    Ablations(ablations::Args),
    /// Compares sentences a second with model2vec-rs 0.4 and Python's model2vec, all in int8 on one core.
    ///
    /// Rounds over all texts are taken in turn, so that a busy machine slows all alike. `batch` is one call for
    /// all texts, the other one call a text. A Python for --python has model2vec:
    /// python3 -m venv venv && venv/bin/pip install model2vec==0.10.0
    ///
    /// Example: cargo xtask bench-peers --model minilm-folder --texts sentences.txt
    BenchPeers {
        /// A Model2Vec folder; its rows are quantised to int8 for all.
        #[arg(long, value_name = "FOLDER")]
        model: PathBuf,
        /// Texts, one a line.
        #[arg(long, value_name = "FILE")]
        texts: PathBuf,
        /// A Python that has model2vec; without one it is left out.
        #[arg(long, value_name = "PROGRAM")]
        python: Option<PathBuf>,
        /// Rounds of each.
        #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Checks that candle and libtorch give a teacher the same hidden states and the same distilled model.
    ///
    /// libtorch is the one that LIBTORCH or LIBTORCH_USE_PYTORCH names, else one for the CPU that pip brings.
    ///
    /// Example: cargo xtask check-teachers
    CheckTeachers {
        /// A teacher instead of all-MiniLM-L6-v2.
        teacher: Option<String>,
        /// Where libtorch runs it: cpu, cuda or cuda:N.
        #[arg(long, default_value = "cpu")]
        device: String,
    },
    /// Times distilling with Python's model2vec, candle and libtorch, in turn.
    ///
    /// A Python for --python has model2vec: python3 -m venv venv && venv/bin/pip install -r
    /// tests/peers/requirements.txt
    ///
    /// Example: cargo xtask bench-distill --python venv/bin/python
    BenchDistill {
        /// A teacher instead of all-MiniLM-L6-v2: a folder or `pypi:package`.
        teacher: Option<String>,
        /// A Python that has model2vec.
        #[arg(long, value_name = "PROGRAM")]
        python: PathBuf,
        /// Where libtorch runs: cpu, cuda or cuda:N.
        #[arg(long, default_value = "cpu")]
        device: String,
        /// Threads for each, instead of one a core; 1 is fair on a machine that does other work as well.
        #[arg(long)]
        threads: Option<u16>,
        /// Rounds of each.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Setup => setup::run().and_then(|_| boards::set_up()),
        Command::Demo => demo::run(),
        Command::Test { accept } => suite::run(accept),
        Command::BoardTest => boards::test(),
        Command::Deb { architecture } => package::run(architecture.as_deref()),
        Command::DebTest { architecture } => package::test(architecture.as_deref()),
        Command::Examples { accept } => {
            setup::run().and_then(|toolchain| examples::run(&toolchain, accept))
        }
        Command::DeviceTest {
            image,
            texts,
            accept,
        } => device::test(image.as_deref(), texts.as_deref(), accept),
        Command::BenchDevice { image, texts } => bench::run(&image, texts.as_deref()),
        Command::BenchGrowth { texts } => bench::growth(&texts),
        Command::Ablations(args) => ablations::run(&args),
        Command::BenchPeers {
            model,
            texts,
            python,
            rounds,
            json,
        } => bench_peers::run(&model, &texts, python.as_deref(), rounds.into(), json),
        Command::CheckTeachers { teacher, device } => libtorch::check(teacher.as_deref(), &device),
        Command::BenchDistill {
            teacher,
            python,
            device,
            threads,
            rounds,
            json,
        } => {
            let settings = bench_distill::Settings {
                python: &python,
                device: &device,
                threads,
                rounds: rounds.into(),
                json,
            };
            bench_distill::run(teacher.as_deref(), &settings)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
