//! A head for embeddings as they are.

use std::path::Path;

use flashvec::{Encoder, Model, Task};
use ndarray_rand::rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::calibration::{scope_threshold, temperature};
use super::network::{Course, Dense, Lesson, Network, Score};
use super::objective::{Objective, Standard};
use super::shrink::Calibration;
use super::{TrainOptions, picked, split};
use crate::image::HeadParts;
use crate::labelled::{LabelledTexts, Targets};
use crate::pretrain::Texts;
use crate::{Error, Progress, Result};

/// Times the texts are gone through, at most.
const EPOCHS: usize = 200;
/// Epochs without a better loss after which that ends.
const PATIENCE: usize = 8;

/// Trains a head for the embeddings of an image, whose rows stay as they are: several heads share one image. The head, and
/// how it tells held-out texts.
///
/// Of the options hidden layer, label weights, epochs, refused texts and seed matter. Epochs, temperature and threshold are
/// found with `dev`, or with a part of the texts.
///
/// # Errors
/// [`Error::Image`] if the image is none or its rows are floats.
pub fn train_head(
    base: &[u8],
    path: &Path,
    examples: &LabelledTexts,
    dev: Option<&LabelledTexts>,
    options: &TrainOptions,
    progress: &dyn Progress,
) -> Result<(HeadParts, f64)> {
    let model = Model::from_bytes(base).map_err(|source| Error::Image {
        path: path.to_owned(),
        source,
    })?;
    let standard = Standard::of(&examples.targets);
    let outputs = examples.labels.len();
    let everything = Embedded::new(&model, &examples.texts, progress);
    let objective = |targets: &Targets| {
        Objective::new(targets, outputs, standard, options.label_weights.as_deref())
    };
    let (learned, held_out) = match dev {
        Some(dev) => {
            let all = (0..everything.len()).collect();
            (
                (everything.picked(all), objective(&examples.targets)),
                (
                    Embedded::new(&model, &dev.texts, progress),
                    objective(&dev.targets),
                ),
            )
        }
        None => {
            let (held_out, rest) = split(&examples.targets, options.seed);
            let part = |chosen: Vec<usize>| {
                let objective = objective(&picked(&examples.targets, &chosen));
                (everything.picked(chosen), objective)
            };
            (part(rest), part(held_out))
        }
    };
    let mut generator = Xoshiro256Plus::seed_from_u64(options.seed);
    let dims = model.dims();
    let sizes = match options.hidden {
        0 => vec![(dims, outputs)],
        hidden => vec![(dims, hidden), (hidden, outputs)],
    };
    let layers: Vec<Dense> = sizes
        .into_iter()
        .map(|(inputs, outputs)| {
            Dense::random(
                inputs,
                outputs,
                (3.0 / inputs as f32).sqrt(),
                &mut generator,
            )
        })
        .collect();
    let count = learned.0.len();
    let course = Course {
        epochs: options.epochs.unwrap_or(EPOCHS),
        stop: None,
        patience: PATIENCE,
        batch: (count / 20).clamp(8, 64),
        row_rate: 0.0,
        head_rate: 0.01,
        token_dropout: 0.0,
        ngram_dropout: 0.0,
        seed: options.seed,
    };
    let fit = |part: &(Embedded, Objective),
               held_out: Option<&(Embedded, Objective)>,
               course: &Course| {
        // The texts' embeddings are the rows, those of held-out texts behind them.
        let mut rows = part.0.rows.clone();
        held_out
            .iter()
            .for_each(|part| rows.extend_from_slice(&part.0.rows));
        let texts = numbered(0..part.0.len());
        let others = numbered(part.0.len()..rows.len() / dims);
        let mut network = Network::new(&rows, dims, layers.clone());
        progress.begin(
            "Training a head, texts",
            (course.epochs * part.0.len()) as u64,
        );
        let lesson = Lesson {
            texts: &texts,
            objective: &part.1,
        };
        let watched = held_out.filter(|part| part.0.len() > 0).map(|part| Lesson {
            texts: &others,
            objective: &part.1,
        });
        let epochs = network.train(lesson, watched, u32::MAX, course, progress)?;
        progress.finish();
        let logits = network.logits(&others);
        let score = watched.map(|lesson| network.score(lesson));
        Ok::<_, Error>((network, epochs, logits, score))
    };
    let (network, epochs, logits, score) = fit(&learned, Some(&held_out), &course)?;
    let network = match dev {
        Some(_) => network,
        None => {
            let all = (everything, objective(&examples.targets));
            let stop = Some(epochs);
            fit(&all, None, &Course { stop, ..course })?.0
        }
    };
    let temperature = temperature(&logits, &held_out.1);
    let task = examples.targets.task();
    let refused = options.refused.filter(|_| task == Task::Softmax);
    let calibration = Calibration {
        factors: vec![standard.deviation / temperature; outputs],
        shift: standard.mean,
        out_of_scope: refused
            .and_then(|share| scope_threshold(&logits, outputs, temperature, share)),
    };
    let head = calibration.head(task, &examples.labels, &network.layers);
    Ok((head, score.map_or(0.0, |Score { accuracy, .. }| accuracy)))
}

/// The embeddings of texts, row-major.
struct Embedded {
    rows: Vec<f32>,
    dims: usize,
}

impl Embedded {
    fn new(model: &Model<'_>, texts: &[String], progress: &dyn Progress) -> Self {
        let mut encoder = Encoder::new(model);
        progress.begin("Encoding texts", texts.len() as u64);
        let mut rows = Vec::with_capacity(texts.len() * model.dims());
        for text in texts {
            rows.extend_from_slice(encoder.encode(text));
            progress.advance(1);
        }
        progress.finish();
        Self {
            rows,
            dims: model.dims(),
        }
    }

    fn len(&self) -> usize {
        self.rows.len() / self.dims
    }

    fn picked(&self, chosen: Vec<usize>) -> Self {
        let row = |text: usize| &self.rows[text * self.dims..][..self.dims];
        Self {
            rows: chosen.into_iter().flat_map(row).copied().collect(),
            dims: self.dims,
        }
    }
}

/// Texts of one row each.
fn numbered(rows: std::ops::Range<usize>) -> Texts {
    let mut texts = Texts::default();
    rows.for_each(|row| texts.push([row as u32]));
    texts
}
