//! Reading JSON; writing files and folders whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

pub use flashvec_support::files::{OutputFile, write_file};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Error, Result};

/// Parses a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })
}

/// A new folder beside `path`, hence on the same file system; removed when dropped.
pub(crate) fn temporary_beside(path: &Path) -> Result<TempDir> {
    let Some(name) = path.file_name() else {
        let what = "no file or folder can be made under this name; name a new folder".to_owned();
        return Err(Error::Config {
            path: path.to_owned(),
            what,
        });
    };
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let prefix = format!(".{}.", name.to_string_lossy());
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".tmp")
        .tempdir_in(parent)
        .map_err(Error::unwritable(path))
}

/// Writes a file whole or not at all, under a temporary name that is the same each time: what a run that was killed
/// left of it is written over by the next one.
///
/// # Errors
/// [`Error::File`], [`Error::Io`].
pub(crate) fn write_file_again(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial).map_err(Error::unwritable(path))?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.sync_all().map_err(Error::io(path))?;
    fs::rename(&partial, path).map_err(Error::io(path))
}

/// Moves the folder `made` to `target`. What was at `target` is put aside first, brought back if the move
/// fails, and removed only after it succeeded.
pub(crate) fn publish(made: &Path, target: &Path) -> Result<()> {
    if !target.exists() {
        return fs::rename(made, target).map_err(Error::io(target));
    }
    let aside = temporary_beside(target)?;
    let old: PathBuf = aside.path().join("old");
    fs::rename(target, &old).map_err(Error::io(target))?;
    fs::rename(made, target).map_err(|error| {
        // Nothing better can be done should this fail too; the old folder is then left aside.
        if fs::rename(&old, target).is_err() {
            let _ = aside.keep();
        }
        Error::io(target)(error)
    })
}
