//! Reading a WordPiece `tokenizer.json`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Normalizers whose effect on a character does not depend on its neighbours, up to the order of
/// combining marks (which compiling the character map checks).
const NORMALIZERS: [&str; 6] = [
    "BertNormalizer",
    "Lowercase",
    "NFD",
    "NFKD",
    "Sequence",
    "StripAccents",
];

/// Pre-tokenizers that remove a character, split it off or leave it in its word.
const PRE_TOKENIZERS: [&str; 4] = [
    "BertPreTokenizer",
    "Punctuation",
    "Sequence",
    "WhitespaceSplit",
];

/// A WordPiece tokenizer, every part of which an image can hold.
#[derive(Clone, Debug)]
pub struct WordPieceTokenizer {
    /// Token texts by id, added tokens included.
    pub tokens: Vec<String>,
    /// Id of the unknown token.
    pub unk: u32,
    /// What continuation pieces start with.
    pub continuing_subword_prefix: String,
    /// Longer words are one unknown token.
    pub max_input_chars_per_word: u16,
    /// Ids of the tokens that are looked for in the raw text.
    pub added_tokens: Vec<u32>,
    /// The `normalizer` and `pre_tokenizer` of `tokenizer.json`.
    pub stages: Value,
}

impl WordPieceTokenizer {
    /// Whether an image can hold the stages of a `tokenizer.json`: worth asking before a long
    /// distillation.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedTokenizer`] names the first stage that it cannot.
    pub fn check_stages(json: &Value) -> Result<()> {
        let kind = model_kind(&json["model"]);
        if kind != "WordPiece" {
            return Err(unsupported("model", kind, "WordPiece"));
        }
        if !json["normalizer"].is_null() {
            check_stage(
                "normalizer",
                &json["normalizer"],
                "normalizers",
                &NORMALIZERS,
            )?;
        }
        check_stage(
            "pre_tokenizer",
            &json["pre_tokenizer"],
            "pretokenizers",
            &PRE_TOKENIZERS,
        )
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedTokenizer`] names the first part that an image cannot hold,
    /// [`Error::Tokenizer`] says what is missing or contradictory.
    pub fn from_json(json: &Value) -> Result<Self> {
        Self::check_stages(json)?;
        let model = &json["model"];
        let vocabulary = model["vocab"]
            .as_object()
            .ok_or_else(|| invalid("`model.vocab` is missing"))?;
        let mut ids: HashMap<u32, &str> = HashMap::with_capacity(vocabulary.len());
        for (token, id) in vocabulary {
            let id = id
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| invalid(format!("the id of token {token:?} is not a number")))?;
            if let Some(other) = ids.insert(id, token) {
                return Err(invalid(format!(
                    "tokens {other:?} and {token:?} have the same id {id}"
                )));
            }
        }
        let added_tokens = added_tokens(json, vocabulary)?;
        for &(id, content) in &added_tokens {
            match ids.insert(id, content) {
                Some(other) if other != content => {
                    return Err(invalid(format!(
                        "tokens {other:?} and {content:?} have the same id {id}"
                    )));
                }
                _ => {}
            }
        }
        let tokens = (0..ids.len() as u32)
            .map(|id| match ids.get(&id) {
                Some(&"") => Err(invalid(format!("the token with id {id} is empty"))),
                Some(&token) => Ok(token.to_owned()),
                None => Err(invalid(format!(
                    "no token has id {id}, but there are higher ids"
                ))),
            })
            .collect::<Result<Vec<String>>>()?;

        let unk_token = model["unk_token"].as_str().unwrap_or("[UNK]");
        let unk = vocabulary
            .get(unk_token)
            .and_then(Value::as_u64)
            .ok_or_else(|| {
                invalid(format!(
                    "the unknown token {unk_token:?} is not in the vocabulary"
                ))
            })?;
        let max_chars = model["max_input_chars_per_word"].as_u64().unwrap_or(100);
        let max_input_chars_per_word = u16::try_from(max_chars)
            .ok()
            .filter(|n| (1..=flashvec::image::MAX_WORD_CHARS).contains(n))
            .ok_or_else(|| {
                invalid(format!(
                    "`max_input_chars_per_word` is {max_chars}; an image holds 1 to {}",
                    flashvec::image::MAX_WORD_CHARS
                ))
            })?;
        Ok(Self {
            tokens,
            unk: unk as u32,
            continuing_subword_prefix: model["continuing_subword_prefix"]
                .as_str()
                .unwrap_or("##")
                .to_owned(),
            max_input_chars_per_word,
            added_tokens: added_tokens.into_iter().map(|(id, _)| id).collect(),
            stages: serde_json::json!({
                "normalizer": json["normalizer"],
                "pre_tokenizer": json["pre_tokenizer"],
            }),
        })
    }
}

/// Ids and texts of the added tokens.
fn added_tokens<'a>(
    json: &'a Value,
    vocabulary: &Map<String, Value>,
) -> Result<Vec<(u32, &'a str)>> {
    let mut tokens = Vec::new();
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let content = added["content"].as_str().unwrap_or_default();
        let own = if vocabulary.contains_key(content) {
            &vocabulary[content]
        } else if splits_punctuation(&json["pre_tokenizer"]) && has_punctuation(content) {
            // No word is ever spelled like this, so it can stand in the trie beside the vocabulary.
            &added["id"]
        } else {
            return Err(unsupported(
                "added_tokens",
                &format!("{content:?}, which is not in `model.vocab`"),
                "added tokens that are in `model.vocab`, or that no word can spell",
            ));
        };
        let id = own
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| invalid(format!("the id of added token {content:?} is not a number")))?;
        if content.len() > usize::from(u8::MAX) {
            return Err(invalid(format!(
                "added token {content:?} is longer than 255 bytes"
            )));
        }
        // `lstrip` and `rstrip` only take in white space, which no supported stage makes a token of.
        for flag in ["single_word", "normalized"] {
            if added[flag].as_bool() == Some(true) {
                return Err(unsupported(
                    "added_tokens",
                    &format!("{content:?} with `{flag}`"),
                    &format!("added tokens with `{flag}: false`"),
                ));
            }
        }
        tokens.push((id, content));
    }
    Ok(tokens)
}

fn splits_punctuation(stage: &Value) -> bool {
    matches!(
        stage["type"].as_str(),
        Some("BertPreTokenizer" | "Punctuation")
    ) || stage["pretokenizers"]
        .as_array()
        .is_some_and(|members| members.iter().any(splits_punctuation))
}

/// Whether a text has more to it than one punctuation mark.
fn has_punctuation(text: &str) -> bool {
    text.len() > 1 && text.contains(|c: char| c.is_ascii_punctuation())
}

/// Refuses a stage, or a member of a sequence, whose type is not in `supported`.
fn check_stage(part: &str, stage: &Value, members: &str, supported: &[&str]) -> Result<()> {
    let kind = stage["type"].as_str().unwrap_or("none");
    if !supported.contains(&kind) {
        return Err(unsupported(part, kind, &supported.join(", ")));
    }
    for member in stage[members].as_array().into_iter().flatten() {
        check_stage(part, member, members, supported)?;
    }
    Ok(())
}

/// The type of a tokenizer's model. Files from before the field existed name none: only WordPiece
/// limits words, only BPE has merges.
pub(crate) fn model_kind(model: &Value) -> &str {
    match model["type"].as_str() {
        Some(kind) => kind,
        None if model.get("max_input_chars_per_word").is_some() => "WordPiece",
        None if model.get("merges").is_some() => "BPE",
        None => "none",
    }
}

fn unsupported(part: &str, found: &str, supported: &str) -> Error {
    Error::UnsupportedTokenizer {
        part: part.to_owned(),
        found: found.to_owned(),
        supported: supported.to_owned(),
    }
}

fn invalid(what: impl Into<String>) -> Error {
    Error::Tokenizer { what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wordpiece() -> Value {
        json!({
            "added_tokens": [{"id": 0, "content": "[UNK]", "single_word": false, "normalized": false}],
            "normalizer": {"type": "BertNormalizer", "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "a": 1, "##b": 2},
            },
        })
    }

    fn message(json: &Value) -> String {
        WordPieceTokenizer::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn a_wordpiece_tokenizer_is_read() {
        let tokenizer = WordPieceTokenizer::from_json(&wordpiece()).unwrap();
        assert_eq!(tokenizer.tokens, ["[UNK]", "a", "##b"]);
        assert_eq!(tokenizer.unk, 0);
        assert_eq!(tokenizer.added_tokens, [0]);
    }

    #[test]
    fn unsupported_parts_are_named() {
        let mut json = wordpiece();
        json["model"]["type"] = "Unigram".into();
        assert!(message(&json).contains("Unigram"));

        let mut json = wordpiece();
        json["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}]});
        assert!(message(&json).contains("NFC"));

        let mut json = wordpiece();
        json["pre_tokenizer"] = json!({"type": "Metaspace"});
        assert!(message(&json).contains("Metaspace"));

        let mut json = wordpiece();
        json["added_tokens"][0]["single_word"] = true.into();
        assert!(message(&json).contains("single_word"));
    }

    #[test]
    fn added_tokens_beyond_the_vocabulary_are_taken_if_no_word_spells_them() {
        let mut json = wordpiece();
        let added = json["added_tokens"].as_array_mut().unwrap();
        added.push(json!({"id": 3, "content": "[X]", "single_word": false, "normalized": false}));
        let tokenizer = WordPieceTokenizer::from_json(&json).unwrap();
        assert_eq!(tokenizer.tokens, ["[UNK]", "a", "##b", "[X]"]);
        assert_eq!(tokenizer.added_tokens, [0, 3]);

        json["added_tokens"][1]["content"] = "word".into();
        assert!(message(&json).contains("word"));
    }

    #[test]
    fn contradictions_are_named() {
        let mut json = wordpiece();
        json["model"]["vocab"]["##b"] = 5.into();
        assert!(message(&json).contains("no token has id 2"));

        let mut json = wordpiece();
        json["model"]["vocab"]["##b"] = 1.into();
        assert!(message(&json).contains("same id 1"));

        let mut json = wordpiece();
        json["model"]["unk_token"] = "<unk>".into();
        assert!(message(&json).contains("<unk>"));
    }
}
