//! Classifiers give the scores that their parts give in 64-bit floats, and the same bits whichever way they run.

use std::collections::HashMap;

use flashvec::ngrams_layout::{MARKS, PAIRS, SKIP_PAIRS, TRIPLES, Window};
use flashvec::{Codec, Encoder, Error, Head, Model, Task};
use flashvec_distiller::StaticModel;
use flashvec_distiller::image::HeadParts;
use flashvec_tests::golden::TEXTS;
use flashvec_tests::synthetic::{
    CLASSIFIERS, Classifier, Random, model, tiny_classifier, tiny_image, tiny_tokenizer,
};

const ALL: u8 = PAIRS | SKIP_PAIRS | TRIPLES | MARKS;

fn ids(model: &Model<'_>, text: &str) -> Vec<u32> {
    let mut scratch = vec![0; model.scratch_len()];
    let mut ids = Vec::new();
    model
        .tokenize(text, &mut scratch, |id| ids.push(id))
        .unwrap();
    ids
}

/// Texts of tokens that n-grams with rows are likely among, and of others.
fn texts(random: &mut Random, model: &Model<'_>, count: usize) -> Vec<String> {
    let mut buffer = [0; 64];
    let words: Vec<String> = (0..model.token_count() as u32)
        .map(|id| model.token(id, &mut buffer).unwrap().to_owned())
        .filter(|token| !token.starts_with('#'))
        .collect();
    let likely = &words[..6];
    (0..count)
        .map(|_| {
            let words: Vec<&str> = (0..random.number() % 12)
                .map(|_| match random.number() % 8 {
                    0 => "unknown?word",
                    1 => words[random.number() as usize % words.len()].as_str(),
                    _ => likely[random.number() as usize % likely.len()].as_str(),
                })
                .collect();
            words.join(" ")
        })
        .collect()
}

/// What an image says of a text, in 64-bit floats.
struct Reference {
    /// Rows of tokens and n-grams.
    rows: Vec<Vec<f64>>,
    /// The row of each n-gram that has one, by its hash, as far as that counts.
    ngrams: HashMap<(u32, u32), usize>,
    parts: HeadParts,
    classifier: Classifier,
    bits: (u8, u8),
    unk: u32,
    max_tokens: usize,
}

impl Reference {
    /// Reads an image with nothing of the crate but the header and single rows.
    fn new(image: &[u8], model: &Model<'_>, classifier: &Classifier) -> Self {
        let mut vector = vec![0.0; model.dims()];
        let rows = (0..model.row_count() as u32)
            .map(|row| {
                model.vector(row, &mut vector).unwrap();
                vector.iter().map(|&x| f64::from(x)).collect()
            })
            .collect();
        let parsed = flashvec::image::Image::parse(image).unwrap();
        let mut ngrams = HashMap::new();
        let mut bits = (0, 0);
        if let Some(section) = parsed.find(flashvec::image::SectionKind::NGrams) {
            let (f, b) = (section[1], section[2]);
            bits = (f, b);
            let groups = (1_usize << b).div_ceil(16);
            let packed = &section[8 + 19 * groups..];
            let mut index = 0;
            for bucket in 0..1_usize << b {
                for _ in 0..section[8 + 19 * (bucket / 16) + 3 + bucket % 16] {
                    let fingerprint = (0..usize::from(f)).fold(0_u32, |all, at| {
                        let bit = index * usize::from(f) + at;
                        all | u32::from(packed[bit / 8] >> (bit % 8) & 1) << at
                    });
                    let row = model.token_count() + index;
                    ngrams.entry((bucket as u32, fingerprint)).or_insert(row);
                    index += 1;
                }
            }
        }
        Self {
            rows,
            ngrams,
            parts: classifier.head(model.dims()),
            classifier: *classifier,
            bits,
            unk: model.header().tokenizer.unk,
            max_tokens: model.header().pooling.max_tokens as usize,
        }
    }

    fn hash(kind: u32, ids: &[u32]) -> u32 {
        let mix = |mut h: u32| {
            h ^= h >> 16;
            h = h.wrapping_mul(0x7FEB_352D);
            h ^= h >> 15;
            h = h.wrapping_mul(0x846C_A68B);
            h ^ h >> 16
        };
        ids.iter().fold(mix(kind), |h, id| mix(h ^ id))
    }

