//! The character map: what each Unicode scalar value becomes before it meets the vocabulary.
//!
//! Normaliser and pre-tokeniser in one table, compiled by the distiller for one vocabulary: a
//! scalar value turns into nothing, a word break, itself, itself as a word of its own, or a short
//! text. Runs of equal action inside pages of 256 scalar values; pages without a run list have
//! one action throughout.

use crate::bytes::{u16_at, u24_at};
use crate::error::{Error, Part};

/// Layout of the section, shared with the writer.
pub mod layout {
    /// Bytes before the pages: 128 for ASCII, then five 16-bit counts.
    pub const HEAD_LEN: usize = 138;
    /// ASCII entry: nothing.
    pub const ASCII_DROP: u8 = 0;
    /// ASCII entry: a word break.
    pub const ASCII_BREAK: u8 = 1;
    /// ASCII entry: a word of its own.
    pub const ASCII_ISOLATE: u8 = 2;
    /// ASCII entry: look into the pages, and whether an added token begins here. Other entries are
    /// the code of the byte to put in its place.
    pub const ASCII_PAGES: u8 = 3;
    /// Action: nothing comes of it.
    pub const DROP: u8 = 0;
    /// Action: a word break.
    pub const BREAK: u8 = 1;
    /// Action: itself.
    pub const KEEP: u8 = 2;
    /// Action: itself, a word of its own.
    pub const ISOLATE: u8 = 3;
    /// Action: a Hangul syllable becomes its two or three conjoining jamo.
    pub const HANGUL: u8 = 4;
    /// Actions from here on are numbers of records.
    pub const FIRST_RECORD: u8 = 8;
    /// A page's entry with this bit has one action, in the low byte, throughout.
    pub const UNIFORM: u16 = 0x8000;
    /// Record: the scalar value this far away (24 bits, two's complement).
    pub const SHIFT: u8 = 0;
    /// Record: a text, by its offset in the pool.
    pub const TEXT: u8 = 1;
    /// Record: one text for each scalar value of the run, by the offset of its table.
    pub const TABLE: u8 = 2;
    /// Entry of a table: itself.
    pub const TABLE_KEEP: u16 = 0xFFFF;
    /// In a text: a word break.
    pub const TEXT_BREAK: u8 = b' ';
    /// In a text: a character that no token has. Never part of UTF-8, so never in the trie.
    pub const TEXT_UNKNOWN: u8 = 0xFF;
}

use layout::*;

/// What a scalar value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    Drop,
    Break,
    Keep,
    Isolate,
    Hangul,
    Shift(i32),
    Text(&'a [u8]),
}

/// The map of an image, checked by [`CharMap::new`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct CharMap<'a> {
    ascii: &'a [u8; 128],
    pages: &'a [u8],
    runs: &'a [u8],
    records: &'a [u8],
    tables: &'a [u8],
    pool: &'a [u8],
}

impl<'a> CharMap<'a> {
    pub(crate) fn new(section: &'a [u8]) -> Result<Self, Error> {
        Self::cut(section)
            .filter(Self::is_sound)
            .ok_or(Error::Damaged(Part::CharMap))
    }

    fn cut(section: &'a [u8]) -> Option<Self> {
        let (ascii, rest) = section.split_first_chunk::<128>()?;
        let count = |index: usize| usize::from(u16_at(rest, 2 * index));
        let body = rest.get(10..)?;
        let (pages, body) = body.split_at_checked(4 * count(0))?;
        let (runs, body) = body.split_at_checked(count(1))?;
        let (records, body) = body.split_at_checked(4 * count(2))?;
        let (tables, pool) = body.split_at_checked(2 * count(3))?;
        (pool.len() == count(4)).then_some(Self {
            ascii,
            pages,
            runs,
            records,
            tables,
            pool,
        })
    }

    /// Pages ascend from 0 and name run lists that exist; run lists ascend from 0 and name actions
    /// that exist; records name texts and tables that exist. Everything else is a checked read.
    fn is_sound(&self) -> bool {
        let mut previous = None;
        for page in self.pages.chunks_exact(4) {
            let (first, entry) = (u16_at(page, 0), u16_at(page, 2));
            let ascends = previous.map_or(first == 0, |p| first > p);
            previous = Some(first);
            let sound = if entry & UNIFORM != 0 {
                self.action_is_sound(entry as u8, 0)
            } else {
                self.run_list_is_sound(usize::from(entry))
            };
            if !ascends || !sound {
                return false;
            }
        }
        previous.is_some()
    }

