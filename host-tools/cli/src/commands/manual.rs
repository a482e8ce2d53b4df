//! `flashvec manual`: what a package carries beside the program.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

use crate::Cli;
use crate::error::{Error, Result};

/// Write man pages and shell completions of the commands in this build
#[derive(clap::Args)]
pub struct Args {
    /// Folder to write them to
    folder: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let folder = |name: &str| -> Result<PathBuf> {
        let folder = args.folder.join(name);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(folder)
    };
    let man = folder("man")?;
    clap_mangen::generate_to(Cli::command(), &man).map_err(Error::io(&man))?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let folder = folder(&shell.to_string())?;
        complete(shell, &folder).map_err(Error::io(&folder))?;
    }
    Ok(())
}

fn complete(shell: Shell, folder: &Path) -> std::io::Result<()> {
    let commands = Cli::command();
    // The hidden command is no one's business.
    let mut shown = clap::Command::new("flashvec").version(env!("CARGO_PKG_VERSION"));
    for command in commands
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        shown = shown.subcommand(command.clone());
    }
    generate_to(shell, &mut shown, "flashvec", folder).map(drop)
}