    /// Rows that a text's ids add up.
    fn rows_of(&self, ids: &[u32]) -> Vec<usize> {
        let ids = &ids[..ids.len().min(self.max_tokens)];
        let known = ids.iter().filter(|&&id| id != self.unk);
        let mut rows: Vec<usize> = known.map(|&id| id as usize).collect();
        let kinds = self.classifier.ngrams;
        let mut marked = ids.to_vec();
        if kinds & MARKS != 0 && !ids.is_empty() {
            marked.insert(0, u32::MAX);
            marked.push(u32::MAX);
        }
        let mut add = |kind: u32, ids: &[u32]| {
            let (f, b) = self.bits;
            let hash = Self::hash(kind, ids);
            let bucket = (u64::from(hash) >> (32 - b)) as u32;
            rows.extend(self.ngrams.get(&(bucket, hash & ((1 << f) - 1))));
        };
        for (kind, len) in [(0, 2), (1, 3), (2, 3)] {
            for window in marked.windows(len).filter(|_| kinds >> kind & 1 == 1) {
                if window.contains(&self.unk) {
                    continue;
                }
                match kind {
                    1 => add(kind, &[window[0], window[2]]),
                    _ => add(kind, window),
                }
            }
        }
        rows
    }

    fn embedding(&self, rows: &[usize]) -> Vec<f64> {
        let mut sums = vec![0.0; self.rows[0].len()];
        for &row in rows {
            for (sum, x) in sums.iter_mut().zip(&self.rows[row]) {
                *sum += x;
            }
        }
        let length = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
        let divisor = if self.classifier.normalize {
            length
        } else {
            rows.len() as f64
        };
        if divisor > 0.0 {
            sums.iter_mut().for_each(|x| *x /= divisor);
        }
        sums
    }

    fn logits(&self, embedding: &[f64]) -> Vec<f64> {
        let mut values = embedding.to_vec();
        for (at, layer) in self.parts.layers.iter().enumerate() {
            if at > 0 {
                values.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            values = (0..layer.scales.len())
                .map(|output| {
                    let weights = &layer.weights[output * values.len()..];
                    let sum: f64 = weights
                        .iter()
                        .zip(&values)
                        .map(|(&w, x)| f64::from(w) * x)
                        .sum();
                    sum * f64::from(layer.scales[output]) + f64::from(layer.biases[output])
                })
                .collect();
        }
        values
    }

    /// Scores, and the scope score.
    fn scores(&self, logits: &[f64]) -> (Vec<f64>, f64) {
        let most = logits.iter().copied().fold(f64::MIN, f64::max);
        match self.parts.task {
            Task::Softmax => {
                let sum: f64 = logits.iter().map(|z| z.exp()).sum();
                (logits.iter().map(|z| z.exp() / sum).collect(), sum.ln())
            }
            Task::Sigmoid => {
                let scores = logits.iter().map(|z| 1.0 / (1.0 + (-z).exp()));
                (scores.collect(), most)
            }
            _ => (logits.to_vec(), most),
        }
    }
}

fn bits(found: &flashvec::Classification<'_>) -> Vec<u32> {
    let scores = found.scores().iter().copied();
    scores
        .chain([found.scope_score()])
        .map(f32::to_bits)
        .collect()
}

/// Classifies texts and compares with the reference, with every kind of vectors; how many n-grams had rows.
fn check(image: &[u8], classifier: &Classifier, texts: &[String]) -> usize {
    let model = Model::from_bytes(image).unwrap();
    let reference = Reference::new(image, &model, classifier);
    let head = *model.head().unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let mut encoder = Encoder::new(&model);
    let mut ngrams = 0;
    let most = model.header().pooling.max_chars as usize;
    // Hidden outputs are rounded to 14 bits, and errors of many add up.
    let tolerance = 1e-3 * (1.0 + classifier.hidden as f64 / 10.0);
    for text in texts {
        let counting: String = text.chars().take(most).collect();
        let ids = ids(&model, &counting);
        let rows = reference.rows_of(&ids);
        ngrams += rows
            .iter()
            .filter(|&&row| row >= model.token_count())
            .count();
        let expected = reference.embedding(&rows);
        let embedding = model.encode(text, &mut scratch).unwrap().to_vec();
        for (found, expected) in embedding.iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{text:?}");
        }
        assert_eq!(
            model.encode_ids(&ids, &mut scratch).unwrap(),
            embedding,
            "{text:?}"
        );
        assert_eq!(encoder.encode(text), embedding, "{text:?}");

        let (scores, scope) = reference.scores(&reference.logits(&expected));
        let found = model.classify(text, &mut scratch).unwrap();
        assert_eq!(found.scores().len(), classifier.labels);
        for (found, expected) in found.scores().iter().zip(&scores) {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error < tolerance,
                "{classifier:?} {text:?}: {found} {expected}"
            );
        }
        let least = classifier
            .out_of_scope
            .is_none_or(|least| found.scope_score() >= least);
        assert_eq!(found.is_in_scope(), !rows.is_empty() && least, "{text:?}");
        assert!(
            (f64::from(found.scope_score()) - scope).abs() < 4.0 * tolerance * (1.0 + scope.abs()),
            "{text:?}"
        );
        let expected = bits(&found);
        let mut narrower = Some(model.clone());
        while let Some(model) = narrower {
            let found = model.classify_bytes(text.as_bytes(), &mut scratch).unwrap();
            assert_eq!(bits(&found), expected, "{text:?}");
            narrower = model.narrower();
        }
        let found = head.classify(&model, text, &mut scratch).unwrap();
        assert_eq!(bits(&found), expected, "{text:?}");
    }
    ngrams
}

