//! Which labels are taken for which.

use std::collections::BTreeMap;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::Result;
use crate::page::{Drawing, Drawn, svg_of};

/// How many texts of each label were given each label.
pub struct Confusion {
    counts: BTreeMap<(u32, u32), usize>,
    /// Of each label, the texts that have it and those that were given it.
    totals: Vec<(usize, usize)>,
}

/// Texts of one label that were given another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub label: u32,
    pub given: u32,
    pub texts: usize,
}

/// Of more labels than this, only those with the most mistakes are drawn.
const MOST_DRAWN: usize = 150;
/// Pixels of a cell: as many as fit, but enough to be read and not more than needed.
const CELL: std::ops::RangeInclusive<u32> = 12..=48;
/// Pixels that cells should take.
const SIDE: u32 = 900;
/// Characters of a label's name that are drawn, and pixels of one.
const NAME_CHARS: usize = 28;
const CHAR_WIDTH: u32 = 7;

impl Confusion {
    /// Of pairs of the label that a text has and the one it was given.
    pub fn new(pairs: impl Iterator<Item = (u32, u32)>, labels: usize) -> Self {
        let mut counts = BTreeMap::new();
        let mut totals = vec![(0, 0); labels];
        for (label, given) in pairs {
            *counts.entry((label, given)).or_default() += 1;
            totals[label as usize].0 += 1;
            totals[given as usize].1 += 1;
        }
        Self { counts, totals }
    }

    /// Texts of a label that were given another, or the same.
    pub fn count(&self, label: u32, given: u32) -> usize {
        self.counts.get(&(label, given)).copied().unwrap_or(0)
    }

    /// Texts that have a label, and texts that were given it.
    pub fn totals(&self, label: u32) -> (usize, usize) {
        self.totals[label as usize]
    }

    /// All mistakes, the most frequent first.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes: Vec<Mistake> = self
            .counts
            .iter()
            .filter(|((label, given), _)| label != given)
            .map(|(&(label, given), &texts)| Mistake {
                label,
                given,
                texts,
            })
            .collect();
        mistakes.sort_by_key(|mistake| std::cmp::Reverse(mistake.texts));
        mistakes
    }

    /// The matrix as a picture: a row a label that texts have, a column a label that they were given. A cell is the
    /// darker the larger its share of the row.
    ///
    /// # Errors
    /// [`Error::Plot`](crate::error::Error::Plot).
    pub fn svg(&self, names: &[String]) -> Result<String> {
        let drawn = self.drawn();
        let names: Vec<String> = drawn
            .iter()
            .map(|&label| shortened(&names[label as usize]))
            .collect();
        let cell = (SIDE / drawn.len() as u32).clamp(*CELL.start(), *CELL.end());
        let longest = names.iter().map(|name| name.chars().count()).max();
        let margin = 30 + CHAR_WIDTH * longest.unwrap_or(0) as u32;
        let side = margin + cell * drawn.len() as u32 + 10;
        svg_of((side, side), |root| {
            self.draw(root, &drawn, &names, cell as i32, margin as i32)
        })
    }

    /// Labels that are drawn, in order.
    fn drawn(&self) -> Vec<u32> {
        let mut labels: Vec<u32> = (0..self.totals.len() as u32).collect();
        if labels.len() > MOST_DRAWN {
            let wrong = |&label: &u32| {
                let (texts, given) = self.totals(label);
                texts + given - 2 * self.count(label, label)
            };
            labels.sort_by_key(|label| std::cmp::Reverse(wrong(label)));
            labels.truncate(MOST_DRAWN);
            labels.sort_unstable();
        }
        labels
    }

    fn draw(
        &self,
        root: &Drawing<'_>,
        labels: &[u32],
        names: &[String],
        cell: i32,
        margin: i32,
    ) -> Drawn {
        root.fill(&WHITE)?;
        let size = (cell * 3 / 5).clamp(9, 13);
        let style = ("sans-serif", size).into_font().color(&BLACK);
        let caption = style.clone();
        let by_row = style.pos(Pos::new(HPos::Right, VPos::Center));
        let by_column = ("sans-serif", size)
            .into_font()
            .transform(FontTransform::Rotate270)
            .color(&BLACK)
            .pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new("rows: label; columns: given", (8, 8), &caption))?;
        for (at, name) in (0..).zip(names) {
            let middle = margin + cell * at + cell / 2;
            root.draw(&Text::new(name.as_str(), (margin - 4, middle), &by_row))?;
            root.draw(&Text::new(name.as_str(), (middle, margin - 4), &by_column))?;
        }
        for (row, &label) in (0..).zip(labels) {
            for (column, &given) in (0..).zip(labels) {
                let count = self.count(label, given);
                if count == 0 {
                    continue;
                }
                let share = count as f64 / self.totals(label).0 as f64;
                let (left, top) = (margin + cell * column, margin + cell * row);
                let colour = match label == given {
                    true => shade(share, (0, 114, 178)),
                    false => shade(share, (213, 94, 0)),
                };
                root.draw(&Rectangle::new(
                    [(left, top), (left + cell, top + cell)],
                    colour.filled(),
                ))?;
                if cell >= 9 * count.to_string().len() as i32 {
                    let colour = if share > 0.5 { WHITE } else { BLACK };
                    let style = ("sans-serif", size)
                        .into_font()
                        .color(&colour)
                        .pos(Pos::new(HPos::Center, VPos::Center));
                    let middle = (left + cell / 2, top + cell / 2);
                    root.draw(&Text::new(count.to_string(), middle, &style))?;
                }
            }
        }
        let end = margin + cell * labels.len() as i32;
        root.draw(&Rectangle::new([(margin, margin), (end, end)], BLACK))?;
        Ok(())
    }
}

