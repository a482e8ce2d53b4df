//! Which vocabulary entries a distilled model keeps, and its rewritten `tokenizer.json`.

mod rewrite;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use crate::image::model_kind;
use crate::{Error, Result};

/// The entries removed by default: BERT's placeholders.
pub const UNUSED_PATTERN: &str = r"\[unused\d+\]";

/// Which of a teacher's vocabulary entries to keep.
///
/// Whatever the limits below, the unknown and padding tokens stay, and so does every single
/// character, both as a word and as a continuation: no word that could be spelled before becomes
/// unknown.
#[derive(Clone, Debug)]
pub struct VocabularyFilter {
    /// Entries that this pattern matches from their beginning are removed; `None` removes none.
    pub remove: Option<String>,
    /// At most this many entries, the first in vocabulary order; `None`: no limit.
    pub max_entries: Option<usize>,
    /// Only entries of this list, spelled as in the vocabulary (`##ing`); `None`: no list.
    pub word_list: Option<Vec<String>>,
}

impl Default for VocabularyFilter {
    /// What Model2Vec keeps: everything but `[unused…]`.
    fn default() -> Self {
        Self {
            remove: Some(UNUSED_PATTERN.to_owned()),
            max_entries: None,
            word_list: None,
        }
    }
}

/// Reads a word list: one entry a line, empty lines skipped.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read as UTF-8.
pub fn read_word_list(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    Ok(text
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The kept entries in vocabulary order.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// A WordPiece `tokenizer.json` whose ids are indices into `sequences`.
    pub tokenizer: Value,
    /// What to show the teacher for each entry: its beginning-of-sequence tokens, the entry, its
    /// end-of-sequence tokens, as the teacher's ids.
    pub sequences: Vec<Vec<u32>>,
    /// Each entry's rank before `max_entries` and `word_list` were applied.
    pub ranks: Vec<usize>,
    /// Number of entries before `max_entries` and `word_list` were applied.
    pub ranked: usize,
}

impl Vocabulary {
    /// Selects from the vocabulary of a teacher's `tokenizer.json`.
    ///
    /// As in Model2Vec, added tokens other than the unknown and the padding token go, and the
    /// post-processor with them. `pad_token` is the padding token named outside `tokenizer.json`, if any.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer is not a sound WordPiece one; [`Error::Option`] if the
    /// pattern is no regular expression, nothing is left, or `max_entries` is below what must stay.
    pub fn select(
        tokenizer: &Value,
        pad_token: Option<&str>,
        filter: &VocabularyFilter,
    ) -> Result<Self> {
        let wordpiece = TeacherVocabulary::read(tokenizer, pad_token)?;
        let (bos, eos) = wordpiece.frame(tokenizer)?;
        let ranked = wordpiece.ranked(tokenizer, filter.remove.as_deref())?;
        let kept = wordpiece.limit(&ranked, filter)?;
        if kept.is_empty() {
            let what = "no vocabulary entry is left; remove and keep less strictly".to_owned();
            return Err(Error::Option {
                option: "vocabulary",
                what,
            });
        }
        let sequences = kept.iter().map(|&rank| {
            let id = wordpiece.ids[ranked[rank]];
            bos.iter()
                .copied()
                .chain([id])
                .chain(eos.iter().copied())
                .collect()
        });
        let tokens: Vec<&str> = kept.iter().map(|&rank| ranked[rank]).collect();
        Ok(Self {
            sequences: sequences.collect(),
            tokenizer: rewrite::rewrite(tokenizer, &tokens, wordpiece.unknown, wordpiece.padding),
            ranked: ranked.len(),
            ranks: kept,
        })
    }
}

/// The parts of a WordPiece `tokenizer.json` that decide what to keep.
struct TeacherVocabulary<'a> {
    ids: HashMap<&'a str, u32>,
    prefix: &'a str,
    unknown: &'a str,
    padding: Option<&'a str>,
}

fn unsound(what: impl Into<String>) -> Error {
    Error::Tokenizer { what: what.into() }
}

impl<'a> TeacherVocabulary<'a> {
    fn read(tokenizer: &'a Value, pad_token: Option<&'a str>) -> Result<Self> {
        let model = tokenizer
            .get("model")
            .ok_or_else(|| unsound("no model in it; fetch the file again"))?;
        let kind = model_kind(model);
        if kind != "WordPiece" {
            return Err(unsound(format!(
                "a tokenizer of type {kind} cannot be distilled; supported: WordPiece"
            )));
        }
        let vocab = model.get("vocab").and_then(Value::as_object);
        let vocab =
            vocab.ok_or_else(|| unsound("model.vocab is not an object; fetch the file again"))?;
        let mut ids = HashMap::with_capacity(vocab.len());
        for (token, id) in vocab {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id =
                id.ok_or_else(|| unsound(format!("the id of {token:?} is not a whole number")))?;
            ids.insert(token.as_str(), id);
        }
        let text = |name: &str| model.get(name).and_then(Value::as_str);
        let unknown = text("unk_token").unwrap_or("[UNK]");
        if !ids.contains_key(unknown) {
            return Err(unsound(format!(
                "its unknown token {unknown:?} is not in its vocabulary"
            )));
        }
        let padding = tokenizer
            .pointer("/padding/pad_token")
            .and_then(Value::as_str);
        let padding = pad_token
            .or(padding)
            .or(Some("[PAD]"))
            .filter(|token| ids.contains_key(token));
        Ok(Self {
            ids,
            prefix: text("continuing_subword_prefix").unwrap_or("##"),
            unknown,
            padding,
        })
    }

