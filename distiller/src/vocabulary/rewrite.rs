//! The `tokenizer.json` of a distilled model.

use serde_json::{Map, Value, json};

use crate::model::DEFAULT_MAX_LENGTH;

/// `tokenizer` with exactly `tokens` as its vocabulary, numbered in order, written as Model2Vec writes
/// it: no post-processor, only the unknown and padding tokens added, padding that never pads.
pub(super) fn rewrite(
    tokenizer: &Value,
    tokens: &[&str],
    unknown: &str,
    padding: Option<&str>,
) -> Value {
    let id_of = |token: &str| tokens.iter().position(|kept| *kept == token);
    let saved = |token: &str| {
        let added = tokenizer.get("added_tokens").and_then(Value::as_array);
        added.and_then(|added| {
            added
                .iter()
                .find(|entry| entry.get("content").and_then(Value::as_str) == Some(token))
        })
    };
    let mut added: Vec<(usize, Value)> = Vec::new();
    for token in padding.into_iter().chain([unknown]) {
        if let Some(id) = id_of(token).filter(|id| added.iter().all(|(other, _)| other != id)) {
            let flag = |name: &str, default: bool| {
                saved(token)
                    .and_then(|entry| entry.get(name))
                    .and_then(Value::as_bool)
                    .unwrap_or(default)
            };
            let entry = json!({
                "id": id,
                "content": token,
                "single_word": flag("single_word", false),
                "lstrip": flag("lstrip", false),
                "rstrip": flag("rstrip", false),
                "normalized": flag("normalized", false),
                "special": flag("special", true),
            });
            added.push((id, entry));
        }
    }
    added.sort_by_key(|(id, _)| *id);
    let padding = padding
        .and_then(|token| Some((token, id_of(token)?)))
        .map(|(token, id)| {
            json!({
                "strategy": {"Fixed": 0},
                "direction": "Right",
                "pad_to_multiple_of": null,
                "pad_id": id,
                "pad_type_id": 0,
                "pad_token": token,
            })
        });
    let vocab: Map<String, Value> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), Value::from(id)))
        .collect();
    let model = tokenizer.get("model");
    let kept = |name: &str, default: Value| {
        model
            .and_then(|model| model.get(name))
            .cloned()
            .unwrap_or(default)
    };
    let part = |name: &str| tokenizer.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": DEFAULT_MAX_LENGTH, "strategy": "LongestFirst", "stride": 0},
        "padding": padding,
        "added_tokens": added.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(),
        "normalizer": part("normalizer"),
        "pre_tokenizer": part("pre_tokenizer"),
        "post_processor": null,
        "decoder": part("decoder"),
        "model": {
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": kept("continuing_subword_prefix", Value::from("##")),
            "max_input_chars_per_word": kept("max_input_chars_per_word", Value::from(100)),
            "vocab": vocab,
        },
    })
}
