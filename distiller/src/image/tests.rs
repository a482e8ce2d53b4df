use flashvec::ngrams_layout::{MARKS, PAIRS, SKIP_PAIRS, TRIPLES, Window, most_rows};
use flashvec::{Head, Model, Task};
use serde_json::json;

use super::*;
use crate::quantize::RowQuantizer;
use crate::{Rows, Silent};

const DIMS: usize = 6;
const KINDS: u8 = PAIRS | SKIP_PAIRS | TRIPLES | MARKS;
const WORDS: [&str; 6] = ["[UNK]", "turn", "light", "off", "on", "the"];

/// Values that differ, in -1..1.
fn values(seed: u32, count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|at| {
            let h = (at ^ seed).wrapping_mul(0x9E37_79B9);
            (h ^ h >> 15) as u16 as f32 / 32768.0 - 1.0
        })
        .collect()
}

fn model() -> StaticModel {
    let vocabulary: serde_json::Map<_, _> = WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), id.into()))
        .collect();
    StaticModel {
        tokenizer: json!({
            "version": "1.0",
            "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": null,
            "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 20, "vocab": vocabulary},
        }),
        rows: Rows::F32(values(1, DIMS * WORDS.len())),
        dims: DIMS,
        weights: None,
        mapping: None,
        normalize: false,
        max_length: Some(64),
        provenance: crate::Provenance::default(),
    }
}

fn options(codec: Codec) -> ImageOptions {
    ImageOptions {
        codec,
        quantization: Quantization {
            rotation: Rotation::None,
            ..Quantization::default()
        },
        command: String::new(),
        tool: String::new(),
    }
}

fn layer(inputs: usize, outputs: usize) -> Layer {
    Layer {
        weights: values(7, inputs * outputs)
            .iter()
            .map(|w| (w * 127.0) as i8)
            .collect(),
        scales: values(8, outputs)
            .iter()
            .map(|s| (0.1 + s.abs()) / 64.0)
            .collect(),
        biases: values(9, outputs),
    }
}

fn head(task: Task, hidden: Option<usize>) -> HeadParts {
    let labels = ["off", "on", "other"].map(str::to_owned).to_vec();
    let layers = match hidden {
        Some(hidden) => vec![layer(DIMS, hidden), layer(hidden, 3)],
        None => vec![layer(DIMS, 3)],
    };
    HeadParts {
        task,
        labels,
        layers,
        out_of_scope: None,
    }
}

/// The hashes of a text's n-grams. Ids are those of the image, in which n-grams are formed.
fn hashes(image: &[u8], text: &str) -> Vec<u32> {
    let model = Model::from_bytes(image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let (mut window, mut hashes) = (Window::new(KINDS), Vec::new());
    model
        .tokenize(text, &mut scratch, |id| {
            if id == model.header().tokenizer.unk {
                window.unknown();
            } else {
                window.token(id, |hash| hashes.push(hash));
            }
        })
        .unwrap();
    window.end(|hash| hashes.push(hash));
    hashes
}

/// What rows, as a quantiser makes them, add up to for a text, times the unit.
fn embedding(quantizer: &RowQuantizer, rows: &[&[f32]]) -> Vec<f64> {
    let mut sums = [0_i64; DIMS];
    let mut integers = [0; DIMS];
    for row in rows {
        let scale = quantizer.quantize(row, &mut integers);
        for (sum, integer) in sums.iter_mut().zip(integers) {
            *sum += i64::from(scale) * i64::from(integer);
        }
    }
    let factor = f64::from(quantizer.unit()) / rows.len() as f64;
    sums.iter().map(|&sum| sum as f64 * factor).collect()
}

/// A head as it is defined, in floats.
fn logits(head: &HeadParts, embedding: &[f64]) -> Vec<f64> {
    let mut inputs = embedding.to_vec();
    for (at, layer) in head.layers.iter().enumerate() {
        if at > 0 {
            inputs.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        let rows = layer.weights.chunks(inputs.len());
        let parameters = layer.scales.iter().zip(&layer.biases);
        inputs = rows
            .zip(parameters)
            .map(|(weights, (&scale, &bias))| {
                let sum: f64 = weights
                    .iter()
                    .zip(&inputs)
                    .map(|(&w, x)| f64::from(w) * x)
                    .sum();
                sum * f64::from(scale) + f64::from(bias)
            })
            .collect();
    }
    inputs
}

#[test]
fn a_written_classifier_classifies() {
    let model = model();
    let plain = write_image(&model, &options(Codec::Int8), &Silent).unwrap();
    let text = "turn the light off";
    let hashes = hashes(&plain, text);
    assert_eq!(hashes.len(), 5 + 4 + 4);
    // The last pair has no row.
    let known: Vec<u32> = hashes.iter().rev().skip(1).copied().collect();
    let table = NGramTable::new(KINDS, 16, &known).unwrap();
    assert_eq!(table.len(), known.len());
    let ngram_rows = values(2, DIMS * known.len());
    let Rows::F32(token_rows) = &model.rows else {
        panic!()
    };
    let most = most_rows(KINDS, max_tokens(&model, Codec::Int8)) as u32;
    for codec in [Codec::Int8, Codec::Int4, Codec::Int2] {
        for (task, hidden) in [
            (Task::Softmax, None),
            (Task::Softmax, Some(5)),
            (Task::Sigmoid, Some(1)),
            (Task::Regression, None),
        ] {
            let head = head(task, hidden);
            let ngrams = NGrams {
                table: &table,
                rows: &ngram_rows,
            };
            let image =
                write_classifier(&model, Some(ngrams), Some(&head), &options(codec), &Silent)
                    .unwrap();
            let read = Model::from_bytes(&image).unwrap();
            assert_eq!(image[4], 4);
            assert_eq!(read.ngram_count(), known.len());
            assert_eq!(read.row_count(), known.len() + WORDS.len());
            let read_head = read.head().unwrap();
            assert_eq!(read_head.task(), task);
            assert_eq!(read_head.label_count(), 3);
            let labels: Vec<_> = (0..4).map(|at| read_head.label(at)).collect();
            assert_eq!(labels, [Some("off"), Some("on"), Some("other"), None]);

            let all = token_rows.chunks(DIMS).chain(ngram_rows.chunks(DIMS));
            let quantizer = RowQuantizer::new(codec, all, most).unwrap();
            assert_eq!(quantizer.unit(), read.header().pooling.unit);
            let mut rows: Vec<&[f32]> = ngram_rows.chunks(DIMS).collect();
            for word in text.split(' ') {
                let id = WORDS.iter().position(|known| *known == word).unwrap();
                rows.push(&token_rows[id * DIMS..][..DIMS]);
            }
            let expected = embedding(&quantizer, &rows);
            let mut scratch = vec![0; read.scratch_len()];
            let found = read.encode(text, &mut scratch).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{codec}");
            }
            let mut scores = logits(&head, &expected);
            match task {
                Task::Softmax => {
                    let sum: f64 = scores.iter().map(|z| z.exp()).sum();
                    scores.iter_mut().for_each(|z| *z = z.exp() / sum);
                }
                Task::Sigmoid => scores
                    .iter_mut()
                    .for_each(|z| *z = 1.0 / (1.0 + (-*z).exp())),
                _ => {}
            }
            let classification = read.classify(text, &mut scratch).unwrap();
            for (found, expected) in classification.scores().iter().zip(&scores) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error < 1e-3 * (1.0 + expected.abs()),
                    "{codec} {task:?}: {found} {expected}"
                );
            }
            let best = classification.best().unwrap();
            assert_eq!(best.probability, classification.scores()[best.label]);
            assert!(scores.iter().all(|&s| s <= scores[best.label]));
        }
    }
}