    /// Ids that the tokenizer puts before and after a text.
    fn frame(&self, tokenizer: &Value) -> Result<(Vec<u32>, Vec<u32>)> {
        let Some(post) = tokenizer
            .get("post_processor")
            .filter(|post| !post.is_null())
        else {
            return Ok((Vec::new(), Vec::new()));
        };
        let kind = post.get("type").and_then(Value::as_str).unwrap_or_default();
        let names = |tokens: Option<&Value>| -> Vec<String> {
            let tokens = tokens.and_then(Value::as_array).into_iter().flatten();
            tokens
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let (before, after) = match kind {
            "TemplateProcessing" => {
                let template = |piece: Option<&Value>| {
                    let name = piece
                        .and_then(|piece| piece.pointer("/SpecialToken/id"))
                        .and_then(Value::as_str);
                    let special = name.and_then(|name| post.get("special_tokens")?.get(name));
                    names(special.and_then(|special| special.get("tokens")))
                };
                let single = post.get("single").and_then(Value::as_array);
                (
                    template(single.and_then(|s| s.first())),
                    template(single.and_then(|s| s.last())),
                )
            }
            "BertProcessing" | "RobertaProcessing" => {
                let token = |part: &str| post.get(part)?.get(0)?.as_str().map(str::to_owned);
                (Vec::from_iter(token("cls")), Vec::from_iter(token("sep")))
            }
            _ => (Vec::new(), Vec::new()),
        };
        let ids = |tokens: Vec<String>| {
            let id = |token: &String| self.ids.get(token.as_str()).copied();
            let missing = |token: &String| {
                unsound(format!(
                    "its special token {token:?} is not in its vocabulary"
                ))
            };
            tokens
                .iter()
                .map(|token| id(token).ok_or_else(|| missing(token)))
                .collect::<Result<Vec<u32>>>()
        };
        Ok((ids(before)?, ids(after)?))
    }

    fn must_stay(&self, token: &str) -> bool {
        token == self.unknown || Some(token) == self.padding
    }

    /// The entries that Model2Vec keeps, by id.
    fn ranked(&self, tokenizer: &Value, remove: Option<&str>) -> Result<Vec<&'a str>> {
        // Anchored as Python's `re.match` is.
        let remove = remove
            .map(|pattern| Regex::new(&format!("^(?:{pattern})")))
            .transpose();
        let remove = remove.map_err(|e| Error::Option {
            option: "token-remove pattern",
            what: e.to_string(),
        })?;
        let added = tokenizer
            .get("added_tokens")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let added: HashSet<&str> = added
            .filter_map(|token| token.get("content")?.as_str())
            .collect();
        let keeps = |token: &str| {
            let removed = added.contains(token)
                || remove
                    .as_ref()
                    .is_some_and(|pattern| pattern.is_match(token));
            self.must_stay(token) || !removed
        };
        let mut ranked: Vec<&str> = self
            .ids
            .keys()
            .copied()
            .filter(|token| keeps(token))
            .collect();
        ranked.sort_by_key(|token| (self.ids[token], *token));
        Ok(ranked)
    }

    /// Ranks of the entries that the filter's limits leave.
    fn limit(&self, ranked: &[&str], filter: &VocabularyFilter) -> Result<Vec<usize>> {
        let listed: Option<HashSet<&str>> = filter
            .word_list
            .as_ref()
            .map(|list| list.iter().map(String::as_str).collect());
        if listed
            .as_ref()
            .is_some_and(|listed| ranked.iter().all(|token| !listed.contains(token)))
        {
            let what =
                "no entry of the word list is in the teacher's vocabulary; spell them as it does"
                    .to_owned();
            return Err(Error::Option {
                option: "vocabulary",
                what,
            });
        }
        let needed: Vec<bool> = ranked
            .iter()
            .map(|token| self.must_stay(token) || self.is_character(token))
            .collect();
        let needed_count = needed.iter().filter(|&&needed| needed).count();
        let maximum = filter.max_entries.unwrap_or(ranked.len());
        if maximum < needed_count {
            let what = format!(
                "{maximum} entries are too few: special tokens and single characters alone are {needed_count}; \
                 ask for at least that"
            );
            return Err(Error::Option {
                option: "vocabulary",
                what,
            });
        }
        let mut free = maximum - needed_count;
        let mut kept = Vec::new();
        for (rank, (token, needed)) in ranked.iter().zip(needed).enumerate() {
            let wanted = listed.as_ref().is_none_or(|listed| listed.contains(token));
            if needed {
                kept.push(rank);
            } else if wanted && free > 0 {
                kept.push(rank);
                free -= 1;
            }
        }
        Ok(kept)
    }

    /// Whether a token is one character, as a word or as a continuation.
    fn is_character(&self, token: &str) -> bool {
        let spelling = token
            .strip_prefix(self.prefix)
            .filter(|rest| !rest.is_empty())
            .unwrap_or(token);
        spelling.chars().count() == 1
    }
}

#[cfg(test)]
mod tests;
