//! Reading texts, one a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};

/// Where texts come from.
#[derive(clap::Args)]
pub struct TextArgs {
    /// File of texts, one a line; standard input if absent
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Lines are JSON: a string, or an object whose field of this name is the text
    #[arg(long, value_name = "FIELD", num_args = 0..=1, default_missing_value = "text")]
    pub json_lines: Option<String>,
}

impl TextArgs {
    /// The bytes of all lines, and what they are called in messages.
    fn open(&self) -> Result<(Box<dyn Read + Send>, String)> {
        let reader: Box<dyn Read + Send> = match &self.input {
            Some(path) => Box::new(File::open(path).map_err(Error::io(path))?),
            None => Box::new(std::io::stdin()),
        };
        Ok((reader, self.name()))
    }

    fn name(&self) -> String {
        match &self.input {
            Some(path) => path.display().to_string(),
            None => "standard input".to_owned(),
        }
    }

    /// What reading texts out of blocks needs, apart from the blocks.
    pub fn parser(&self) -> Parser {
        Parser {
            name: self.name(),
            field: self.json_lines.clone(),
        }
    }
}

/// Texts of a file or of standard input, in order. Lines end at `\n`.
pub struct Texts {
    reader: Box<dyn BufRead>,
    name: String,
    field: Option<String>,
    line: usize,
    buffer: Vec<u8>,
}

impl Texts {
    pub fn open(args: &TextArgs) -> Result<Self> {
        let (reader, name) = args.open()?;
        let mut texts = Self::new(reader, name);
        texts.field.clone_from(&args.json_lines);
        Ok(texts)
    }

    pub fn file(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        Ok(Self::new(Box::new(file), path.display().to_string()))
    }

    fn new(reader: Box<dyn Read>, name: String) -> Self {
        Self {
            reader: Box::new(BufReader::new(reader)),
            name,
            field: None,
            line: 0,
            buffer: Vec::new(),
        }
    }

    /// The next text; `None` at the end.
    pub fn next(&mut self) -> Result<Option<String>> {
        self.buffer.clear();
        let read = self
            .reader
            .read_until(b'\n', &mut self.buffer)
            .map_err(Error::io(&self.name))?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        let bytes = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| self.error(not_utf8(error.valid_up_to() + 1)))?;
        match &self.field {
            None => Ok(Some(text.to_owned())),
            Some(field) => match json_text(bytes, field) {
                Ok(text) => Ok(Some(text)),
                Err(what) => Err(self.error(what)),
            },
        }
    }

    /// An error at the line last read.
    pub fn error(&self, what: impl Into<String>) -> Error {
        Error::Line {
            input: self.name.clone(),
            line: self.line,
            what: what.into(),
        }
    }
}

fn not_utf8(byte: usize) -> String {
    format!("not UTF-8 (byte {byte} of the line); convert the file to UTF-8")
}

/// The text of a line of JSON, or what is wrong with it.
fn json_text(line: &[u8], field: &str) -> std::result::Result<String, String> {
    let value: Value =
        serde_json::from_slice(line).map_err(|error| format!("not JSON ({error})"))?;
    match value.get(field).unwrap_or(&value) {
        Value::String(text) => Ok(text.clone()),
        _ => Err(format!(
            "neither a string nor an object with a string {field:?}"
        )),
    }
}

/// Where a block ends that is not at the end of the input: at this many bytes or lines, whichever comes
/// first, or later where a line is longer.
const BLOCK_BYTES: usize = 32 * 1024;
pub const BLOCK_LINES: usize = 128;

/// The lines of a file or of standard input in blocks that share out to threads.
pub struct Blocks {
    reader: Box<dyn Read + Send>,
    name: String,
    /// What was read and is in no block yet.
    rest: Vec<u8>,
    lines: usize,
    ended: bool,
}

/// Whole lines.
pub struct Block {
    pub bytes: Vec<u8>,
    lines_before: usize,
    pub lines: usize,
}

