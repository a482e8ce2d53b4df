//! Writing results: to standard output, or to a file that is there whole or not at all.

#[cfg(feature = "arrow")]
mod arrow;

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flashvec_support::files::OutputFile;

use crate::error::{Error, Result};

/// How embeddings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Arrays of numbers, one JSON array a line.
    JsonLines,
    /// A NumPy file.
    Npy,
    /// An Arrow IPC file: one column of fixed-size lists.
    Arrow,
}

impl Format {
    /// By the file's name: `.npy`, `.arrow`, else JSON lines.
    pub fn of(path: Option<&Path>) -> Self {
        let extension = path.and_then(Path::extension).unwrap_or_default();
        if extension.eq_ignore_ascii_case("npy") {
            Self::Npy
        } else if extension.eq_ignore_ascii_case("arrow") {
            Self::Arrow
        } else {
            Self::JsonLines
        }
    }
}

/// Embeddings of some texts, `dims` numbers each, and their JSON lines where these are what is written.
#[derive(Default)]
pub struct Rows {
    pub values: Vec<f32>,
    json: Vec<u8>,
}

impl Rows {
    /// Does all that can be done before it is these embeddings' turn to be written.
    pub fn format(&mut self, format: Format, dims: usize) {
        self.json.clear();
        if format == Format::JsonLines {
            let mut digits = zmij::Buffer::new();
            for row in self.values.chunks_exact(dims) {
                let mut before = b'[';
                for &value in row {
                    self.json.push(before);
                    // Shortest digits that read back as the same number.
                    self.json
                        .extend_from_slice(digits.format_finite(value).as_bytes());
                    before = b',';
                }
                self.json.extend_from_slice(b"]\n");
            }
        }
    }
}

/// Embeddings on their way out, one row a text.
pub enum Embeddings {
    JsonLines(Output),
    Npy {
        output: FileOutput,
        dims: usize,
        rows: u64,
    },
    #[cfg(feature = "arrow")]
    Arrow(Box<arrow::Arrow>),
}

/// Bytes of an npy file before the data: room for any shape, a multiple of 64 as NumPy pads.
const NPY_HEAD: usize = 128;

impl Embeddings {
    /// In the [`Format`] of the file's name.
    pub fn create(path: Option<&Path>, dims: usize) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::JsonLines(Output::stdout()));
        };
        let format = Format::of(Some(path));
        if format == Format::Arrow && !cfg!(feature = "arrow") {
            return Err(Error::Arguments(format!(
                "{}: this build writes no Arrow files; name a file .npy, or otherwise for JSON lines",
                path.display()
            )));
        }
        let mut output = FileOutput::create(path)?;
        Ok(match format {
            Format::Npy => {
                output.write(&[0; NPY_HEAD])?;
                Self::Npy {
                    output,
                    dims,
                    rows: 0,
                }
            }
            #[cfg(feature = "arrow")]
            Format::Arrow => Self::Arrow(Box::new(arrow::Arrow::new(output, dims)?)),
            _ => Self::JsonLines(Output::File(output)),
        })
    }

    /// Writes embeddings, which may be taken out of `block`.
    pub fn write(&mut self, block: &mut Rows) -> Result<()> {
        match self {
            Self::JsonLines(output) => output.write(&block.json),
            Self::Npy { output, dims, rows } => {
                *rows += (block.values.len() / *dims) as u64;
                output.write(bytemuck::cast_slice(&block.values))
            }
            #[cfg(feature = "arrow")]
            Self::Arrow(arrow) => arrow.write(std::mem::take(&mut block.values)),
        }
    }

    /// Writes what is left and puts the file in its place.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::JsonLines(output) => output.finish(),
            Self::Npy {
                mut output,
                dims,
                rows,
            } => {
                output.rewrite_start(&npy_head(rows, dims))?;
                output.finish()
            }
            #[cfg(feature = "arrow")]
            Self::Arrow(arrow) => arrow.finish(),
        }
    }
}

/// Version 1.0 of the npy format: magic, header length, a Python dict padded with blanks.
fn npy_head(rows: u64, dims: usize) -> Vec<u8> {
    let order = if cfg!(target_endian = "little") {
        '<'
    } else {
        '>'
    };
    let dict =
        format!("{{'descr': '{order}f4', 'fortran_order': False, 'shape': ({rows}, {dims}), }}");
    let mut head = b"\x93NUMPY\x01\x00".to_vec();
    head.extend((NPY_HEAD as u16 - 10).to_le_bytes());
    head.extend(dict.bytes());
    head.resize(NPY_HEAD - 1, b' ');
    head.push(b'\n');
    head
}

/// Prints a report to standard output.
pub fn print(report: &dyn std::fmt::Display) -> Result<()> {
    let mut output = Output::stdout();
    output.write_line(report)?;
    output.finish()
}

/// Lines to standard output or a file.
pub enum Output {
    Stdout(BufWriter<std::io::Stdout>),
    File(FileOutput),
}

impl Output {
    pub fn stdout() -> Self {
        Self::Stdout(BufWriter::new(std::io::stdout()))
    }

    pub fn write_line(&mut self, line: &dyn std::fmt::Display) -> Result<()> {
        match self {
            Self::Stdout(out) => writeln!(out, "{line}").map_err(Error::Write),
            Self::File(file) => writeln!(file.writer, "{line}").map_err(Error::io(&file.path)),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout(out) => out.write_all(bytes).map_err(Error::Write),
            Self::File(file) => file.write(bytes),
        }
    }

    pub fn finish(self) -> Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush().map_err(Error::Write),
            Self::File(file) => file.finish(),
        }
    }
}

/// A file that takes its place when it is finished.
pub struct FileOutput {
    path: PathBuf,
    writer: BufWriter<OutputFile>,
}

impl FileOutput {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            writer: BufWriter::new(OutputFile::create(path)?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(Error::io(&self.path))
    }

    fn rewrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer
            .seek(SeekFrom::Start(0))
            .map_err(Error::io(&self.path))?;
        self.write(bytes)
    }

    fn finish(self) -> Result<()> {
        let path = self.path;
        let file = self
            .writer
            .into_inner()
            .map_err(|error| Error::io(path)(error.into_error()))?;
        Ok(file.finish()?)
    }
}
