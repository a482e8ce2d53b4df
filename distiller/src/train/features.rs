//! What of a text has a row: its tokens, and some of its n-grams.

use std::collections::{HashMap, HashSet};

use flashvec::ngrams_layout::{Window, bucket, fingerprint};

use super::words::Splits;
use crate::image::NGramTable;
use crate::pretrain::Texts;

/// Which n-grams have rows, and which row is whose: rows of tokens come first, by their number.
pub(super) enum NGramRows {
    None,
    /// By hash.
    Exact { kinds: u8, rows: HashMap<u32, u32> },
    /// As an image's table finds them, mistakes included.
    Table {
        kinds: u8,
        fingerprint_bits: u8,
        bucket_bits: u8,
        rows: HashMap<(u32, u32), u32>,
    },
}

impl NGramRows {
    /// The rows of a table's n-grams behind those of `tokens` tokens.
    pub(super) fn table(table: &NGramTable, hashes: &[u32], tokens: u32) -> Self {
        let (fingerprint_bits, bucket_bits) = (table.section()[1], table.section()[2]);
        let place = |&hash: &u32| {
            (
                bucket(hash, bucket_bits),
                fingerprint(hash, fingerprint_bits),
            )
        };
        let rows = table.indices().iter().map(|index| tokens + index);
        Self::Table {
            kinds: table.kinds(),
            fingerprint_bits,
            bucket_bits,
            rows: hashes.iter().map(place).zip(rows).collect(),
        }
    }

    fn kinds(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Exact { kinds, .. } | Self::Table { kinds, .. } => *kinds,
        }
    }

    fn row(&self, hash: u32) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Exact { rows, .. } => rows.get(&hash).copied(),
            Self::Table {
                fingerprint_bits,
                bucket_bits,
                rows,
                ..
            } => rows
                .get(&(
                    bucket(hash, *bucket_bits),
                    fingerprint(hash, *fingerprint_bits),
                ))
                .copied(),
        }
    }
}

/// Calls `visit` with the hashes of a text's n-grams, in order.
pub(super) fn for_each_ngram(
    words: &[u32],
    splits: &Splits,
    kinds: u8,
    mut visit: impl FnMut(u32),
) {
    let mut window = Window::new(kinds);
    for &word in words {
        match &splits[word as usize] {
            Some(tokens) => tokens
                .iter()
                .for_each(|&token| window.token(token, &mut visit)),
            None => window.unknown(),
        }
    }
    window.end(visit);
}

/// The rows of each text's tokens and n-grams.
pub(super) fn rows_of(texts: &Texts, splits: &Splits, ngrams: &NGramRows) -> Texts {
    let mut rows = Texts::default();
    for text in 0..texts.len() {
        let words = texts.ids(text);
        let tokens = words.iter().filter_map(|&word| splits[word as usize].as_ref());
        let mut of_text: Vec<u32> = tokens.flatten().copied().collect();
        for_each_ngram(words, splits, ngrams.kinds(), |hash| {
            of_text.extend(ngrams.row(hash));
        });
        rows.push(of_text);
    }
    rows
}

/// N-grams that `texts` have `least` times or more, most frequent first, at most `most`.
pub(super) fn frequent_ngrams(
    texts: &Texts,
    splits: &Splits,
    kinds: u8,
    least: u32,
    most: usize,
) -> Vec<u32> {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for text in 0..texts.len() {
        for_each_ngram(texts.ids(text), splits, kinds, |hash| {
            *counts.entry(hash).or_default() += 1;
        });
    }
    let mut ngrams: Vec<(u32, u32)> = counts
        .into_iter()
        .filter(|&(_, count)| count >= least)
        .collect();
    ngrams.sort_unstable_by_key(|&(hash, count)| (std::cmp::Reverse(count), hash));
    ngrams.truncate(most);
    ngrams.into_iter().map(|(hash, _)| hash).collect()
}

/// Each of the `wanted` n-grams that texts have, first with the one numbering of tokens, then with the other, which
/// splits words the same way.
pub(super) fn renumbered(
    texts: &Texts,
    splits: &Splits,
    renumbered: &Splits,
    kinds: u8,
    wanted: &HashSet<u32>,
) -> Vec<(u32, u32)> {
    let mut known = HashSet::new();
    let mut found = Vec::new();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for text in 0..texts.len() {
        let words = texts.ids(text);
        before.clear();
        after.clear();
        for_each_ngram(words, splits, kinds, |hash| before.push(hash));
        for_each_ngram(words, renumbered, kinds, |hash| after.push(hash));
        for (&before, &after) in before.iter().zip(&after) {
            if wanted.contains(&before) && known.insert(before) {
                found.push((before, after));
            }
        }
    }
    found
}
