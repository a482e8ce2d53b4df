//! Writing files whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file that takes its place whole, when it is finished; until then, and after any failure, what
/// was there stays as it was.
///
/// Written under a temporary name beside it and renamed. What is no regular file, a pipe or a
/// device say, cannot be replaced like that and is written directly.
pub struct OutputFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    Temporary(NamedTempFile),
    Direct(File),
}

impl OutputFile {
    /// Begins a file.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn create(path: &Path) -> Result<Self> {
        // What a link leads to is written, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let there = fs::metadata(&path).ok();
        let target = match &there {
            Some(meta) if !meta.is_file() => {
                let file = OpenOptions::new().write(true).open(&path);
                Target::Direct(file.map_err(Error::unwritable(&path))?)
            }
            _ => Target::Temporary(Self::temporary(
                &path,
                there.map(|meta| meta.permissions()),
            )?),
        };
        Ok(Self { path, target })
    }

    fn temporary(path: &Path, permissions: Option<Permissions>) -> Result<NamedTempFile> {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".flashvec-").suffix(".tmp");
        #[cfg(unix)]
        let permissions = permissions.or(Some(std::os::unix::fs::PermissionsExt::from_mode(0o666)));
        if let Some(permissions) = permissions {
            builder.permissions(permissions);
        }
        builder.tempfile_in(parent).map_err(Error::unwritable(path))
    }

    fn file(&mut self) -> &mut File {
        match &mut self.target {
            Target::Temporary(file) => file.as_file_mut(),
            Target::Direct(file) => file,
        }
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        let Target::Temporary(file) = self.target else {
            return Ok(());
        };
        file.as_file().sync_all().map_err(Error::io(&self.path))?;
        file.persist(&self.path)
            .map(drop)
            .map_err(|error| Error::io(&self.path)(error.error))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file().seek(to)
    }
}

/// Writes a file whole or not at all; see [`OutputFile`].
///
/// # Errors
/// [`Error::Unwritable`], [`Error::Io`].
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.finish()
}