#[test]
fn scores_are_those_of_floats() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for classifier in CLASSIFIERS {
        let image = tiny_classifier(&classifier).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let mut texts = texts(&mut random, &model, 300);
        texts.extend(TEXTS.map(str::to_owned));
        let ngrams = check(&image, &classifier, &texts);
        let some = if classifier.ngrams == 0 {
            0..1
        } else {
            50..usize::MAX
        };
        assert!(some.contains(&ngrams), "{ngrams} n-grams");
    }
}

/// What is behind the last token that counts forms no n-grams, and the end comes behind that token.
#[test]
fn ngrams_end_with_what_counts() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for limit in [1, 2, 3, 5] {
        let source = StaticModel {
            max_length: Some(limit),
            ..model(tiny_tokenizer(), 16)
        };
        let image = CLASSIFIERS[0].image(&source).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let texts = texts(&mut random, &model, 200);
        assert!(check(&image, &CLASSIFIERS[0], &texts) > 50);
    }
}

/// More labels and hidden outputs than a word has characters, and dimensions that leave a rest.
#[test]
fn large_heads_fit_the_scratch_they_ask_for() {
    let mut random = Random(3);
    for (dims, labels, hidden) in [(1, 300, 0), (7, 150, 90), (33, 1, 1), (260, 2, 300)] {
        let classifier = Classifier {
            codec: Codec::Int8,
            task: Task::Sigmoid,
            labels,
            hidden,
            out_of_scope: None,
            ngrams: ALL,
            normalize: true,
        };
        let image = classifier.image(&model(tiny_tokenizer(), dims)).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let needed = dims + 200.max(labels + hidden);
        assert_eq!(model.scratch_len(), needed);
        let mut scratch = vec![0; needed - 1];
        let short = model.classify("light", &mut scratch).unwrap_err();
        assert_eq!(
            short,
            Error::ScratchTooSmall {
                needed: needed as u32,
                found: needed as u32 - 1
            }
        );
        let texts = texts(&mut random, &model, 30);
        check(&image, &classifier, &texts);
    }
}

#[test]
fn labels_come_most_probable_first() {
    let image = tiny_classifier(&CLASSIFIERS[2]).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    for text in TEXTS {
        let found = model.classify(text, &mut scratch).unwrap();
        let mut expected: Vec<(usize, f32)> = found.scores().iter().copied().enumerate().collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        let top = |count| -> Vec<(usize, f32)> {
            let top = found.top(count);
            top.map(|one| (one.label, one.probability)).collect()
        };
        assert_eq!(top(3), expected[..3]);
        assert_eq!(top(100), expected);
        assert_eq!(top(0), []);
        let best = found.best().map(|best| (best.label, best.probability));
        assert_eq!(best, (!text.is_empty()).then_some(expected[0]));
    }
}

