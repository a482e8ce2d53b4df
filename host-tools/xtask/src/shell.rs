//! Running other programs, saying what runs and why, and failing with one clear line.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fmt, io, thread};

/// What went wrong, and what to do where that is known.
#[derive(Debug)]
pub struct Failure(String);

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::new(message))
}

/// Says what comes next and why.
pub fn say(what: &str, why: &str) {
    println!("==> {what}: {why}");
}

/// The checkout's root folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds for this machine.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// This command's own corner of the target folder.
pub fn scratch_dir() -> Result<PathBuf> {
    let dir = target_dir().join("xtask");
    fs::create_dir_all(&dir).map_err(|error| unwritable(&dir, &error))?;
    Ok(dir)
}

pub fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, bytes).map_err(|error| unwritable(path, &error))
}

/// Where a program is on PATH or in cargo's folder of installed programs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = cargo_bin();
    env::split_paths(&path)
        .chain(installed)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// The folder that `cargo install` puts programs in.
fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    Some(home?.join("bin"))
}

/// The cargo that runs this program.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

fn shown(command: &Command) -> String {
    let name = |text: &OsStr| text.to_string_lossy().into_owned();
    let program = Path::new(command.get_program())
        .file_name()
        .map_or_else(String::new, name);
    let arguments = command
        .get_args()
        .map(|argument| format!(" {}", argument.to_string_lossy()));
    program + &arguments.collect::<String>()
}

/// Runs a command with its output shown; anything but success is a failure that names it.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| not_started(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        fail(format!("`{}` failed ({status})", shown(command)))
    }
}

fn not_started(command: &Command, error: &io::Error) -> Failure {
    Failure::new(format!(
        "cannot run `{}`: {error}",
        command.get_program().to_string_lossy()
    ))
}

/// Runs a command silently and returns what it printed; its output is shown when it fails or runs past `limit`.
pub fn capture(command: &mut Command, limit: Duration) -> Result<String> {
    let dir = scratch_dir()?;
    let (out, err) = (dir.join("stdout"), dir.join("stderr"));
    let create = |path: &Path| File::create(path).map_err(|error| unwritable(path, &error));
    command
        .stdin(Stdio::null())
        .stdout(create(&out)?)
        .stderr(create(&err)?);
    let mut child = command
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if started.elapsed() > limit => {
                // It may have ended by itself meanwhile, and then there is nothing to kill.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            Ok(None) => thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(not_started(command, &error)),
        }
    };
    let printed = String::from_utf8_lossy(&read(&out)?).into_owned();
    match status {
        Some(status) if status.success() => Ok(printed),
        ended => {
            eprint!("{printed}{}", String::from_utf8_lossy(&read(&err)?));
            let how = ended.map_or_else(
                || format!("did not end in {} s", limit.as_secs()),
                |status| format!("failed ({status})"),
            );
            fail(format!("`{}` {how}", shown(command)))
        }
    }
}
