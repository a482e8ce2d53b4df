//! Writing a compiled character map as a section.

use std::collections::HashMap;

use flashvec::charmap_layout as layout;

use super::charmap::Mapping;
use crate::error::{Error, Result};

const PAGE: usize = 256;
/// Runs of one distance or one text from this length on are better off without a table.
const WORTH_A_RECORD: usize = 4;

/// Writes the section.
///
/// `codes` are those of the vocabulary's bytes, `added` the bytes that added tokens begin with.
///
/// Tables may take in characters that stay as they are: the more of them, the fewer records. The
/// smallest map that has few enough records wins.
///
/// # Errors
///
/// [`Error::Tokenizer`] if the map has more parts than the layout can number.
pub(super) fn write(mappings: &[Mapping], codes: &[u8; 256], added: &[u8]) -> Result<Vec<u8>> {
    let ascii: Vec<u8> = (0..0x80)
        .zip(mappings)
        .map(|(byte, mapping)| {
            if added.contains(&byte) {
                layout::ASCII_PAGES
            } else {
                ascii(byte, mapping, codes)
            }
        })
        .collect();
    [0, 1, 2, 4, 8, 16, 32, 64]
        .into_iter()
        .filter_map(|gap| Writer::new(gap).write(&ascii, mappings))
        .min_by_key(Vec::len)
        .ok_or_else(|| Error::Tokenizer {
            what: "its normalizer makes more different replacements than an image can hold"
                .to_owned(),
        })
}

#[derive(Default)]
struct Writer {
    /// Most neighbours in a row that a table takes in although they stay as they are.
    gap: usize,
    pages: Vec<(u16, u16)>,
    runs: Vec<u8>,
    run_lists: HashMap<Vec<u8>, usize>,
    records: Vec<[u8; 4]>,
    tables: Vec<u16>,
    pool: Vec<u8>,
    texts: HashMap<Vec<u8>, usize>,
}

impl Writer {
    fn new(gap: usize) -> Self {
        Self {
            gap,
            ..Self::default()
        }
    }

    /// `None` if some number does not fit.
    fn write(mut self, ascii: &[u8], mappings: &[Mapping]) -> Option<Vec<u8>> {
        for (page, scalars) in mappings.chunks(PAGE).enumerate() {
            let entry = self.page(page * PAGE, scalars)?;
            if self
                .pages
                .last()
                .is_none_or(|&(_, previous)| previous != entry)
            {
                self.pages.push((page as u16, entry));
            }
        }
        let mut section = ascii.to_vec();
        let counts = [
            self.pages.len(),
            self.runs.len(),
            self.records.len(),
            self.tables.len(),
            self.pool.len(),
        ];
        for count in counts {
            section.extend(u16::try_from(count).ok()?.to_le_bytes());
        }
        for (page, entry) in self.pages {
            section.extend(page.to_le_bytes());
            section.extend(entry.to_le_bytes());
        }
        section.extend(self.runs);
        section.extend(self.records.concat());
        section.extend(self.tables.iter().flat_map(|entry| entry.to_le_bytes()));
        section.extend(self.pool);
        Some(section)
    }

    fn page(&mut self, first: usize, scalars: &[Mapping]) -> Option<u16> {
        let mut starts = Vec::new();
        let mut actions = Vec::new();
        let mut at = 0;
        while at < scalars.len() {
            let (action, len) = self.run(first + at, &scalars[at..])?;
            starts.push(at as u8);
            actions.push(action);
            at += len;
        }
        if let [action] = actions[..]
            && action < layout::FIRST_RECORD
        {
            return Some(layout::UNIFORM | u16::from(action));
        }
        let list = [vec![(starts.len() - 1) as u8], starts, actions].concat();
        let at = *self.run_lists.entry(list).or_insert_with_key(|list| {
            let at = self.runs.len();
            self.runs.extend(list);
            at
        });
        u16::try_from(at)
            .ok()
            .filter(|at| at & layout::UNIFORM == 0)
    }

    /// The action of the run that begins here, and how long the run is.
    fn run(&mut self, scalar: usize, rest: &[Mapping]) -> Option<(u8, usize)> {
        let simple = match &rest[0] {
            Mapping::Drop => layout::DROP,
            Mapping::Break => layout::BREAK,
            Mapping::Keep => layout::KEEP,
            Mapping::Isolate => layout::ISOLATE,
            Mapping::Hangul => layout::HANGUL,
            Mapping::Text(text) => return self.text_run(scalar, rest, text),
        };
        Some((simple, rest.iter().take_while(|m| **m == rest[0]).count()))
    }