/// All outputs alike: of equal labels the first comes first, and none twice.
#[test]
fn equal_labels_come_in_their_order() {
    let base = tiny_image(Codec::Int8).unwrap();
    let mut parts = CLASSIFIERS[0].head(16);
    parts.out_of_scope = None;
    parts.layers[0].scales.fill(0.0);
    parts.layers[0].biases = vec![1.0, 2.0, 2.0, 1.0, 2.0];
    let file = parts.file(&base).unwrap();
    let model = Model::from_bytes(&base).unwrap();
    let head = Head::from_bytes(&file, &model).unwrap();
    let mut scratch = vec![0; head.scratch_len(&model)];
    let found = head.classify(&model, "light", &mut scratch).unwrap();
    let labels: Vec<usize> = found.top(5).map(|one| one.label).collect();
    assert_eq!(labels, [1, 2, 4, 0, 3]);
    assert_eq!(found.best().unwrap().label, 1);
}

/// The largest weights and sums there can be: the accumulator has room, whatever the shift.
#[test]
fn the_largest_layers_do_not_overflow() {
    for dims in [1, 2, 3, 64, 1024] {
        let mut source = model(tiny_tokenizer(), dims);
        source.normalize = false;
        source.rows = flashvec_distiller::Rows::F32(
            (0..source.token_count() * dims)
                .map(|at| if at / dims % 2 == 0 { 1.0 } else { -1.0 })
                .collect(),
        );
        let classifier = Classifier {
            task: Task::Regression,
            labels: 2,
            hidden: 0,
            out_of_scope: None,
            ngrams: 0,
            ..CLASSIFIERS[0]
        };
        let image = classifier.image(&source).unwrap();
        let mut parts = classifier.head(dims);
        parts.layers[0].weights = [vec![-128; dims], vec![127; dims]].concat();
        parts.layers[0].scales.fill(1.0 / 128.0);
        parts.layers[0].biases.fill(0.0);
        let model = Model::from_bytes(&image).unwrap();
        let file = parts.file(&image).unwrap();
        let head = Head::from_bytes(&file, &model).unwrap();
        let mut scratch = vec![0; head.scratch_len(&model)];
        for text in ["a", "b"] {
            let text = format!("{text} ").repeat(600);
            let embedding = model.encode(&text, &mut scratch).unwrap().to_vec();
            let sum: f64 = embedding.iter().map(|&x| f64::from(x)).sum();
            assert!(sum.abs() > 0.9 * dims as f64, "{sum}");
            let found = head.classify(&model, &text, &mut scratch).unwrap();
            for (&found, weight) in found.scores().iter().zip([-128.0, 127.0]) {
                let expected = sum * weight / 128.0;
                let error = (f64::from(found) - expected).abs();
                assert!(error < 1e-3 * expected.abs(), "{dims}: {found} {expected}");
            }
        }
    }
}

#[test]
fn an_embedding_image_has_no_head() {
    let image = tiny_image(Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    assert!(model.head().is_none());
    assert_eq!(model.row_count(), model.token_count());
    let error = model.classify("light", &mut scratch).unwrap_err();
    assert_eq!(error, Error::NoHead);
    assert!(error.to_string().contains("no head"));
}

/// A window forms what the specification says, which [`Reference`] takes from its words.
#[test]
fn windows_form_the_ngrams_of_the_specification() {
    let mut window = Window::new(ALL);
    let mut hashes = Vec::new();
    window.token(5, |hash| hashes.push(hash));
    window.end(|hash| hashes.push(hash));
    let mark = u32::MAX;
    let expected = [
        Reference::hash(0, &[mark, 5]),
        Reference::hash(0, &[5, mark]),
        Reference::hash(1, &[mark, mark]),
        Reference::hash(2, &[mark, 5, mark]),
    ];
    assert_eq!(hashes, expected);
}
