//! Lines as they come: of standard input, or of a file that grows, as `tail -F` reads it.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::texts::Block;

/// How often a file is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Most bytes that are read at once.
const READ: usize = 64 * 1024;

/// Lines as they come.
pub struct Follow {
    source: Source,
    /// What was read of a line that has not ended yet.
    rest: Vec<u8>,
    lines: usize,
}

enum Source {
    /// Ends when it is closed.
    Stream { name: String, reader: Box<dyn Read> },
    /// Never ends.
    File(Growing),
}

/// A file that is written to at its end, emptied and replaced.
struct Growing {
    path: PathBuf,
    file: File,
    position: u64,
}

impl Follow {
    pub fn stdin() -> Self {
        Self::new(Source::Stream {
            name: "standard input".to_owned(),
            reader: Box::new(std::io::stdin()),
        })
    }

    /// All lines of a file and those to come, or only those.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn file(path: &Path, new_only: bool) -> Result<Self> {
        let open = || {
            let mut file = File::open(path)?;
            // Nothing else has a size and can be emptied.
            let regular = file.metadata()?.is_file();
            let from_end = regular && new_only;
            let position = if from_end {
                file.seek(SeekFrom::End(0))?
            } else {
                0
            };
            Ok((file, regular, position))
        };
        let (file, regular, position) = open().map_err(Error::io(path))?;
        Ok(Self::new(if regular {
            Source::File(Growing {
                path: path.to_owned(),
                file,
                position,
            })
        } else {
            Source::Stream {
                name: path.display().to_string(),
                reader: Box::new(file),
            }
        }))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            rest: Vec::new(),
            lines: 0,
        }
    }

    /// The next lines, as soon as there are any; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn next(&mut self) -> Result<Option<Block>> {
        loop {
            let before = self.rest.len();
            let ended = self.read()?;
            let end = if ended {
                self.rest.len()
            } else {
                let new = &self.rest[before..];
                memchr::memrchr(b'\n', new).map_or(0, |at| before + at + 1)
            };
            if end > 0 {
                let rest = self.rest.split_off(end);
                let block = Block::new(std::mem::replace(&mut self.rest, rest), self.lines);
                self.lines += block.lines;
                return Ok(Some(block));
            }
            if ended && matches!(self.source, Source::Stream { .. }) {
                return Ok(None);
            }
        }
    }

    /// Waits for bytes; whether the last line has ended, whatever it ends with.
    fn read(&mut self) -> Result<bool> {
        match &mut self.source {
            Source::Stream { name, reader } => read_some(reader, &mut self.rest)
                .map_err(Error::io(&*name))
                .map(|read| read == 0),
            Source::File(file) => file.read(&mut self.rest).map_err(Error::io(&file.path)),
        }
    }
}

impl Growing {
    /// Waits for bytes; whether there is another file now, in which lines begin anew.
    fn read(&mut self, rest: &mut Vec<u8>) -> std::io::Result<bool> {
        loop {
            if self.read_some(rest)? {
                return Ok(false);
            }
            match std::fs::metadata(&self.path) {
                // Between two logs there may be none.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(there) if !same_file(&there, &self.file.metadata()?) => {
                    // Something may have been written before the other took its place.
                    while self.read_some(rest)? {}
                    match File::open(&self.path) {
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        opened => {
                            (self.file, self.position) = (opened?, 0);
                            return Ok(true);
                        }
                    }
                }
                Ok(there) if there.len() < self.position => {
                    self.position = self.file.seek(SeekFrom::Start(0))?;
                    return Ok(true);
                }
                Ok(_) => {}
            }
            std::thread::sleep(POLL);
        }
    }

    /// Whether there was anything.
    fn read_some(&mut self, rest: &mut Vec<u8>) -> std::io::Result<bool> {
        let read = read_some(&mut self.file, rest)?;
        self.position += read as u64;
        Ok(read > 0)
    }
}

/// Appends what there is, waiting for the first byte; how much it was, 0 at the end.
fn read_some(reader: &mut impl Read, rest: &mut Vec<u8>) -> std::io::Result<usize> {
    let before = rest.len();
    rest.resize(before + READ, 0);
    let read = loop {
        match reader.read(&mut rest[before..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    rest.truncate(before + read.as_ref().map_or(0, |&read| read));
    read
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// When it was made says which file it is.
#[cfg(not(unix))]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    a.created().ok() == b.created().ok()
}

/// Makes SIGINT and SIGTERM end the program as at the end of the input: what is being written to standard output is
/// written first. A second signal ends it at once.
///
/// # Errors
/// [`Error::Io`].
#[cfg(unix)]
pub fn end_on_signals() -> Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    let register = || {
        let ending = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, ending.clone())?;
            flag::register(signal, ending.clone())?;
        }
        Signals::new([SIGINT, SIGTERM])
    };
    let mut signals = register().map_err(Error::io("waiting for signals"))?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _whole_lines = std::io::stdout().lock();
            std::process::exit(0);
        }
    });
    Ok(())
}

#[cfg(not(unix))]
pub fn end_on_signals() -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The next lines.
    fn next(follow: &mut Follow) -> String {
        String::from_utf8(follow.next().unwrap().unwrap().bytes).unwrap()
    }

    #[test]
    fn a_file_is_followed_through_growth_emptying_and_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let (log, old) = (folder.path().join("log"), folder.path().join("log.1"));
        fs::write(&log, "one\ntwo\nthr").unwrap();
        let mut follow = Follow::file(&log, false).unwrap();
        assert_eq!(next(&mut follow), "one\ntwo\n");
        append(&log, "ee\n");
        assert_eq!(next(&mut follow), "three\n");

        // Emptied and written again; what there was of a line ends there.
        append(&log, "more\ncut");
        assert_eq!(next(&mut follow), "more\n");
        fs::write(&log, "four\n").unwrap();
        assert_eq!(next(&mut follow), "cut");
        assert_eq!(next(&mut follow), "four\n");

        // Replaced: what was written before is read, the last line without an end as well.
        append(&log, "five\nsix");
        fs::rename(&log, &old).unwrap();
        append(&old, "teen");
        fs::write(&log, "seven\n").unwrap();
        assert_eq!(next(&mut follow), "five\n");
        assert_eq!(next(&mut follow), "sixteen");
        assert_eq!(next(&mut follow), "seven\n");

        // Removed and made again.
        fs::remove_file(&log).unwrap();
        fs::write(&log, "eight\n").unwrap();
        assert_eq!(next(&mut follow), "eight\n");
    }

    #[test]
    fn new_lines_alone() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "old\n").unwrap();
        let mut follow = Follow::file(&log, true).unwrap();
        append(&log, "new\n");
        assert_eq!(next(&mut follow), "new\n");
    }

    #[test]
    fn a_stream_ends() {
        let mut follow = Follow::new(Source::Stream {
            name: "a stream".to_owned(),
            reader: Box::new(&b"one\ntwo"[..]),
        });
        assert_eq!(next(&mut follow), "one\n");
        assert_eq!(next(&mut follow), "two");
        assert!(follow.next().unwrap().is_none());
        // An empty last line is none.
        let mut follow = Follow::new(Source::Stream {
            name: "a stream".to_owned(),
            reader: Box::new(&b"one\n\n"[..]),
        });
        assert_eq!(next(&mut follow), "one\n\n");
        assert!(follow.next().unwrap().is_none());
    }
}
