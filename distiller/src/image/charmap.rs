//! Compiling a character map: asking the tokenizer's own normalizer and pre-tokenizer about every
//! Unicode scalar value.

use std::collections::HashSet;

use flashvec::charmap_layout as layout;
use rayon::prelude::*;
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};
use unicode_normalization::char::canonical_combining_class;

use super::tokenizer::WordPieceTokenizer;
use crate::error::{Error, Result};

/// What a scalar value becomes, reduced to what the vocabulary can tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mapping {
    Drop,
    Break,
    Keep,
    Isolate,
    Hangul,
    /// In the layout's own text form.
    Text(Vec<u8>),
}

/// How the pre-tokenizer treats a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Removed,
    Isolated,
    InWord,
}

/// What becomes of every code point; surrogates, which are no scalar values, are kept.
pub(super) fn compile(tokenizer: &WordPieceTokenizer) -> Result<Vec<Mapping>> {
    let stages = Stages::new(&tokenizer.stages)?;
    let alphabet: HashSet<char> = tokenizer
        .tokens
        .iter()
        .flat_map(|token| token.chars())
        .collect();
    let mappings = (0..0x110000_u32)
        .into_par_iter()
        .map(|code| match char::from_u32(code) {
            Some(scalar) => stages.mapping(scalar, &alphabet),
            None => Ok(Mapping::Keep),
        })
        .collect::<Result<Vec<Mapping>>>()?;
    Ok(fold_hangul(mappings, &alphabet))
}

struct Stages {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: PreTokenizerWrapper,
    /// Whether the normalizer takes characters apart.
    decomposes: bool,
}

impl Stages {
    fn new(stages: &Value) -> Result<Self> {
        let invalid = |part: &str, error: serde_json::Error| Error::Tokenizer {
            what: format!("its {part} cannot be read ({error})"),
        };
        let mut this = Self {
            normalizer: serde_json::from_value(stages["normalizer"].clone())
                .map_err(|e| invalid("normalizer", e))?,
            pre_tokenizer: serde_json::from_value(stages["pre_tokenizer"].clone())
                .map_err(|e| invalid("pre_tokenizer", e))?,
            decomposes: false,
        };
        this.decomposes = this.normalize('\u{E9}')? != "\u{E9}";
        Ok(this)
    }

    fn mapping(&self, scalar: char, alphabet: &HashSet<char>) -> Result<Mapping> {
        let normalized = self.normalize(scalar)?;
        // Words of the layout's text form, with a break wherever the pre-tokenizer makes one.
        let mut text: Vec<u8> = Vec::new();
        let mut word: Vec<char> = Vec::new();
        for c in normalized.chars() {
            let class = self.class(c)?;
            if class == Class::InWord && c != ' ' {
                self.check_reordering(c, alphabet)?;
                word.push(c);
                continue;
            }
            // The text form has no other meaning for a blank than a break.
            if class != Class::Removed && c == ' ' {
                return Err(Error::UnsupportedTokenizer {
                    part: "pre_tokenizer".to_owned(),
                    found: "a blank that is not removed".to_owned(),
                    supported: "pre-tokenizers that split at white space".to_owned(),
                });
            }
            end_word(&mut text, &mut word, alphabet);
            push_break(&mut text);
            if class == Class::Isolated {
                word.push(c);
                end_word(&mut text, &mut word, alphabet);
                push_break(&mut text);
            }
        }
        end_word(&mut text, &mut word, alphabet);
        Ok(reduce(scalar, text, alphabet))
    }

    fn normalize(&self, scalar: char) -> Result<String> {
        let Some(normalizer) = &self.normalizer else {
            return Ok(scalar.to_string());
        };
        let mut normalized = NormalizedString::from(scalar.to_string());
        normalizer
            .normalize(&mut normalized)
            .map_err(|e| Error::Tokenizer {
                what: format!("its normalizer failed on {scalar:?} ({e})"),
            })?;
        Ok(normalized.get().to_owned())
    }

