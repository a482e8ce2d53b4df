//! Random vocabularies: every token is spelled and found, words split as by a naive search.

use std::collections::BTreeSet;

use flashvec::{Codec, Model};
use flashvec_tests::synthetic::{Random, image, model};
use serde_json::{Map, Value, json};

/// Characters that vocabularies are made from, as ranges: from few bytes to more than have one digit.
const ALPHABETS: [&[(u32, u32)]; 5] = [
    &[(0x61, 0x63)],
    &[(0x21, 0x7F)],
    &[(0xA1, 0x800)],
    &[
        (0x21, 0x7F),
        (0x400, 0x500),
        (0x4E00, 0x9FA0),
        (0xAC00, 0xD7A4),
    ],
    &[(0x21, 0x7F), (0x3400, 0xD800), (0x1_0000, 0x11_0000)],
];
const PREFIXES: [&str; 3] = ["##", "", "\u{2581}é\u{10FFFD}"];

fn below(random: &mut Random, end: usize) -> usize {
    (random.number() >> 33) as usize % end
}

fn spelling(random: &mut Random, alphabet: &[(u32, u32)]) -> String {
    // Mostly short; now and then longer than any scratch would have it.
    let chars = match below(random, 40) {
        0 => 60,
        n => 1 + n % 5,
    };
    (0..chars)
        .filter_map(|_| {
            let (start, end) = alphabet[below(random, alphabet.len())];
            char::from_u32(start + below(random, (end - start) as usize) as u32)
        })
        .filter(|c| !c.is_whitespace())
        .collect()
}

fn vocabulary(random: &mut Random, alphabet: &[(u32, u32)], prefix: &str) -> BTreeSet<String> {
    let mut tokens = BTreeSet::new();
    for _ in 0..1 + below(random, 1500) {
        let token = spelling(random, alphabet);
        let prefix = if below(random, 2) == 0 { prefix } else { "" };
        // Some tokens begin others.
        for (at, c) in token.char_indices() {
            let end = at + c.len_utf8();
            if end == token.len() || below(random, 3) == 0 {
                tokens.insert(format!("{prefix}{}", &token[..end]));
            }
        }
    }
    tokens.insert("[UNK]".to_owned());
    tokens
}

fn tokenizer(tokens: &BTreeSet<String>, prefix: &str) -> Value {
    let ids: Map<String, Value> = tokens.iter().cloned().zip((0..).map(Value::from)).collect();
    json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": prefix,
                  "max_input_chars_per_word": 1000, "vocab": ids},
    })
}

/// The longest token from the left, again and again.
fn split(tokens: &BTreeSet<String>, prefix: &str, word: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let prefix = if pieces.is_empty() { "" } else { prefix };
        let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
        let found = ends
            .rev()
            .map(|end| (end, format!("{prefix}{}", &rest[..end])))
            .find(|(_, piece)| tokens.contains(piece));
        let Some((end, piece)) = found else {
            return vec!["[UNK]".to_owned()];
        };
        pieces.push(piece);
        rest = &rest[end..];
    }
    pieces
}

#[test]
fn random_vocabularies_are_spelled_and_found() {
    let mut random = Random(5);
    for round in 0..ALPHABETS.len() * PREFIXES.len() {
        let alphabet = ALPHABETS[round % ALPHABETS.len()];
        let prefix = PREFIXES[round % PREFIXES.len()];
        let tokens = vocabulary(&mut random, alphabet, prefix);
        let image = image(&model(tokenizer(&tokens, prefix), 1), Codec::Int8).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let mut buffer = [0; 512];
        let spelled: Vec<String> = (0..tokens.len() as u32)
            .map(|id| model.token(id, &mut buffer).unwrap().to_owned())
            .collect();
        assert_eq!(spelled.iter().cloned().collect::<BTreeSet<_>>(), tokens);

        let mut words: Vec<String> = tokens.iter().cloned().collect();
        for _ in 0..3000 {
            let pieces = (0..1 + below(&mut random, 4)).map(|_| {
                if below(&mut random, 8) == 0 {
                    spelling(&mut random, alphabet)
                } else {
                    let token = &spelled[below(&mut random, spelled.len())];
                    token.strip_prefix(prefix).unwrap_or(token).to_owned()
                }
            });
            words.push(pieces.collect());
        }
        let mut scratch = vec![0; model.scratch_len()];
        for word in words {
            let mut pieces = Vec::new();
            model
                .tokenize(&word, &mut scratch, |id| {
                    pieces.push(spelled[id as usize].as_str());
                })
                .unwrap();
            assert_eq!(pieces, split(&tokens, prefix, &word), "{word:?}");
        }
    }
}

#[test]
fn a_vocabulary_that_nests_deeper_than_extents_may_is_written_and_read() {
    // Each a is followed by another or by b, and those with most a's are the most frequent, so
    // that the likeliest child is always the one with all others below.
    let mut tokens: Vec<String> = (0..60).map(|n| "a".repeat(n) + "b").collect();
    tokens.reverse();
    tokens.push("[UNK]".to_owned());
    let vocabulary: serde_json::Map<String, Value> =
        tokens.iter().cloned().zip((0..).map(Value::from)).collect();
    let tokenizer = json!({
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocabulary},
    });
    let image = image(&model(tokenizer, 1), Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let mut buffer = [0; 64];
    for token in tokens {
        let mut found = Vec::new();
        model
            .tokenize(&token, &mut scratch, |id| found.push(id))
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(model.token(found[0], &mut buffer), Some(token.as_str()));
    }
}