    fn run_list_is_sound(&self, at: usize) -> bool {
        let Some((starts, actions)) = self.run_list(at) else {
            return false;
        };
        let mut ends = starts.iter().skip(1).map(|&s| usize::from(s)).chain([256]);
        let mut expected = 0;
        for (&start, &action) in starts.iter().zip(actions) {
            let start = usize::from(start);
            let end = ends.next().unwrap_or(256);
            if (expected == 0 && start != 0)
                || end <= start
                || !self.action_is_sound(action, end - start)
            {
                return false;
            }
            expected = end;
        }
        true
    }

    /// `run` is how many scalar values a table must cover; 0 where no table may stand.
    fn action_is_sound(&self, action: u8, run: usize) -> bool {
        let Some(record) = action.checked_sub(FIRST_RECORD) else {
            return action <= HANGUL;
        };
        let Some(bytes) = self.record(record) else {
            return false;
        };
        let payload = u24_at(bytes, 1);
        match bytes.first() {
            Some(&SHIFT) => true,
            Some(&TEXT) => self.text(payload as usize).is_some(),
            Some(&TABLE) => {
                let at = 2 * payload as usize;
                run > 0
                    && self.tables.get(at..at + 2 * run).is_some_and(|entries| {
                        entries.chunks_exact(2).all(|entry| {
                            let offset = u16_at(entry, 0);
                            offset == TABLE_KEEP || self.text(usize::from(offset)).is_some()
                        })
                    })
            }
            _ => false,
        }
    }

    /// What an ASCII byte becomes: see [`layout::ASCII_DROP`] and its siblings.
    #[inline]
    pub(crate) fn ascii(&self, byte: u8) -> u8 {
        self.ascii
            .get(usize::from(byte))
            .copied()
            .unwrap_or(ASCII_PAGES)
    }

    /// What a scalar value becomes.
    pub(crate) fn action(&self, scalar: u32) -> Action<'a> {
        let page = (scalar >> 8) as u16;
        let entry = self.page_entry(page);
        let (action, offset) = if entry & UNIFORM != 0 {
            (entry as u8, 0)
        } else {
            let Some((starts, actions)) = self.run_list(usize::from(entry)) else {
                return Action::Drop;
            };
            let low = scalar as u8;
            let index = starts
                .partition_point(|&start| start <= low)
                .saturating_sub(1);
            let start = starts.get(index).copied().unwrap_or(0);
            (
                actions.get(index).copied().unwrap_or(DROP),
                usize::from(low.saturating_sub(start)),
            )
        };
        match action {
            DROP => Action::Drop,
            BREAK => Action::Break,
            KEEP => Action::Keep,
            ISOLATE => Action::Isolate,
            HANGUL => Action::Hangul,
            _ => self.record_action(action, offset),
        }
    }

    /// `offset` is the scalar value's place in its run.
    fn record_action(&self, action: u8, offset: usize) -> Action<'a> {
        let bytes = self
            .record(action.saturating_sub(FIRST_RECORD))
            .unwrap_or(&[]);
        let payload = u24_at(bytes, 1);
        let at = match bytes.first() {
            // Sign-extended from 24 bits.
            Some(&SHIFT) => return Action::Shift(((payload << 8) as i32) >> 8),
            Some(&TEXT) => payload as usize,
            _ => match u16_at(self.tables, 2 * (payload as usize + offset)) {
                TABLE_KEEP => return Action::Keep,
                at => usize::from(at),
            },
        };
        Action::Text(self.text(at).unwrap_or(&[]))
    }

    fn page_entry(&self, page: u16) -> u16 {
        let (mut low, mut high) = (0, self.pages.len() / 4);
        while low < high {
            let middle = low + (high - low) / 2;
            if u16_at(self.pages, 4 * middle) <= page {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        u16_at(self.pages, 4 * low.saturating_sub(1) + 2)
    }

    /// Starts and actions of the runs of a page.
    fn run_list(&self, at: usize) -> Option<(&'a [u8], &'a [u8])> {
        let (&last, body) = self.runs.get(at..)?.split_first()?;
        let count = usize::from(last) + 1;
        body.get(..2 * count)?.split_at_checked(count)
    }

    fn record(&self, index: u8) -> Option<&'a [u8]> {
        let at = 4 * usize::from(index);
        self.records.get(at..at + 4)
    }

    fn text(&self, at: usize) -> Option<&'a [u8]> {
        let (&len, body) = self.pool.get(at..)?.split_first()?;
        body.get(..usize::from(len))
    }
}