/// From white to a colour. The root lets few mistakes be seen.
fn shade(share: f64, colour: (u8, u8, u8)) -> RGBColor {
    let share = share.sqrt();
    let mix = |full: u8| (255.0 + (f64::from(full) - 255.0) * share).round() as u8;
    RGBColor(mix(colour.0), mix(colour.1), mix(colour.2))
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS {
        return name.to_owned();
    }
    let start: String = name.chars().take(NAME_CHARS - 1).collect();
    start + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_mistakes() {
        let pairs = [(0, 0), (0, 1), (1, 1), (2, 1), (0, 1), (1, 0)];
        let confusion = Confusion::new(pairs.into_iter(), 3);
        assert_eq!(confusion.count(0, 1), 2);
        assert_eq!(confusion.totals(1), (2, 4));
        assert_eq!(confusion.totals(2), (1, 0));
        let mistakes = confusion.mistakes();
        assert_eq!(mistakes.len(), 3);
        assert_eq!(
            mistakes[0],
            Mistake {
                label: 0,
                given: 1,
                texts: 2
            }
        );
    }

    #[test]
    fn every_number_of_labels_can_be_drawn() {
        for labels in [1, 2, 77, 400] {
            let pairs = (0..labels).map(|label| (label, label / 2 * 2));
            let confusion = Confusion::new(pairs, labels as usize);
            let names: Vec<String> = (0..labels)
                .map(|label| format!("<{label}> {}", "long ".repeat(9)))
                .collect();
            let svg = confusion.svg(&names).unwrap();
            assert!(svg.starts_with("<svg"), "{svg}");
            assert!(svg.contains("&lt;0&gt; long"), "names are not escaped");
            let drawn = confusion.drawn();
            assert_eq!(drawn.len(), (labels as usize).min(MOST_DRAWN));
            if labels > 200 {
                // Odd labels are never given, so that they and the even ones before them have mistakes.
                assert_eq!(drawn[..2], [0, 1]);
            }
        }
    }
}
