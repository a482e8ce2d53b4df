//! Tokens equal those of Hugging Face `tokenizers`.

use flashvec_tests::parity::{Parity, scalar_contexts};
use flashvec_tests::synthetic::{BERT_BASE_UNCASED, CASED_MULTILINGUAL, Random};

fn assert_equal<'t>(parity: &Parity, texts: impl IntoIterator<Item = &'t str>) {
    let (differing, shown) = parity.differences(texts).unwrap();
    assert_eq!(differing, 0, "{shown:#?}");
}

fn on_every_scalar_value(tokenizer: &str) {
    let parity = Parity::new(&serde_json::from_str(tokenizer).unwrap()).unwrap();
    let contexts: Vec<String> = scalar_contexts().collect();
    let (first, second) = contexts.split_at(contexts.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_equal(&parity, first.iter().map(String::as_str)));
        scope.spawn(|| assert_equal(&parity, second.iter().map(String::as_str)));
    });
}

#[test]
fn uncased_tokens_equal_on_every_scalar_value() {
    on_every_scalar_value(BERT_BASE_UNCASED);
}

#[test]
fn cased_tokens_equal_on_every_scalar_value() {
    on_every_scalar_value(CASED_MULTILINGUAL);
}

/// Texts strung together from pieces that interact: words, marks, added tokens, white space.
fn mixtures() -> Vec<String> {
    const PIECES: [&str; 32] = [
        "the",
        "Playing",
        "unbelievable",
        "##s",
        "#",
        "[UNK]",
        "[PAD]",
        "[MASK]",
        "[",
        "]",
        " ",
        "  ",
        "\t",
        "\u{a0}",
        "\u{200b}",
        "\u{301}",
        "\u{308}\u{323}",
        "é",
        "Å",
        "\u{1D165}",
        "\u{302E}",
        "中",
        "文",
        "한국",
        "ﬁ",
        "İ",
        "ß",
        ".",
        "...",
        "-",
        "\u{1F600}",
        "\0",
    ];
    let mut random = Random(3);
    (0..50_000)
        .map(|_| {
            (0..1 + random.number() % 12)
                .map(|_| PIECES[random.number() as usize % PIECES.len()])
                .collect()
        })
        .collect()
}

#[test]
fn tokens_equal_on_mixtures() {
    let mixtures = mixtures();
    for tokenizer in [BERT_BASE_UNCASED, CASED_MULTILINGUAL] {
        let parity = Parity::new(&serde_json::from_str(tokenizer).unwrap()).unwrap();
        assert_equal(&parity, mixtures.iter().map(String::as_str));
    }
}
