//! Texts with labels, read from tab-separated or comma-separated values or from JSON lines.
//!
//! A file is read line by line and refused at the first thing that is wrong with it, with the line where it is.

mod csv;
mod json;
mod labels;
mod lines;
mod rows;
#[cfg(test)]
mod tests;

use std::path::Path;

use flashvec::Task;

use labels::{Collector, Kind};
use rows::Rows;

use crate::error::{Error, Result};

pub const DEFAULT_LABEL_COLUMN: &str = "label";
pub const DEFAULT_TEXT_COLUMN: &str = "text";

/// Texts and what is to be told of them.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledTexts {
    /// Sorted by their bytes. For numbers to learn, one: the name of their column.
    pub labels: Vec<String>,
    pub texts: Vec<String>,
    /// One a text.
    pub targets: Targets,
    /// Where each text is in the file: the first line of its row, counted from 1.
    pub lines: Vec<usize>,
}

/// What is to be told of each text.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A label, as an index into the labels.
    Single(Vec<u32>),
    /// Any number of labels, as sorted indices into the labels.
    Multi(Vec<Vec<u32>>),
    /// A finite number.
    Values(Vec<f32>),
}

impl Targets {
    /// What scores are for these.
    pub const fn task(&self) -> Task {
        match self {
            Self::Single(_) => Task::Softmax,
            Self::Multi(_) => Task::Sigmoid,
            Self::Values(_) => Task::Regression,
        }
    }

    /// Number of texts.
    pub const fn len(&self) -> usize {
        match self {
            Self::Single(labels) => labels.len(),
            Self::Multi(labels) => labels.len(),
            Self::Values(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A text a line, its cells separated by TABs, without quoting. The first line names the columns; where it has
    /// neither of the default names, it is a row, and the columns are label and text.
    Tsv,
    /// Comma-separated values as RFC 4180 has them; the first record names the columns.
    Csv,
    /// A JSON object a line. Its label is a string, a list of strings (any number of labels) or, with
    /// [`ReadOptions::regression`], a number.
    JsonLines,
    /// A text a line, without labels.
    Lines,
}

impl Format {
    /// By the file's name: `.tsv` or `.tab`, `.csv`, `.jsonl`, `.ndjson` or `.json`, `.txt`.
    ///
    /// # Errors
    /// [`Error::Data`] for any other.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match ending.to_lowercase().as_str() {
            "tsv" | "tab" => Ok(Self::Tsv),
            "csv" => Ok(Self::Csv),
            "jsonl" | "ndjson" | "json" => Ok(Self::JsonLines),
            "txt" => Ok(Self::Lines),
            _ => Err(Error::Data {
                path: path.to_owned(),
                what: "its name does not end with .tsv, .csv or .jsonl; say which format it has"
                    .to_owned(),
            }),
        }
    }
}

/// How labelled texts are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// By the file's name if absent.
    pub format: Option<Format>,
    /// Columns, or fields of JSON objects.
    pub label_column: String,
    pub text_column: String,
    /// Texts have any number of labels; in tab-separated and comma-separated values this is between them, and an
    /// empty cell has none.
    pub multi_label: Option<String>,
    /// Labels are numbers to learn.
    pub regression: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            label_column: DEFAULT_LABEL_COLUMN.to_owned(),
            text_column: DEFAULT_TEXT_COLUMN.to_owned(),
            multi_label: None,
            regression: false,
        }
    }
}

impl ReadOptions {
    fn check(&self) -> Result<()> {
        let wrong = |option, what: &str| {
            Err(Error::Option {
                option,
                what: what.to_owned(),
            })
        };
        if self.label_column == self.text_column {
            return wrong(
                "column names",
                "labels and texts are in one column; name two",
            );
        }
        match &self.multi_label {
            Some(separator) if separator.is_empty() => {
                wrong("multi-label", "nothing between labels; give a character")
            }
            Some(_) if self.regression => wrong("multi-label", "labels, not numbers to learn"),
            _ => Ok(()),
        }
    }
}

/// Reads texts to learn from: their labels are those that the file has.
///
/// # Errors
/// [`Error::Io`]; [`Error::Option`]; [`Error::Line`] at the first line that is wrong; [`Error::Data`] for a file that is
/// empty or has nothing to tell apart.
pub fn read(path: &Path, options: &ReadOptions) -> Result<LabelledTexts> {
    read_into(path, options, Collector::new(options))
}

/// Reads texts to test with: they have the labels of `train`, in the same order, and no other.
///
/// # Errors
/// Those of [`read`]; [`Error::Line`] for a label that `train` does not have.
pub fn read_like(
    path: &Path,
    options: &ReadOptions,
    train: &LabelledTexts,
) -> Result<LabelledTexts> {
    let kind = match train.targets {
        Targets::Single(_) => Kind::Single,
        Targets::Multi(_) => Kind::Multi,
        Targets::Values(_) => Kind::Values,
    };
    read_into(path, options, Collector::only(options, kind, &train.labels))
}

/// Reads only the texts; a file need not have labels.
///
/// # Errors
/// Those of [`read`], but for labels.
pub fn read_texts(path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
    let mut rows = Rows::open(path, options, false)?;
    let mut texts = Vec::new();
    while let Some(row) = rows.next()? {
        texts.push(row.text);
    }
    match texts.is_empty() {
        true => Err(rows::empty(path)),
        false => Ok(texts),
    }
}

fn read_into(
    path: &Path,
    options: &ReadOptions,
    mut collector: Collector<'_>,
) -> Result<LabelledTexts> {
    options.check()?;
    let mut rows = Rows::open(path, options, true)?;
    let (mut texts, mut lines) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        if let Some(label) = row.label {
            collector
                .add(label)
                .map_err(|what| rows.error(row.line, what))?;
        }
        texts.push(row.text);
        lines.push(row.line);
    }
    if texts.is_empty() {
        return Err(rows::empty(path));
    }
    let (labels, targets) =
        collector
            .finish(&options.label_column)
            .map_err(|what| Error::Data {
                path: rows.path().to_owned(),
                what,
            })?;
    Ok(LabelledTexts {
        labels,
        texts,
        targets,
        lines,
    })
}
