//! Which tokens are worth their bytes, and what the others become.

use std::collections::HashMap;

use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::image::WordPieceTokenizer;

/// Exponent of a token's share of text in its gain. 1 is the error it saves; a little more keeps common
/// words that their pieces spell well, which short texts need.
const SHARE_EXPONENT: f64 = 1.25;
/// Rounds of choosing: what a token falls back to depends on what else is kept.
const ROUNDS: usize = 3;
/// Share of an ASCII character as a word or piece of its own, before scaling.
const CHARACTER_SHARE: f64 = 1e-3;

/// Which tokens an image keeps that has no room for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pruning {
    /// Those worth most: a token's share of text times the squared distance from its row to the sum of
    /// the rows of its pieces.
    #[default]
    Gain,
    /// The most frequent: for comparison.
    Frequency,
}

/// A vocabulary with what choosing from it needs to know.
pub(super) struct Tokens<'a> {
    pub(super) tokenizer: &'a WordPieceTokenizer,
    ids: HashMap<&'a str, u32>,
    /// Each token's share of running text.
    pub(super) shares: Vec<f64>,
    /// The same by Zipf's law, whatever text was counted: what codecs were measured with.
    zipf: Vec<f64>,
    /// Tokens that always stay.
    stays: Vec<bool>,
}

impl<'a> Tokens<'a> {
    /// Shares are those of `counts`, one a token, each a little larger so that no token counts for
    /// nothing. Without counts they follow Zipf's law over the vocabulary's order, 1 / (rank + 2), single
    /// characters ranked after all else: BERT's vocabularies begin with them, however rare they are.
    pub(super) fn new(tokenizer: &'a WordPieceTokenizer, counts: Option<&[u64]>) -> Self {
        let tokens = &tokenizer.tokens;
        let ids = tokens.iter().map(String::as_str).zip(0..).collect();
        let special = |id: usize| {
            id == tokenizer.unk as usize || tokenizer.added_tokens.contains(&(id as u32))
        };
        let stays: Vec<bool> = (0..tokens.len())
            .map(|id| special(id) || is_character(tokenizer, id) && tokens[id].is_ascii())
            .collect();
        let mut shares = vec![0.0; tokens.len()];
        let (characters, words): (Vec<usize>, Vec<usize>) =
            (0..tokens.len()).partition(|&id| stays[id] || is_character(tokenizer, id));
        for (rank, id) in words.into_iter().chain(characters).enumerate() {
            shares[id] = match stays[id] {
                true if special(id) => 0.0,
                true => CHARACTER_SHARE,
                false => 1.0 / (rank + 2) as f64,
            };
        }
        let zipf = normalized(shares);
        let shares = match counts {
            Some(counts) => {
                let counts = counts.iter().zip(0..);
                normalized(
                    counts
                        .map(|(&count, id)| if special(id) { 0.0 } else { count as f64 + 1.0 })
                        .collect(),
                )
            }
            None => zipf.clone(),
        };
        Self {
            tokenizer,
            ids,
            shares,
            zipf,
            stays,
        }
    }

    /// Fewest tokens that can be kept: those that spell any ASCII word, and the special ones.
    pub(super) fn fewest(&self) -> usize {
        self.stays.iter().filter(|stays| **stays).count()
    }

    /// Share of running text that the most frequent `count` tokens make up by Zipf's law, at most 1.
    pub(super) fn coverage(&self, count: usize) -> f64 {
        let mut shares = self.zipf.clone();
        shares.sort_by(|a, b| b.total_cmp(a));
        shares.iter().take(count).sum()
    }

