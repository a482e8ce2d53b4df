//! What builds without a distiller say of commands that they lack.

use clap::error::{ContextKind, ContextValue};

/// Commands of builds with a distiller.
const COMMANDS: [&str; 7] = [
    "convert", "distill", "eval", "pareto", "pretrain", "report", "train",
];

/// Ends the program with what was wrong with its arguments.
pub fn exit(error: &clap::Error) -> ! {
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        && COMMANDS.contains(&name.as_str())
    {
        eprintln!(
            "flashvec: {name}: this build has no distiller; run it on a PC, with `cargo install --path host-tools/cli`, and copy what it makes here"
        );
        std::process::exit(1);
    }
    error.exit()
}
