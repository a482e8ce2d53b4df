//! Compiling a character map: asking the tokenizer's own normalizer and pre-tokenizer about every
//! Unicode scalar value.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

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
    let answers = Answers::of(&tokenizer.stages)?;
    let alphabet: HashSet<char> = tokenizer
        .tokens
        .iter()
        .flat_map(|token| token.chars())
        .collect();
    let mappings = (0..CODE_POINTS)
        .into_par_iter()
        .map(|code| match char::from_u32(code) {
            Some(scalar) => answers.mapping(scalar, &alphabet),
            None => Ok(Mapping::Keep),
        })
        .collect::<Result<Vec<Mapping>>>()?;
    Ok(fold_hangul(mappings, &alphabet))
}

/// What becomes of every code point where the vocabulary's scripts are all that matters: characters of blocks that no token
/// has one of, or of what these become, are all unknown, punctuation and blanks of such blocks included.
pub(super) fn compile_scripts(tokenizer: &WordPieceTokenizer) -> Result<Vec<Mapping>> {
    let mut mappings = compile(tokenizer)?;
    let alphabet: HashSet<u32> = tokenizer
        .tokens
        .iter()
        .flat_map(|token| token.chars().map(u32::from))
        .collect();
    let leads_to_a_token = |(code, mapping): (u32, &Mapping)| match mapping {
        Mapping::Keep | Mapping::Isolate => alphabet.contains(&code),
        Mapping::Text(text) => {
            let special = [layout::TEXT_BREAK, layout::TEXT_UNKNOWN];
            text.iter().any(|byte| !special.contains(byte))
        }
        Mapping::Drop | Mapping::Break | Mapping::Hangul => false,
    };
    for (block, mappings) in (0..).zip(mappings.chunks_mut(BLOCK_OF_SCRIPT as usize)) {
        let first = block * BLOCK_OF_SCRIPT;
        let known = (first..).zip(&*mappings).any(leads_to_a_token);
        if !known && !COMMON_BLOCKS.contains(&first) {
            mappings.fill(Mapping::Keep);
        }
    }
    Ok(mappings)
}

/// Code points that stay or go together.
const BLOCK_OF_SCRIPT: u32 = 0x100;
/// Blocks of blanks, punctuation and marks that texts in all scripts have.
const COMMON_BLOCKS: [u32; 3] = [0, 0x300, 0x2000];
const CODE_POINTS: u32 = 0x11_0000;
/// Scalar values that are asked about in one go.
const BLOCK: u32 = 0x1000;

/// What the stages answered about every scalar value, whatever the vocabulary.
struct Answers {
    /// What each normalizes to, one after the other, and how each of these is treated.
    characters: Vec<(char, Class)>,
    /// Where those of a code point begin; one more entry than code points.
    starts: Vec<u32>,
    /// Whether the normalizer takes characters apart.
    decomposes: bool,
}

impl Answers {
    /// Asks once a process and kind of stages: it takes a second, and compression compiles one
    /// vocabulary after another.
    fn of(stages: &Value) -> Result<Arc<Self>> {
        static ASKED: Mutex<Vec<(Value, Arc<Answers>)>> = Mutex::new(Vec::new());
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answers)) = asked.iter().find(|(known, _)| known == stages) {
            return Ok(Arc::clone(answers));
        }
        let answers = Arc::new(Self::ask(&Stages::new(stages)?)?);
        asked.push((stages.clone(), Arc::clone(&answers)));
        Ok(answers)
    }

    fn ask(stages: &Stages) -> Result<Self> {
        let blocks = (0..CODE_POINTS / BLOCK)
            .into_par_iter()
            .map(|block| {
                let (mut characters, mut lens) = (Vec::new(), Vec::new());
                for code in block * BLOCK..(block + 1) * BLOCK {
                    let before = characters.len();
                    if let Some(scalar) = char::from_u32(code) {
                        for c in stages.normalize(scalar)?.chars() {
                            characters.push((c, stages.class(c)?));
                        }
                    }
                    lens.push(characters.len() - before);
                }
                Ok((characters, lens))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut answers = Self {
            characters: Vec::new(),
            starts: vec![0],
            decomposes: stages.normalize('\u{E9}')? != "\u{E9}",
        };
        let mut start = 0;
        for (characters, lens) in blocks {
            answers.characters.extend(characters);
            for len in lens {
                start += len as u32;
                answers.starts.push(start);
            }
        }
        Ok(answers)
    }

    fn mapping(&self, scalar: char, alphabet: &HashSet<char>) -> Result<Mapping> {
        let code = scalar as usize;
        let range = self.starts[code] as usize..self.starts[code + 1] as usize;
        // Words of the layout's text form, with a break wherever the pre-tokenizer makes one.
        let mut text: Vec<u8> = Vec::new();
        let mut word: Vec<char> = Vec::new();
        for &(c, class) in &self.characters[range] {
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

struct Stages {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: PreTokenizerWrapper,
}

impl Stages {
    fn new(stages: &Value) -> Result<Self> {
        let invalid = |part: &str, error: serde_json::Error| Error::Tokenizer {
            what: format!("its {part} cannot be read ({error})"),
        };
        Ok(Self {
            normalizer: serde_json::from_value(stages["normalizer"].clone())
                .map_err(|e| invalid("normalizer", e))?,
            pre_tokenizer: serde_json::from_value(stages["pre_tokenizer"].clone())
                .map_err(|e| invalid("pre_tokenizer", e))?,
        })
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
