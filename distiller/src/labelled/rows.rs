//! Rows of a file of texts, whatever its format.

use std::path::Path;

use super::csv;
use super::json;
use super::lines::Lines;
use super::{DEFAULT_LABEL_COLUMN, DEFAULT_TEXT_COLUMN, Format, ReadOptions};
use crate::error::{Error, Result};

/// What a file says about a text, as it stands there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Label {
    Text(String),
    List(Vec<String>),
    Number(f64),
}

pub(super) struct Row {
    /// Its first line, counted from 1.
    pub line: usize,
    pub text: String,
    /// There if labels are asked for.
    pub label: Option<Label>,
}

pub(super) struct Rows<'a> {
    lines: Lines,
    options: &'a ReadOptions,
    with_labels: bool,
    layout: Layout,
}

enum Layout {
    /// Cells; `pending` is a first line that turned out to be the first row.
    Tsv {
        columns: Columns,
        pending: Option<Vec<String>>,
    },
    Csv(Columns),
    JsonLines,
    Lines,
}

/// Which cells of a row matter.
struct Columns {
    names: Vec<String>,
    text: usize,
    label: Option<usize>,
}

impl<'a> Rows<'a> {
    /// Opens a file and reads its header line, if its format has one.
    pub fn open(path: &Path, options: &'a ReadOptions, with_labels: bool) -> Result<Self> {
        let format = match options.format {
            Some(format) => format,
            None => Format::of(path)?,
        };
        if format == Format::Lines && with_labels {
            return Err(Error::Data {
                path: path.to_owned(),
                what: "texts without labels; give a file of tab-separated or comma-separated values or of JSON lines"
                    .to_owned(),
            });
        }
        let mut lines = Lines::open(path)?;
        let layout = match format {
            Format::JsonLines => Layout::JsonLines,
            Format::Lines => Layout::Lines,
            Format::Tsv => {
                let first: Vec<String> = match lines.next()? {
                    Some(line) => line.split('\t').map(str::to_owned).collect(),
                    None => return Err(empty(path)),
                };
                match unnamed(&first, options, with_labels) {
                    Some(columns) => Layout::Tsv {
                        columns,
                        pending: Some(first),
                    },
                    None => Layout::Tsv {
                        columns: Columns::find(first, options, with_labels, &lines)?,
                        pending: None,
                    },
                }
            }
            Format::Csv => match csv::next_record(&mut lines)? {
                Some((_, names)) => {
                    Layout::Csv(Columns::find(names, options, with_labels, &lines)?)
                }
                None => return Err(empty(path)),
            },
        };
        Ok(Self {
            lines,
            options,
            with_labels,
            layout,
        })
    }

    /// The next row; `None` at the end. Empty lines are passed over.
    pub fn next(&mut self) -> Result<Option<Row>> {
        let row = match &mut self.layout {
            Layout::Tsv { columns, pending } => {
                let cells = match pending.take() {
                    Some(cells) => cells,
                    None => match next_line(&mut self.lines)? {
                        Some(line) => line.split('\t').map(str::to_owned).collect(),
                        None => return Ok(None),
                    },
                };
                columns.row(cells, self.lines.number(), &self.lines)?
            }
            Layout::Csv(columns) => match csv::next_record(&mut self.lines)? {
                Some((line, cells)) => columns.row(cells, line, &self.lines)?,
                None => return Ok(None),
            },
            Layout::JsonLines => {
                let Some(line) = next_line(&mut self.lines)? else {
                    return Ok(None);
                };
                let label = self
                    .with_labels
                    .then_some(self.options.label_column.as_str());
                let (text, label) = json::parse(line, &self.options.text_column, label)
                    .map_err(|what| self.lines.error(what))?;
                Row {
                    line: self.lines.number(),
                    text,
                    label,
                }
            }
            Layout::Lines => match next_line(&mut self.lines)? {
                Some(text) => Row {
                    text: text.to_owned(),
                    line: self.lines.number(),
                    label: None,
                },
                None => return Ok(None),
            },
        };
        if row.text.trim().is_empty() {
            return Err(self.error(row.line, "an empty text; give one or drop the row"));
        }
        Ok(Some(row))
    }

    pub fn error(&self, line: usize, what: impl Into<String>) -> Error {
        self.lines.error_at(line, what)
    }

    pub fn path(&self) -> &Path {
        self.lines.path()
    }
}

impl Columns {
    /// Those of a header line.
    fn find(
        names: Vec<String>,
        options: &ReadOptions,
        with_labels: bool,
        lines: &Lines,
    ) -> Result<Self> {
        let place = |name: &str| {
            let mut places = (0..names.len()).filter(|&at| names[at] == name);
            match (places.next(), places.next()) {
                (Some(at), None) => Ok(at),
                (Some(_), Some(_)) => {
                    Err(lines.error(format!("the column {name:?} twice in the header line")))
                }
                (None, _) => {
                    let shown = shortened(&names);
                    Err(lines.error(format!(
                        "no column {name:?} in the header line, which has {shown}; rename a column or name it as an \
                         option"
                    )))
                }
            }
        };
        Ok(Self {
            text: place(&options.text_column)?,
            label: with_labels
                .then(|| place(&options.label_column))
                .transpose()?,
            names,
        })
    }

    fn row(&self, mut cells: Vec<String>, line: usize, lines: &Lines) -> Result<Row> {
        if cells.len() != self.names.len() {
            return Err(lines.error_at(
                line,
                format!(
                    "{} cells instead of {}, which are {}",
                    cells.len(),
                    self.names.len(),
                    shortened(&self.names)
                ),
            ));
        }
        Ok(Row {
            line,
            label: self
                .label
                .map(|at| Label::Text(std::mem::take(&mut cells[at]))),
            text: std::mem::take(&mut cells[self.text]),
        })
    }
}

/// The columns of tab-separated values without a header line: neither name is in the first line, and no other was
/// asked for. Where labels do not matter, there may be only texts.
fn unnamed(first: &[String], options: &ReadOptions, with_labels: bool) -> Option<Columns> {
    let named = [&options.label_column, &options.text_column];
    if named != [DEFAULT_LABEL_COLUMN, DEFAULT_TEXT_COLUMN]
        || first.iter().any(|cell| named.contains(&cell))
    {
        return None;
    }
    if !with_labels && first.len() == 1 {
        return Some(Columns {
            names: vec![options.text_column.clone()],
            label: None,
            text: 0,
        });
    }
    Some(Columns {
        names: named.map(String::clone).to_vec(),
        label: with_labels.then_some(0),
        text: 1,
    })
}

fn next_line(lines: &mut Lines) -> Result<Option<&str>> {
    while let Some(line) = lines.next()? {
        if !line.is_empty() {
            // Borrowed anew: the borrow of the loop would last for the whole function.
            return Ok(Some(lines.line()));
        }
    }
    Ok(None)
}

pub(super) fn empty(path: &Path) -> Error {
    Error::Data {
        path: path.to_owned(),
        what: "the file is empty; it needs a row for each text".to_owned(),
    }
}

/// The first few names.
pub(super) fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    if names.len() > SHOWN {
        shown.push(format!("... ({} in all)", names.len()));
    }
    shown.join(", ")
}