impl Blocks {
    pub fn open(args: &TextArgs) -> Result<Self> {
        let (reader, name) = args.open()?;
        Ok(Self {
            reader,
            name,
            rest: Vec::new(),
            lines: 0,
            ended: false,
        })
    }

    /// The next block; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Block>> {
        // How much of the rest has been looked through, and the last line end in it.
        let (mut seen, mut end, mut lines) = (0, 0, 0);
        loop {
            for at in memchr::memchr_iter(b'\n', &self.rest[seen..]) {
                end = seen + at + 1;
                lines += 1;
                if lines == BLOCK_LINES || end >= BLOCK_BYTES {
                    break;
                }
            }
            let full = lines == BLOCK_LINES || end >= BLOCK_BYTES;
            if full || self.rest.len() >= 2 * BLOCK_BYTES && lines > 0 {
                break;
            }
            if self.ended {
                // The last line may have no end of its own.
                lines += usize::from(end < self.rest.len());
                end = self.rest.len();
                break;
            }
            seen = self.rest.len();
            let read = (&mut self.reader)
                .take(BLOCK_BYTES as u64)
                .read_to_end(&mut self.rest)
                .map_err(Error::io(&self.name))?;
            self.ended = read < BLOCK_BYTES;
        }
        if lines == 0 {
            return Ok(None);
        }
        let rest = self.rest.split_off(end);
        let block = Block {
            bytes: std::mem::replace(&mut self.rest, rest),
            lines_before: self.lines,
            lines,
        };
        self.lines += lines;
        Ok(Some(block))
    }
}

impl Block {
    /// Lines, the last of which may have no end, and how many came before.
    pub fn new(bytes: Vec<u8>, lines_before: usize) -> Self {
        let ends = memchr::memchr_iter(b'\n', &bytes).count();
        let unended = !bytes.is_empty() && !bytes.ends_with(b"\n");
        Self {
            bytes,
            lines_before,
            lines: ends + usize::from(unended),
        }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Reads texts in blocks.
pub struct Parser {
    name: String,
    field: Option<String>,
}

impl Parser {
    /// Calls `take` with each text of a block, in order, up to the first line that is wrong.
    pub fn texts(&self, block: &Block, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let (valid, invalid) = match std::str::from_utf8(&block.bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let (valid, _) = block.bytes.split_at(error.valid_up_to());
                let line = memchr::memrchr(b'\n', valid).map_or(0, |at| at + 1);
                let message = not_utf8(valid.len() - line + 1);
                // Whole lines before one that is wrong are whole characters.
                (
                    std::str::from_utf8(&valid[..line]).unwrap_or(""),
                    Some(message),
                )
            }
        };
        let mut line = block.lines_before;
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', valid.as_bytes());
        let unended = (!valid.is_empty() && !valid.ends_with('\n')).then_some(valid.len());
        for end in ends.chain(unended) {
            line += 1;
            let text = &valid[start..end];
            start = end + 1;
            match &self.field {
                None => take(text)?,
                Some(field) => {
                    take(
                        &json_text(text.as_bytes(), field)
                            .map_err(|what| self.error(line, what))?,
                    )?;
                }
            }
        }
        match invalid {
            None => Ok(()),
            Some(what) => Err(self.error(line + 1, what)),
        }
    }

    /// [`texts`](Self::texts) for lines that may not be UTF-8.
    pub fn bytes(&self, block: &Block, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let ended = block.bytes.strip_suffix(b"\n").unwrap_or(&block.bytes);
        let lines = ended.split(|&byte| byte == b'\n').take(block.lines);
        for (line, text) in (block.lines_before + 1..).zip(lines) {
            match &self.field {
                None => take(text)?,
                Some(field) => {
                    let text = json_text(text, field).map_err(|what| self.error(line, what))?;
                    take(text.as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn error(&self, line: usize, what: String) -> Error {
        Error::Line {
            input: self.name.clone(),
            line,
            what,
        }
    }
}
