//! Records of comma-separated values, as RFC 4180 has them.
//!
//! Strictly: the csv crate takes a stray quote for text and a missing one for the rest of the file, so that a damaged
//! file would be learnt from in silence.

use super::lines::{Lines, MAX_LINE_BYTES};
use crate::error::Result;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Plain,
    Quoted,
    /// Behind a quote inside a quoted cell: its end, or the first of two that stand for one.
    QuoteSeen,
}

/// The cells of the next record and the line that it starts on; `None` at the end. Empty lines between records are
/// passed over.
///
/// # Errors
/// Those of [`Lines::next`]; [`Error::Line`](crate::Error::Line) for a quote where none may be or one that is never
/// closed.
pub(super) fn next_record(lines: &mut Lines) -> Result<Option<(usize, Vec<String>)>> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut state = State::CellStart;
    let (mut first, mut opened, mut bytes) = (0, 0, 0);
    loop {
        let Some(line) = lines.next()? else {
            if state == State::Quoted {
                return Err(lines.error_at(opened, "a quote that is opened here is never closed"));
            }
            return Ok(None);
        };
        if state != State::Quoted && line.is_empty() {
            continue;
        }
        let mut misplaced = false;
        let mut opens = false;
        for c in line.chars() {
            state = match (state, c) {
                (State::CellStart, '"') => {
                    opens = true;
                    State::Quoted
                }
                (State::CellStart | State::Plain | State::QuoteSeen, ',') => {
                    cells.push(std::mem::take(&mut cell));
                    State::CellStart
                }
                (State::Quoted, '"') => State::QuoteSeen,
                (State::Plain, '"') => {
                    misplaced = true;
                    break;
                }
                (State::QuoteSeen, c) if c != '"' => {
                    misplaced = true;
                    break;
                }
                (State::QuoteSeen | State::Quoted, c) => {
                    cell.push(c);
                    State::Quoted
                }
                (_, c) => {
                    cell.push(c);
                    State::Plain
                }
            };
        }
        bytes += line.len() + 1;
        let number = lines.number();
        if misplaced {
            return Err(lines.error(
                "a quote inside a cell; put the whole cell in quotes and double those inside it",
            ));
        }
        first = if first == 0 { number } else { first };
        opened = if opens { number } else { opened };
        if state != State::Quoted {
            cells.push(cell);
            return Ok(Some((first, cells)));
        }
        if bytes > MAX_LINE_BYTES {
            return Err(lines.error_at(
                opened,
                "a quoted cell of more than 1 MB; is its closing quote missing?",
            ));
        }
        cell.push('\n');
    }
}
