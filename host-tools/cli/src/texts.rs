//! Reading texts, one a line.

use std::fs::File;
use std::io::{BufRead, BufReader};
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
        let mut texts = match &args.input {
            Some(path) => Self::file(path)?,
            None => Self::new(
                Box::new(std::io::stdin().lock()),
                "standard input".to_owned(),
            ),
        };
        texts.field.clone_from(&args.json_lines);
        Ok(texts)
    }

    pub fn file(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        Ok(Self::new(
            Box::new(BufReader::new(file)),
            path.display().to_string(),
        ))
    }

    fn new(reader: Box<dyn BufRead>, name: String) -> Self {
        Self {
            reader,
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
        let text = std::str::from_utf8(bytes).map_err(|error| {
            self.error(format!(
                "not UTF-8 (byte {} of the line); convert the file to UTF-8",
                error.valid_up_to() + 1
            ))
        })?;
        match &self.field {
            None => Ok(Some(text.to_owned())),
            Some(field) => self.json_text(text, field).map(Some),
        }
    }

    fn json_text(&self, line: &str, field: &str) -> Result<String> {
        let value: Value = serde_json::from_str(line)
            .map_err(|error| self.error(format!("not JSON ({error})")))?;
        match value.get(field).unwrap_or(&value) {
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.error(format!(
                "neither a string nor an object with a string {field:?}"
            ))),
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
