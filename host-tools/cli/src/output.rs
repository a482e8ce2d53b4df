//! Writing results: to standard output, or to a file that is there whole or not at all.

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flashvec_distiller::files::OutputFile;

use crate::error::{Error, Result};

/// Embeddings on their way out, one row a text.
pub enum Embeddings {
    /// Arrays of numbers, one JSON array a line.
    JsonLines(Output),
    /// A NumPy file.
    Npy {
        output: FileOutput,
        dims: usize,
        rows: u64,
    },
}

/// Bytes of an npy file before the data: room for any shape, a multiple of 64 as NumPy pads.
const NPY_HEAD: usize = 128;

impl Embeddings {
    /// `.npy` by the file's name, else JSON lines.
    pub fn create(path: Option<&Path>, dims: usize) -> Result<Self> {
        match path {
            Some(path)
                if path
                    .extension()
                    .is_some_and(|ext| ext.eq_ignore_ascii_case("npy")) =>
            {
                let mut output = FileOutput::create(path)?;
                output.write(&[0; NPY_HEAD])?;
                Ok(Self::Npy {
                    output,
                    dims,
                    rows: 0,
                })
            }
            Some(path) => Ok(Self::JsonLines(Output::File(FileOutput::create(path)?))),
            None => Ok(Self::JsonLines(Output::Stdout(BufWriter::new(
                std::io::stdout(),
            )))),
        }
    }

    pub fn write(&mut self, embedding: &[f32]) -> Result<()> {
        match self {
            Self::JsonLines(output) => output.write_line(&format_args!("{}", JsonArray(embedding))),
            Self::Npy { output, rows, .. } => {
                *rows += 1;
                for value in embedding {
                    output.write(&value.to_le_bytes())?;
                }
                Ok(())
            }
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
        }
    }
}

/// Version 1.0 of the npy format: magic, header length, a Python dict padded with blanks.
fn npy_head(rows: u64, dims: usize) -> Vec<u8> {
    let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dims}), }}");
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

struct JsonArray<'a>(&'a [f32]);

impl std::fmt::Display for JsonArray<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, value) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "[" } else { "," })?;
            write!(f, "{value}")?;
        }
        f.write_str("]")
    }
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
