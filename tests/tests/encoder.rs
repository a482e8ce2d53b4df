//! `Encoder` gives the bits of `Model`, whatever the text and however warm its cache.

use flashvec::{Codec, Encoder, Error, Model};
use flashvec_distiller::StaticModel;
use flashvec_tests::golden::{CODECS, TEXTS};
use flashvec_tests::synthetic::{
    BERT_BASE_UNCASED, CASED_MULTILINGUAL, Random, image, model, tiny_image, tiny_tokenizer,
};
use serde_json::{Value, json};

/// Pieces that texts are made of: plain words above all, and what makes words no longer plain.
const PIECES: [&str; 48] = [
    "the",
    "light",
    "Turn",
    "ON",
    "kitchen",
    "a",
    "x",
    "embeddings",
    "internationalization",
    "fifteen-letters",
    "abcdefghijklmno",
    "abcdefghijklmnop",
    "don't",
    "3.14",
    "2024",
    "playing",
    "é",
    "naïve",
    "Straße",
    "中文",
    "한국어",
    "я",
    "\u{1F600}",
    "e\u{301}",
    "\u{301}",
    "[UNK]",
    "[PAD]",
    "[UN",
    "[",
    "]",
    "#",
    "##s",
    ".",
    ",",
    "!?",
    "--",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\u{a0}",
    "\u{3000}",
    "\u{200b}",
    "\0",
    "\u{1}",
    "\u{7f}",
    "two words",
];

fn text(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..random.number() % 40 {
        match random.number() % 24 {
            0 => {
                let letters = (random.number() % 300) as usize;
                text.extend(b"ab".iter().cycle().take(letters));
            }
            1 => text.extend("ü".repeat((random.number() % 120) as usize).bytes()),
            2 => text.push(random.number() as u8),
            3 => text.extend((0..random.number() % 9).map(|_| b'a' + (random.number() % 26) as u8)),
            _ => text.extend(PIECES[random.number() as usize % PIECES.len()].bytes()),
        }
        if !random.number().is_multiple_of(3) {
            text.push(b' ');
        }
    }
    text
}

fn assert_same(model: &Model<'_>, encoder: &mut Encoder<'_>, text: &[u8], scratch: &mut [u32]) {
    let bits = |embedding: &[f32]| embedding.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    let expected = bits(model.encode_bytes(text, scratch).unwrap());
    assert!(
        bits(encoder.encode_bytes(text)) == expected,
        "{:?}",
        String::from_utf8_lossy(text)
    );
    if let Ok(text) = std::str::from_utf8(text) {
        let mut out = vec![f32::NAN; model.dims()];
        encoder.encode_to(text, &mut out).unwrap();
        assert!(bits(&out) == expected, "{text:?}");
    }
}

/// An encoder that has seen every text before, and a new one every few texts, with every kind of
/// vectors that this machine has.
fn assert_random_texts_are_the_same(image: &[u8], texts: usize) {
    let model = Model::from_bytes(image).unwrap();
    for model in std::iter::successors(Some(model), |model| model.clone().narrower()) {
        assert_texts_of_a_model_are_the_same(&model, texts);
    }
}

fn assert_texts_of_a_model_are_the_same(model: &Model<'_>, texts: usize) {
    let mut scratch = vec![0; model.scratch_len()];
    let mut warm = Encoder::new(model);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for at in 0..texts {
        let text = text(&mut random);
        assert_same(model, &mut warm, &text, &mut scratch);
        if at.is_multiple_of(16) {
            let mut cold = Encoder::with_words(model, 1 << 10);
            assert_same(model, &mut cold, &text, &mut scratch);
        }
    }
    for text in TEXTS {
        assert_same(model, &mut warm, text.as_bytes(), &mut scratch);
    }
}

fn added(id: u64, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true})
}

fn tiny(change: impl FnOnce(&mut StaticModel)) -> Vec<u8> {
    let mut source = model(tiny_tokenizer(), 16);
    change(&mut source);
    image(&source, Codec::Int8).unwrap()
}

#[test]
fn every_codec_gives_the_models_bits() {
    for codec in CODECS {
        assert_random_texts_are_the_same(&tiny_image(codec).unwrap(), 500);
    }
}

/// Dimensions that vectors take in one go, in several, and that leave a rest.
#[test]
fn all_dimensions_give_the_models_bits() {
    for dims in [32, 64, 96, 128, 160, 256, 384, 416, 512, 40, 264] {
        let source = model(tiny_tokenizer(), dims);
        assert_random_texts_are_the_same(&image(&source, Codec::Int8).unwrap(), 200);
    }
}

#[test]
fn big_vocabularies_give_the_models_bits() {
    for tokenizer in [BERT_BASE_UNCASED, CASED_MULTILINGUAL] {
        let source = model(serde_json::from_str(tokenizer).unwrap(), 8);
        assert_random_texts_are_the_same(&image(&source, Codec::Int8).unwrap(), 2000);
    }
}

#[test]
fn limits_cut_where_the_model_cuts() {
    for limit in [1, 2, 3, 7, 20, 64, 100] {
        assert_random_texts_are_the_same(&tiny(|model| model.max_length = Some(limit)), 500);
    }
    assert_random_texts_are_the_same(&tiny(|model| model.max_length = None), 500);
}

#[test]
fn long_words_and_means_are_the_models() {
    for most in [1, 3, 14, 15, 16, 1000] {
        let image = tiny(|model| {
            model.tokenizer["model"]["max_input_chars_per_word"] = json!(most);
            model.normalize = false;
        });
        assert_random_texts_are_the_same(&image, 500);
    }
}

/// Added tokens may begin with anything, also inside a word, and go on behind a break.
#[test]
fn added_tokens_are_found_where_the_model_finds_them() {
    let contents = [
        "light on", " a", "é", "x", "中", ".", "the", "tw", "o wo", "\n\n",
    ];
    let mut tokenizer = tiny_tokenizer();
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    let tokens = contents.map(|content| {
        let next = vocabulary.len();
        let id = vocabulary.entry(content).or_insert(json!(next));
        added(id.as_u64().unwrap(), content)
    });
    tokenizer["added_tokens"]
        .as_array_mut()
        .unwrap()
        .extend(tokens);
    let image = image(&model(tokenizer, 16), Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut ids = 0;
    let mut scratch = vec![0; model.scratch_len()];
    model
        .tokenize("light on a", &mut scratch, |_| ids += 1)
        .unwrap();
    assert_eq!(ids, 2);
    assert_random_texts_are_the_same(&image, 2000);
}

/// More words than the cache holds.
#[test]
fn a_full_cache_changes_nothing() {
    let source = model(serde_json::from_str(BERT_BASE_UNCASED).unwrap(), 2);
    let image = image(&source, Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let mut encoder = Encoder::new(&model);
    let mut random = Random(1);
    for _ in 0..40_000 {
        let number = random.number() % 200_000;
        let text = format!("word{number} {number:x} the {}", number % 1000);
        assert_same(&model, &mut encoder, text.as_bytes(), &mut scratch);
    }
}

#[test]
fn a_short_output_is_named_with_what_it_needs() {
    let image = tiny_image(Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let error = Encoder::new(&model)
        .encode_to("a", &mut [0.0; 15])
        .unwrap_err();
    assert_eq!(
        error,
        Error::OutputTooSmall {
            needed: 16,
            found: 15
        }
    );
}
