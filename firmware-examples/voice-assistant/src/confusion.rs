//! How often each intent was taken for which, of the lines that say what they mean.

use flashvec::{Head, Prediction};

use crate::console::Console;

/// Intents, at most, and behind them "none of these".
const CLASSES: usize = 8;

/// What a line calls a text that is none of the intents.
const NONE: &str = "none";

pub struct Confusion {
    /// A row for what was meant, a column for what was understood.
    counts: [[u16; CLASSES]; CLASSES],
    labels: usize,
}

impl Confusion {
    /// `None` if there is no room for so many intents.
    pub fn new(labels: usize) -> Option<Self> {
        (labels < CLASSES).then_some(Self {
            counts: [[0; CLASSES]; CLASSES],
            labels,
        })
    }

    /// Counts a line, and says whether it was understood.
    pub fn count(
        &mut self,
        console: &mut Console,
        head: &Head,
        meant: &[u8],
        best: Option<Prediction>,
    ) {
        let names = (0..self.labels).filter_map(|label| head.label(label));
        let row = names
            .chain([NONE])
            .position(|name| name.as_bytes() == meant);
        let column = best.map_or(self.labels, |best| best.label);
        let count = row.and_then(|row| self.counts.get_mut(row)?.get_mut(column));
        match count {
            Some(count) => {
                *count = count.saturating_add(1);
                console.text(if row == Some(column) {
                    ": right"
                } else {
                    ": wrong"
                });
            }
            None => console.text(": there is no intent of this name"),
        }
    }

    pub fn print(&self, console: &mut Console, head: &Head) {
        let (mut all, mut right) = (0, 0);
        console.text("rows: what was meant; columns: what was understood\r\n");
        for (row, counts) in self.counts.iter().enumerate().take(self.labels + 1) {
            for (column, &count) in counts.iter().enumerate().take(self.labels + 1) {
                console.aligned(count.into(), 5);
                all += u32::from(count);
                right += if row == column { u32::from(count) } else { 0 };
            }
            console.text("  ");
            console.text(head.label(row).unwrap_or(NONE));
            console.text("\r\n");
        }
        console.number(right);
        console.text(" of ");
        console.number(all);
        console.text(" right\r\n");
    }
}
