//! The firmware examples, run in QEMU as their readers do, against committed output.

use std::env;
use std::path::Path;
use std::time::Duration;

use crate::shell::{self, Result, fail, say};
use crate::toolchain::Toolchain;
use crate::voice_assistant;

/// Folder and target of each example that QEMU runs.
pub const EXAMPLES: [(&str, &str); 4] = [
    ("qemu-cortex-m", "thumbv7em-none-eabihf"),
    ("qemu-riscv32", "riscv32imc-unknown-none-elf"),
    ("voice-assistant", "thumbv6m-none-eabi"),
    ("voice-assistant", "thumbv7em-none-eabihf"),
];

/// Where an example is.
pub fn folder(name: &str) -> String {
    format!("firmware-examples/{name}")
}

/// Runs each example and compares what it logs with its `expected.txt`, or rewrites that.
pub fn run(toolchain: &Toolchain, accept: bool) -> Result<()> {
    for (name, target) in EXAMPLES {
        let folder = folder(name);
        say(
            &format!("cargo run in {folder}"),
            "what a firmware author copies must work, and log what it did",
        );
        let mut command = toolchain.cargo("run", &folder, target)?;
        // run.sh calls defmt-print, which `cargo install` may have put where PATH does not point.
        if let Some(folder) = shell::find_program("defmt-print")
            .as_deref()
            .and_then(Path::parent)
        {
            let path = command
                .get_envs()
                .find(|(name, _)| *name == "PATH")
                .and_then(|(_, value)| value);
            let path = path
                .map(ToOwned::to_owned)
                .or_else(|| env::var_os("PATH"))
                .unwrap_or_default();
            let paths = env::split_paths(&path)
                .chain([folder.to_path_buf()])
                .collect::<Vec<_>>();
            command.env(
                "PATH",
                env::join_paths(paths).expect("these came from PATH"),
            );
        }
        let logged = shell::capture(&mut command, Duration::from_secs(900))?;
        print!("{logged}");
        let logged = without_counts(&logged);
        let path = shell::root().join(&folder).join("expected.txt");
        if accept {
            shell::write(&path, &logged)?;
        } else if String::from_utf8_lossy(&shell::read(&path)?) != logged {
            return fail(format!(
                "{folder} logged something else than its expected.txt; see `test --accept`"
            ));
        }
    }
    voice_assistant::test(toolchain, accept)
}

/// Counts of instructions vary with the compiler: `expected.txt` has N in their place.
fn without_counts(logged: &str) -> String {
    let line = |line: &str| match line.split_once(" instructions") {
        Some((_, rest)) => format!("N instructions{rest}\n"),
        None => format!("{line}\n"),
    };
    logged.lines().map(line).collect()
}