    /// The `count` tokens worth most, in ascending order.
    pub(super) fn choose(
        &self,
        rows: &[f32],
        dims: usize,
        count: usize,
        pruning: Pruning,
    ) -> Vec<u32> {
        let all = self.tokenizer.tokens.len();
        let mut kept = vec![true; all];
        let mut order: Vec<u32> = (0..all as u32).collect();
        if count >= all {
            return order;
        }
        for _ in 0..ROUNDS {
            let gains: Vec<f64> = (0..all)
                .into_par_iter()
                .map(|id| {
                    if self.stays[id] {
                        return f64::INFINITY;
                    }
                    if pruning == Pruning::Frequency {
                        return self.shares[id];
                    }
                    let mut error = rows[id * dims..(id + 1) * dims].to_vec();
                    for piece in self.pieces(id as u32, &kept).unwrap_or_default() {
                        let start = piece as usize * dims;
                        error
                            .iter_mut()
                            .zip(&rows[start..])
                            .for_each(|(e, x)| *e -= x);
                    }
                    let square: f64 = error.iter().map(|&e| f64::from(e) * f64::from(e)).sum();
                    self.shares[id].powf(SHARE_EXPONENT) * square
                })
                .collect();
            order.sort_by(|&a, &b| {
                gains[b as usize]
                    .total_cmp(&gains[a as usize])
                    .then(a.cmp(&b))
            });
            kept.fill(false);
            order
                .iter()
                .take(count)
                .for_each(|&id| kept[id as usize] = true);
        }
        let mut chosen = order[..count].to_vec();
        chosen.sort_unstable();
        chosen
    }

    /// What WordPiece makes of a token's text with the kept tokens but without this one; `None` if
    /// the unknown token.
    pub(super) fn pieces(&self, id: u32, kept: &[bool]) -> Option<Vec<u32>> {
        let prefix = &self.tokenizer.continuing_subword_prefix;
        let token = &self.tokenizer.tokens[id as usize];
        let (mut rest, mut inside) = match token.strip_prefix(prefix.as_str()) {
            Some(rest) if !rest.is_empty() => (rest, true),
            _ => (token.as_str(), false),
        };
        let mut pieces = Vec::new();
        let mut spelled = String::new();
        while !rest.is_empty() {
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
            let (end, piece) = ends.rev().find_map(|end| {
                spelled.clear();
                if inside {
                    spelled.push_str(prefix);
                }
                spelled.push_str(&rest[..end]);
                let piece = *self.ids.get(spelled.as_str())?;
                (piece != id && kept[piece as usize]).then_some((end, piece))
            })?;
            pieces.push(piece);
            rest = &rest[end..];
            inside = true;
        }
        Some(pieces)
    }
}

/// Values as shares of their sum.
fn normalized(mut values: Vec<f64>) -> Vec<f64> {
    let total: f64 = values.iter().sum();
    values
        .iter_mut()
        .for_each(|value| *value /= total.max(f64::MIN_POSITIVE));
    values
}

/// Whether a token is a single character, as a word or inside one.
fn is_character(tokenizer: &WordPieceTokenizer, id: usize) -> bool {
    let token = &tokenizer.tokens[id];
    let inside = token.strip_prefix(tokenizer.continuing_subword_prefix.as_str());
    inside
        .filter(|rest| !rest.is_empty())
        .unwrap_or(token)
        .chars()
        .count()
        == 1
}

/// A `tokenizer.json` with only the `kept` tokens, numbered in their order.
pub(crate) fn rewrite(tokenizer: &Value, tokens: &[String], kept: &[u32]) -> Value {
    let new_ids: HashMap<&str, usize> = kept
        .iter()
        .enumerate()
        .map(|(new, &old)| (tokens[old as usize].as_str(), new))
        .collect();
    let mut rewritten = tokenizer.clone();
    let vocabulary: Map<String, Value> = kept
        .iter()
        .enumerate()
        .map(|(new, &old)| (tokens[old as usize].clone(), new.into()))
        .collect();
    rewritten["model"]["vocab"] = vocabulary.into();
    rewritten["post_processor"] = Value::Null;
    rewritten["padding"] = Value::Null;
    if let Some(added) = rewritten["added_tokens"].as_array_mut() {
        added.retain(|entry| {
            let text = entry["content"].as_str();
            text.is_some_and(|text| new_ids.contains_key(text))
        });
        for entry in added {
            if let Some(&id) = entry["content"].as_str().and_then(|text| new_ids.get(text)) {
                entry["id"] = id.into();
            }
        }
    }
    rewritten
}
