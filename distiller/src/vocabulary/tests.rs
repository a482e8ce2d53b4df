use std::path::Path;

use serde_json::json;

use super::*;
use crate::files::read_json;

fn tiny_tokenizer() -> Value {
    read_json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert/tokenizer.json"))
        .unwrap()
}

fn tokens(vocabulary: &Vocabulary) -> Vec<&str> {
    vocabulary.tokenizer["model"]["vocab"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn select(filter: &VocabularyFilter) -> Result<Vocabulary> {
    Vocabulary::select(&tiny_tokenizer(), Some("[PAD]"), filter)
}

/// Special tokens, `a` to `e` and `é` and `中` as words, `##a` to `##e` and `##é`.
const MUST_STAY: usize = 2 + 5 + 5 + 3;

#[test]
fn keeps_what_model2vec_keeps() {
    let expected =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert/expected_distilled.json");
    let expected = read_json(&expected).unwrap();
    let vocabulary = select(&VocabularyFilter::default()).unwrap();
    assert_eq!(vocabulary.tokenizer, expected["tokenizer"]);
    assert_eq!(vocabulary.ranks, (0..26).collect::<Vec<_>>());
    // `[PAD]` and `[UNK]` go through the teacher like any other entry, under its own ids.
    assert_eq!(vocabulary.sequences[..3], [[4, 0, 5], [4, 3, 5], [4, 7, 5]]);
}

#[test]
fn limits_by_rank_but_keeps_every_character() {
    let filter = VocabularyFilter {
        max_entries: Some(MUST_STAY + 2),
        ..Default::default()
    };
    let vocabulary = select(&filter).unwrap();
    let kept = tokens(&vocabulary);
    assert_eq!(kept.len(), MUST_STAY + 2);
    for token in ["[PAD]", "[UNK]", "a", "##e", "é", "##é", "中", "bad", "cab"] {
        assert!(kept.contains(&token), "{token}");
    }
    assert!(!kept.contains(&"dab"));
    assert_eq!(
        (vocabulary.ranked, vocabulary.ranks.last()),
        (26, Some(&25))
    );
    let error = select(&VocabularyFilter {
        max_entries: Some(MUST_STAY - 1),
        ..Default::default()
    })
    .unwrap_err();
    assert!(
        error.to_string().contains(&MUST_STAY.to_string()),
        "{error}"
    );
}

#[test]
fn keeps_listed_words() {
    let list = ["decade", "##ade", "nowhere"].map(str::to_owned).to_vec();
    let vocabulary = select(&VocabularyFilter {
        word_list: Some(list),
        ..Default::default()
    })
    .unwrap();
    let kept = tokens(&vocabulary);
    assert_eq!(kept.len(), MUST_STAY + 2);
    assert!(kept.contains(&"decade") && kept.contains(&"##ade"));
    let filter = VocabularyFilter {
        word_list: Some(vec!["nowhere".to_owned()]),
        ..Default::default()
    };
    assert!(matches!(select(&filter), Err(Error::Option { .. })));
}

#[test]
fn a_pruned_tokenizer_loads_and_spells_what_was_removed() {
    let filter = VocabularyFilter {
        max_entries: Some(MUST_STAY),
        ..Default::default()
    };
    let vocabulary = select(&filter).unwrap();
    let tokenizer: tokenizers::Tokenizer = vocabulary.tokenizer.to_string().parse().unwrap();
    let encoding = tokenizer.encode("Bead 中", false).unwrap();
    assert_eq!(encoding.get_tokens(), ["b", "##e", "##a", "##d", "中"]);
    assert_eq!(
        tokenizer.encode("q", false).unwrap().get_tokens(),
        ["[UNK]"]
    );
}

#[test]
fn patterns_match_from_the_beginning() {
    let filter = VocabularyFilter {
        remove: Some("ca|zz".to_owned()),
        ..Default::default()
    };
    let vocabulary = select(&filter).unwrap();
    let kept = tokens(&vocabulary);
    assert!(!kept.contains(&"cab") && kept.contains(&"decade") && kept.contains(&"[unused0]"));
    let none = VocabularyFilter {
        remove: None,
        ..Default::default()
    };
    assert!(tokens(&select(&none).unwrap()).contains(&"[unused2] x"));
    let broken = VocabularyFilter {
        remove: Some("(".to_owned()),
        ..Default::default()
    };
    assert!(matches!(select(&broken), Err(Error::Option { .. })));
    // The unknown token cannot be removed from a WordPiece tokenizer.
    let all = VocabularyFilter {
        remove: Some(".*".to_owned()),
        ..Default::default()
    };
    assert!(tokens(&select(&all).unwrap()).contains(&"[UNK]"));
}

#[test]
fn refuses_tokenizers_it_cannot_rewrite() {
    let mut other = tiny_tokenizer();
    other["model"]["type"] = json!("BPE");
    let error = Vocabulary::select(&other, None, &VocabularyFilter::default()).unwrap_err();
    assert!(error.to_string().contains("BPE"), "{error}");
    for broken in [
        "{}",
        r#"{"model":{"type":"WordPiece"}}"#,
        r#"{"model":{"type":"WordPiece","vocab":{"a":-1}}}"#,
    ] {
        let broken = serde_json::from_str(broken).unwrap();
        let result = Vocabulary::select(&broken, None, &VocabularyFilter::default());
        assert!(matches!(result, Err(Error::Tokenizer { .. })));
    }
    let mut frameless = tiny_tokenizer();
    frameless["post_processor"]["special_tokens"]["[CLS]"]["tokens"] = json!(["[GONE]"]);
    let error = Vocabulary::select(&frameless, None, &VocabularyFilter::default()).unwrap_err();
    assert!(error.to_string().contains("[GONE]"), "{error}");
}
