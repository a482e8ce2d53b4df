//! Lines of a file that should be text, checked one at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// No text to classify is longer; a longer line is a file of another kind, or one without line ends.
pub(super) const MAX_LINE_BYTES: usize = 1_000_000;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Lines without their ends, `\n` or `\r\n`, and without a byte order mark.
pub(super) struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    number: usize,
    line: String,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        Ok(Self {
            reader: BufReader::new(file),
            path: path.to_owned(),
            number: 0,
            line: String::new(),
        })
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Line`] if it is not UTF-8 or longer than [`MAX_LINE_BYTES`].
    pub fn next(&mut self) -> Result<Option<&str>> {
        let mut bytes = std::mem::take(&mut self.line).into_bytes();
        bytes.clear();
        // Room for the mark and the end as well.
        let most = (MAX_LINE_BYTES + UTF8_MARK.len() + 2) as u64;
        let read = (&mut self.reader)
            .take(most)
            .read_until(b'\n', &mut bytes)
            .map_err(Error::io(&self.path))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut mark = 0;
        if self.number == 1 {
            if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
                return Err(self.error("UTF-16; convert the file to UTF-8"));
            }
            if bytes.starts_with(UTF8_MARK) {
                mark = UTF8_MARK.len();
                bytes.drain(..mark);
            }
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.len() > MAX_LINE_BYTES {
            return Err(self.error("longer than 1 MB; one text a line, with a line end after each"));
        }
        self.line = String::from_utf8(bytes).map_err(|error| {
            let byte = error.utf8_error().valid_up_to();
            let value = error.as_bytes().get(byte).copied().unwrap_or_default();
            self.error(format!(
                "not UTF-8 (byte {} of the line is {value:#04x}); convert the file to UTF-8",
                mark + byte + 1
            ))
        })?;
        Ok(Some(&self.line))
    }

    /// The line last read.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Which line was last read, counted from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error at the line last read.
    pub fn error(&self, what: impl Into<String>) -> Error {
        self.error_at(self.number, what)
    }

    pub fn error_at(&self, line: usize, what: impl Into<String>) -> Error {
        Error::Line {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }
}
