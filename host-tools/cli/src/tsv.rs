//! Reading tab-separated files whose header line names the columns.

use std::path::Path;

use crate::error::{Error, Result};
use crate::texts::Texts;

/// A tab-separated file, read row by row. A TAB always ends a cell: there is no quoting.
pub struct Tsv {
    lines: Texts,
    columns: Vec<String>,
    row: String,
    /// The line in `row` was read to find the header, but is the first row.
    row_is_pending: bool,
}

impl Tsv {
    /// Opens a file and reads its header line.
    ///
    /// A first line that holds none of the names in `unnamed` counts as the first row, of columns
    /// with these names; where `unnamed` is empty, the first line is always the header.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Line`]; [`Error::Arguments`] if the file is empty.
    pub fn open(path: &Path, unnamed: &[&str]) -> Result<Self> {
        let mut lines = Texts::file(path)?;
        let Some(row) = read_line(&mut lines)? else {
            return Err(Error::Arguments(format!(
                "{}: the file is empty; it needs a header line and rows",
                path.display()
            )));
        };
        let row = row.trim_start_matches('\u{feff}').to_owned();
        let mut columns: Vec<String> = row.split('\t').map(str::to_owned).collect();
        let row_is_pending =
            !unnamed.is_empty() && !columns.iter().any(|name| unnamed.contains(&name.as_str()));
        if row_is_pending {
            columns = unnamed.iter().map(|&name| name.to_owned()).collect();
        }
        Ok(Self {
            lines,
            columns,
            row,
            row_is_pending,
        })
    }

    /// Where in a row the column of this name is.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// [`find`](Self::find) for a column that must be there.
    ///
    /// # Errors
    /// [`Error::Line`] if there is none.
    pub fn column(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| {
            self.error(format!(
                "no column {name:?} in the header line ({}); name the columns there",
                self.columns.join(", ")
            ))
        })
    }

    /// The cells of the next row, as many as there are columns; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Line`] if the row has another number of cells.
    pub fn next(&mut self) -> Result<Option<Vec<&str>>> {
        if !std::mem::take(&mut self.row_is_pending) {
            match read_line(&mut self.lines)? {
                Some(line) => self.row = line,
                None => return Ok(None),
            }
        }
        let cells: Vec<&str> = self.row.split('\t').collect();
        if cells.len() == self.columns.len() {
            return Ok(Some(cells));
        }
        Err(self.error(format!(
            "{} columns instead of {}: {}",
            cells.len(),
            self.columns.len(),
            self.columns.join(", ")
        )))
    }

    /// An error at the line last read.
    pub fn error(&self, what: impl Into<String>) -> Error {
        self.lines.error(what)
    }
}

/// A line without its end, which some editors write as `\r\n`.
fn read_line(lines: &mut Texts) -> Result<Option<String>> {
    Ok(lines.next()?.map(|mut line| {
        if line.ends_with('\r') {
            line.pop();
        }
        line
    }))
}