#[test]
fn a_head_file_belongs_to_one_image() {
    let base = write_image(&model(), &options(Codec::Int8), &Silent).unwrap();
    let read = Model::from_bytes(&base).unwrap();
    let parts = head(Task::Softmax, Some(4));
    let file = parts.file(&base).unwrap();
    let head = Head::from_bytes(&file, &read).unwrap();
    let mut scratch = vec![0; head.scratch_len(&read)];
    let beside = head.classify(&read, "light on", &mut scratch).unwrap();
    let beside: Vec<f32> = beside.scores().to_vec();

    let image = write_classifier(&model(), None, Some(&parts), &options(Codec::Int8), &Silent);
    let image = image.unwrap();
    let within = Model::from_bytes(&image).unwrap();
    let mut scratch = vec![0; within.scratch_len()];
    let classification = within.classify("light on", &mut scratch).unwrap();
    assert_eq!(classification.scores(), beside);
    assert!(matches!(
        Head::from_bytes(&file, &within).unwrap_err(),
        flashvec::Error::OtherBase { .. }
    ));
    assert_eq!(
        read.classify("light on", &mut scratch).unwrap_err(),
        flashvec::Error::NoHead
    );
}

#[test]
fn heads_that_an_image_cannot_hold_are_refused() {
    type Change = fn(&mut HeadParts);
    let changes: [(Change, &str); 14] = [
        (|head| head.labels.clear(), "labels"),
        (|head| head.labels[1].clear(), "label"),
        (|head| head.labels[1] = "a\tb".to_owned(), "label"),
        (|head| head.labels[1] = "ä".repeat(128), "label"),
        (|head| head.labels[1] = "off".to_owned(), "twice"),
        (|head| head.labels.push("more".to_owned()), "outputs"),
        (|head| head.layers.clear(), "layers"),
        (|head| head.layers.push(layer(2, 3)), "weights"),
        (|head| head.layers[0].scales[0] = -1.0, "scale"),
        (|head| head.layers[0].scales[0] = 2e6, "scale"),
        (|head| head.layers[0].biases[0] = f32::NAN, "bias"),
        (|head| head.layers[0].biases[0] = -2e6, "bias"),
        (|head| head.out_of_scope = Some(f32::INFINITY), "scope"),
        (
            |head| {
                head.task = Task::Sigmoid;
                head.out_of_scope = Some(0.0);
            },
            "scope",
        ),
    ];
    for (change, word) in changes {
        let mut parts = head(Task::Softmax, None);
        change(&mut parts);
        let error = parts.section(DIMS).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn codecs_that_heads_cannot_use_are_refused() {
    let parts = head(Task::Softmax, None);
    for (codec, rotation) in [
        (Codec::F32, Rotation::None),
        (Codec::F16, Rotation::None),
        (Codec::Int4, Rotation::Random),
    ] {
        let mut options = options(codec);
        options.quantization.rotation = rotation;
        let made = write_classifier(&model(), None, Some(&parts), &options, &Silent);
        assert!(matches!(made, Err(Error::Codec { .. })), "{codec}");
    }
}

#[test]
fn a_classifier_does_not_lose_its_head_silently() {
    let parts = head(Task::Softmax, None);
    let image = write_classifier(&model(), None, Some(&parts), &options(Codec::Int8), &Silent);
    let error = read_image(&image.unwrap(), "c.fvec".as_ref()).unwrap_err();
    assert!(error.to_string().contains("classifier"), "{error}");
}
