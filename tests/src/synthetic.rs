//! Models without a teacher: rows are pseudo-random, the same on every run.

use std::sync::{Mutex, PoisonError};

use flashvec::Codec;
use flashvec_distiller::image::{ImageOptions, write_image};
use flashvec_distiller::{Provenance, Quantization, Result, Rows, Silent, StaticModel};
use serde_json::{Map, Value, json};

/// The committed tokenizer of bert-base-uncased.
pub const BERT_BASE_UNCASED: &str = include_str!("../data/bert-base-uncased.json");
/// The committed cased tokenizer.
pub const CASED_MULTILINGUAL: &str = include_str!("../data/cased-multilingual.json");

/// Marsaglia's xorshift, 64 bits.
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in -1..1.
    fn value(&mut self) -> f32 {
        (self.number() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A model with a tokenizer's vocabulary; rows get shorter as with SIF weights.
pub fn model(tokenizer: Value, dims: usize) -> StaticModel {
    let tokens = tokenizer["model"]["vocab"].as_object().map_or(0, Map::len);
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let rows = (0..tokens)
        .flat_map(|token| {
            let weight = (token + 10) as f32 / (token + 300) as f32;
            (0..dims)
                .map(|_| weight * random.value())
                .collect::<Vec<f32>>()
        })
        .collect();
    StaticModel {
        tokenizer,
        rows: Rows::F32(rows),
        dims,
        weights: None,
        mapping: None,
        normalize: true,
        max_length: Some(512),
        provenance: Provenance {
            teacher: "synthetic".to_owned(),
            ..Provenance::default()
        },
    }
}

/// An uncased tokenizer of some 60 tokens.
pub fn tiny_tokenizer() -> Value {
    let words = "[PAD] [UNK] the a light turn on off lamp kitchen play music é ü 中 한 ᄒ ᅡ ᆫ я . , ! ? # straße";
    let letters = ('a'..='z').flat_map(|c| [c.to_string(), format!("##{c}")]);
    let pieces = ["##s", "##ing", "##ed", "##я", "##ᅡ", "##ᆫ"].map(str::to_owned);
    let mut vocabulary = Map::new();
    for token in words
        .split(' ')
        .map(str::to_owned)
        .chain(letters)
        .chain(pieces)
    {
        let id = vocabulary.len();
        vocabulary.entry(token).or_insert(id.into());
    }
    let added = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [added(0, "[PAD]"), added(1, "[UNK]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

/// The image of a model, as the tests make it.
pub fn image(model: &StaticModel, codec: Codec) -> Result<Vec<u8>> {
    let options = ImageOptions {
        codec,
        quantization: Quantization::default(),
        command: "synthetic".to_owned(),
        tool: "flashvec-tests".to_owned(),
    };
    write_image(model, &options, &Silent)
}

/// The image of the tiny model: 16 dimensions. Made once a process and codec, since compiling the
/// character map takes seconds.
pub fn tiny_image(codec: Codec) -> Result<Vec<u8>> {
    static MADE: Mutex<Vec<(Codec, Vec<u8>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, image)) = made.iter().find(|(known, _)| *known == codec) {
        return Ok(image.clone());
    }
    let image = image(&model(tiny_tokenizer(), 16), codec)?;
    made.push((codec, image.clone()));
    Ok(image)
}