    fn text_run(&mut self, scalar: usize, rest: &[Mapping], text: &[u8]) -> Option<(u8, usize)> {
        if let Some((distance, len)) = shifted(scalar, rest)
            && len >= WORTH_A_RECORD
        {
            return Some((
                self.record(layout::SHIFT, distance as u32 & 0xFF_FFFF)?,
                len,
            ));
        }
        let equal = equal(rest);
        let cluster = self.cluster(scalar, rest);
        if equal >= WORTH_A_RECORD || cluster == 1 {
            let at = self.text(text);
            return Some((self.record(layout::TEXT, u32::try_from(at).ok()?)?, equal));
        }
        let table: Vec<u16> = rest[..cluster]
            .iter()
            .map(|mapping| match mapping {
                Mapping::Text(text) => u16::try_from(self.text(text)).ok(),
                _ => Some(layout::TABLE_KEEP),
            })
            .collect::<Option<_>>()?;
        let at = match self
            .tables
            .windows(cluster)
            .position(|window| window == table)
        {
            Some(at) => at,
            None => {
                self.tables.extend(&table);
                self.tables.len() - cluster
            }
        };
        Some((
            self.record(layout::TABLE, u32::try_from(at).ok()?)?,
            cluster,
        ))
    }

    /// How far a table that begins here reaches: to the next run worth a record of its own, or to
    /// more neighbours in a row than `gap` that are not in need of one.
    fn cluster(&self, scalar: usize, rest: &[Mapping]) -> usize {
        let mut end = 1;
        let mut at = 1;
        while at < rest.len() {
            let tail = &rest[at..];
            match tail[0] {
                Mapping::Text(_) => {
                    let shift = shifted(scalar + at, tail).map_or(0, |(_, len)| len);
                    if shift.max(equal(tail)) >= WORTH_A_RECORD {
                        break;
                    }
                    at += 1;
                    end = at;
                }
                Mapping::Keep if at - end < self.gap => at += 1,
                _ => break,
            }
        }
        end
    }

    fn record(&mut self, kind: u8, payload: u32) -> Option<u8> {
        let [a, b, c, _] = payload.to_le_bytes();
        let record = [kind, a, b, c];
        let index = match self.records.iter().position(|r| *r == record) {
            Some(index) => index,
            None => {
                self.records.push(record);
                self.records.len() - 1
            }
        };
        u8::try_from(index).ok()?.checked_add(layout::FIRST_RECORD)
    }

    fn text(&mut self, text: &[u8]) -> usize {
        if let Some(&at) = self.texts.get(text) {
            return at;
        }
        let at = self.pool.len();
        // A scalar value normalizes to at most 18 others (NFKD), 72 bytes and their breaks.
        self.pool.push(text.len() as u8);
        self.pool.extend(text);
        self.texts.insert(text.to_vec(), at);
        at
    }
}

/// The distance of the replacements that the run beginning here has in common, and its length.
fn shifted(scalar: usize, rest: &[Mapping]) -> Option<(i64, usize)> {
    let distance = |at: usize| match rest.get(at) {
        Some(Mapping::Text(text)) => {
            let mut chars = std::str::from_utf8(text).ok()?.chars();
            let target = chars.next().filter(|&c| c != ' ')?;
            chars
                .next()
                .is_none()
                .then_some(i64::from(u32::from(target)) - (scalar + at) as i64)
        }
        _ => None,
    };
    let first = distance(0)?;
    Some((
        first,
        (0..rest.len())
            .take_while(|&at| distance(at) == Some(first))
            .count(),
    ))
}

fn equal(rest: &[Mapping]) -> usize {
    rest.iter().take_while(|m| **m == rest[0]).count()
}

fn ascii(byte: u8, mapping: &Mapping, codes: &[u8; 256]) -> u8 {
    let code = |byte: u8| codes[usize::from(byte)];
    match mapping {
        Mapping::Drop => layout::ASCII_DROP,
        Mapping::Break => layout::ASCII_BREAK,
        Mapping::Isolate => layout::ASCII_ISOLATE,
        Mapping::Keep => code(byte),
        Mapping::Text(text) => match text[..] {
            [to] if to != layout::TEXT_BREAK => code(to),
            _ => layout::ASCII_PAGES,
        },
        Mapping::Hangul => layout::ASCII_PAGES,
    }
}
