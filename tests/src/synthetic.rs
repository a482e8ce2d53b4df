//! Models without a teacher: rows are pseudo-random, the same on every run.

use std::sync::{Mutex, PoisonError};

use flashvec::ngrams_layout::{MARKS, PAIRS, SKIP_PAIRS, TRIPLES, Window};
use flashvec::{Codec, Task};
use flashvec_distiller::image::{
    HeadParts, ImageOptions, Layer, NGramTable, NGrams, token_order, write_classifier, write_image,
};
use flashvec_distiller::{Provenance, Quantization, Result, Rotation, Rows, Silent, StaticModel};
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

/// A made-up classifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classifier {
    pub codec: Codec,
    pub task: Task,
    pub labels: usize,
    /// Outputs of the hidden layer; 0: none.
    pub hidden: usize,
    pub out_of_scope: Option<f32>,
    /// Kinds of n-grams; 0: none.
    pub ngrams: u8,
    /// Whether embeddings have unit length.
    pub normalize: bool,
}

/// Classifiers that between them have all there is.
pub const CLASSIFIERS: [Classifier; 4] = [
    Classifier {
        codec: Codec::Int8,
        task: Task::Softmax,
        labels: 5,
        hidden: 0,
        out_of_scope: Some(1.8),
        ngrams: PAIRS | SKIP_PAIRS | TRIPLES | MARKS,
        normalize: false,
    },
    Classifier {
        codec: Codec::Int4,
        task: Task::Softmax,
        labels: 3,
        hidden: 9,
        out_of_scope: None,
        ngrams: PAIRS,
        normalize: true,
    },
    Classifier {
        codec: Codec::Int2,
        task: Task::Sigmoid,
        labels: 7,
        hidden: 0,
        out_of_scope: None,
        ngrams: TRIPLES | MARKS,
        normalize: true,
    },
    Classifier {
        codec: Codec::Int8,
        task: Task::Regression,
        labels: 2,
        hidden: 4,
        out_of_scope: None,
        ngrams: 0,
        normalize: false,
    },
];

/// One of as many labels as a data set of intents has, for budgets.
pub const INTENTS: Classifier = Classifier {
    codec: Codec::Int4,
    task: Task::Softmax,
    labels: 77,
    hidden: 0,
    out_of_scope: Some(0.0),
    ngrams: PAIRS,
    normalize: false,
};

impl Classifier {
    /// The head, for embeddings of `dims` dimensions.
    pub fn head(&self, dims: usize) -> HeadParts {
        let mut random = Random(0x1234_5678_9ABC_DEF1);
        let mut layer = |inputs: usize, outputs: usize| Layer {
            weights: (0..inputs * outputs)
                .map(|_| random.number() as i8)
                .collect(),
            scales: (0..outputs)
                .map(|_| (1.0 + random.value() / 2.0) / 32.0)
                .collect(),
            biases: (0..outputs).map(|_| random.value()).collect(),
        };
        let layers = match self.hidden {
            0 => vec![layer(dims, self.labels)],
            hidden => vec![layer(dims, hidden), layer(hidden, self.labels)],
        };
        HeadParts {
            task: self.task,
            labels: (0..self.labels).map(|at| format!("label {at}")).collect(),
            layers,
            out_of_scope: self.out_of_scope,
        }
    }

    /// Its image: the model's rows, and rows for half of the n-grams that texts of random tokens have.
    pub fn image(&self, model: &StaticModel) -> Result<Vec<u8>> {
        let model = &StaticModel {
            normalize: self.normalize,
            ..model.clone()
        };
        let tokens = token_order(&model.tokenizer)?.len() as u64;
        let mut random = Random(0x2545_F491_4F6C_DD1D);
        let mut hashes = Vec::new();
        while self.ngrams != 0 && hashes.len() < 600 {
            let mut window = Window::new(self.ngrams);
            let mut take = |hash: u32| {
                if hash & 0x10000 == 0 {
                    hashes.push(hash);
                }
            };
            for _ in 0..random.number() % 8 {
                // Most texts are of few tokens.
                let bound = if random.number() % 2 == 0 {
                    tokens
                } else {
                    8.min(tokens)
                };
                window.token((random.number() % bound) as u32, &mut take);
            }
            window.end(&mut take);
        }
        let rows: Vec<f32> = (0..hashes.len() * model.dims)
            .map(|_| random.value())
            .collect();
        let table = match self.ngrams {
            0 => None,
            kinds => Some(NGramTable::new(kinds, 12, &hashes)?),
        };
        let ngrams = table.as_ref().map(|table| NGrams { table, rows: &rows });
        let options = ImageOptions {
            codec: self.codec,
            quantization: Quantization {
                rotation: Rotation::None,
                ..Quantization::default()
            },
            command: "synthetic".to_owned(),
            tool: "flashvec-tests".to_owned(),
        };
        write_classifier(
            model,
            ngrams,
            Some(&self.head(model.dims)),
            &options,
            &Silent,
        )
    }
}

/// The image of a classifier over the tiny model.
pub fn tiny_classifier(classifier: &Classifier) -> Result<Vec<u8>> {
    static MADE: Mutex<Vec<(Classifier, Vec<u8>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, image)) = made.iter().find(|(known, _)| known == classifier) {
        return Ok(image.clone());
    }
    let image = classifier.image(&model(tiny_tokenizer(), 16))?;
    made.push((*classifier, image.clone()));
    Ok(image)
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