    /// Twice between letters: neighbours of the same kind must not change what happens to it.
    fn class(&self, c: char) -> Result<Class> {
        let probe = format!("a{c}{c}a");
        let mut split = PreTokenizedString::from(probe.as_str());
        self.pre_tokenizer
            .pre_tokenize(&mut split)
            .map_err(|e| Error::Tokenizer {
                what: format!("its pre_tokenizer failed on {c:?} ({e})"),
            })?;
        let words: Vec<&str> = split
            .get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(word, ..)| word)
            .filter(|word| !word.is_empty())
            .collect();
        let own = c.to_string();
        if words == [probe.as_str()] {
            Ok(Class::InWord)
        } else if words == ["a", "a"] {
            Ok(Class::Removed)
        } else if words == ["a", own.as_str(), own.as_str(), "a"] {
            Ok(Class::Isolated)
        } else {
            Err(Error::UnsupportedTokenizer {
                part: "pre_tokenizer".to_owned(),
                found: format!("a split of {probe:?} into {words:?}"),
                supported: "characters that are removed, split off or left in their word"
                    .to_owned(),
            })
        }
    }

    /// Canonical decomposition sorts combining marks, which no map of single characters can do. It
    /// makes no difference while such marks are stripped or no token has them.
    fn check_reordering(&self, c: char, alphabet: &HashSet<char>) -> Result<()> {
        if self.decomposes && canonical_combining_class(c) != 0 && alphabet.contains(&c) {
            return Err(Error::UnsupportedTokenizer {
                part: "normalizer".to_owned(),
                found: format!("a canonical decomposition that keeps the combining mark {c:?}"),
                supported: "decomposition together with StripAccents".to_owned(),
            });
        }
        Ok(())
    }
}

/// Appends a word; one with a character that no token has is a single unknown character.
fn end_word(text: &mut Vec<u8>, word: &mut Vec<char>, alphabet: &HashSet<char>) {
    if word.iter().all(|c| alphabet.contains(c)) {
        text.extend(word.iter().collect::<String>().bytes());
    } else {
        text.push(layout::TEXT_UNKNOWN);
    }
    word.clear();
}

fn push_break(text: &mut Vec<u8>) {
    if text.last() != Some(&layout::TEXT_BREAK) {
        text.push(layout::TEXT_BREAK);
    }
}

/// Names the short forms, and takes "itself" for "unknown" where no token has the character, so
/// that runs get long.
fn reduce(scalar: char, text: Vec<u8>, alphabet: &HashSet<char>) -> Mapping {
    let itself = if alphabet.contains(&scalar) {
        scalar.to_string().into_bytes()
    } else {
        vec![layout::TEXT_UNKNOWN]
    };
    let isolated = [
        &[layout::TEXT_BREAK],
        itself.as_slice(),
        &[layout::TEXT_BREAK],
    ]
    .concat();
    if text.is_empty() {
        Mapping::Drop
    } else if text == [layout::TEXT_BREAK] {
        Mapping::Break
    } else if text == itself {
        Mapping::Keep
    } else if text == isolated {
        Mapping::Isolate
    } else {
        Mapping::Text(text)
    }
}

/// Marks the Hangul syllables if all of them decompose by the rule, as far as the vocabulary can
/// tell.
fn fold_hangul(mut mappings: Vec<Mapping>, alphabet: &HashSet<char>) -> Vec<Mapping> {
    let syllables = 0xAC00..0xAC00 + 11_172;
    let by_rule = |code: usize| {
        let index = code as u32 - 0xAC00;
        let jamo = [
            0x1100 + index / 588,
            0x1161 + index % 588 / 28,
            0x11A7 + index % 28,
        ];
        let mut word: Vec<char> = jamo
            .iter()
            .take(if index.is_multiple_of(28) { 2 } else { 3 })
            .filter_map(|&c| char::from_u32(c))
            .collect();
        let mut text = Vec::new();
        end_word(&mut text, &mut word, alphabet);
        text
    };
    let is_by_rule = |code: usize| match &mappings[code] {
        Mapping::Text(text) => *text == by_rule(code),
        // Unknown either way.
        Mapping::Keep => {
            by_rule(code) == [layout::TEXT_UNKNOWN]
                && !char::from_u32(code as u32).is_some_and(|c| alphabet.contains(&c))
        }
        _ => false,
    };
    let some_decompose = syllables
        .clone()
        .any(|code| matches!(mappings[code], Mapping::Text(_)));
    if some_decompose && syllables.clone().all(is_by_rule) {
        mappings[syllables].fill(Mapping::Hangul);
    }
    mappings
}
