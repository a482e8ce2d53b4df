//! Trains text classifiers for a number of bytes.
//!
//! A classifier adds up rows of tokens and n-grams as an embedding does, and a small head turns their mean into logits:
//! fastText's model (Joulin et al., "Bag of Tricks for Efficient Text Classification", 2017), begun from a distilled
//! table. First a large network with a row for everything is trained. Then the rows most worth their bytes are kept, in
//! as few dimensions as logits need, and trained on with what the large network says of the texts (Hinton et al.,
//! "Distilling the Knowledge in a Neural Network", 2015), at last through the codec that stores them.

mod calibration;
mod features;
mod frozen;
mod network;
mod objective;
mod shrink;
#[cfg(test)]
mod tests;
mod trainer;
mod vocabulary;
mod words;

use flashvec::Codec;
use flashvec::ngrams_layout::{MARKS, PAIRS};
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;

pub use frozen::train_head;
pub use vocabulary::learn_vocabulary;

use self::objective::Standard;
use self::trainer::{Part, Trainer};
use self::words::{Vocabulary, Words};
use crate::image::ImageOptions;
use crate::labelled::{LabelledTexts, Targets};
use crate::pretrain::Texts;
use crate::{Error, Progress, Quantization, Result, Rotation, StaticModel};

/// How a classifier is trained. [`TrainOptions::new`] has what is best unless something else was measured.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Most bytes of the image.
    pub flash: usize,
    /// Kinds of n-grams that may have rows, as [`flashvec::ngrams_layout`] names them; 0: none.
    pub ngrams: u8,
    /// Dimensions of rows; `None`: those that tell held-out texts best.
    pub dims: Option<usize>,
    /// `int8`, `int4` or `int2`; `None`: the one that tells held-out texts best.
    pub codec: Option<Codec>,
    /// Outputs of a hidden layer; 0: none.
    pub hidden: usize,
    /// How much a text of each label counts; `None`: all alike.
    pub label_weights: Option<Vec<f32>>,
    /// Times the texts are gone through with the large network; `None`: as many as suit their number.
    pub epochs: Option<usize>,
    /// Share of held-out texts that may be taken for none of the labels; `None`: no text is. Only for one label a text.
    pub refused: Option<f64>,
    /// What every choice by chance is drawn from.
    pub seed: u64,
}

impl TrainOptions {
    /// For images of at most this many bytes.
    pub const fn new(flash: usize) -> Self {
        Self {
            flash,
            ngrams: PAIRS | MARKS,
            dims: None,
            codec: None,
            hidden: 0,
            label_weights: None,
            epochs: None,
            refused: Some(0.02),
            seed: 0,
        }
    }
}

/// A way to store rows that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried {
    pub dims: usize,
    pub codec: Codec,
    pub tokens: usize,
    pub ngrams: usize,
    /// Mean loss of held-out texts.
    pub loss: f64,
    /// Share of held-out texts that got what they should; 0 for values.
    pub accuracy: f64,
}

/// A classifier.
#[derive(Clone, Debug)]
pub struct Trained {
    pub image: Vec<u8>,
    /// Tokens and n-grams that have rows.
    pub tokens: usize,
    pub ngrams: usize,
    /// What was tried; the chosen one first.
    pub tried: Vec<Tried>,
    /// Epochs of the large network that told held-out texts best.
    pub epochs: usize,
    /// What logits were divided by.
    pub temperature: f32,
    /// The score below which a text has none of the labels.
    pub out_of_scope: Option<f32>,
    /// Whether the texts that decided were a part of the training texts, which the classifier then learned as well.
    pub split: bool,
}

/// One text in so many is held out where no others are given to decide by.
const HELD_OUT: usize = 10;
/// Most texts held out.
const MOST_HELD_OUT: usize = 5000;

/// Trains a classifier.
///
/// `base` has the vocabulary, and rows to begin from; with `random`, only the former. The choices of dimensions, codec,
/// epochs, temperature and threshold are made with `dev`; without, with a part of the training texts, all of which are
/// learned in the end.
///
/// # Errors
/// [`Error::Option`] and [`Error::Codec`] for options that cannot be met, [`Error::FlashTooSmall`],
/// [`Error::UnsupportedTokenizer`].
pub fn train(
    base: &StaticModel,
    random: bool,
    examples: &LabelledTexts,
    dev: Option<&LabelledTexts>,
    options: &TrainOptions,
    image: &ImageOptions,
    progress: &dyn Progress,
) -> Result<Trained> {
    check(examples, options)?;
    let vocabulary = Vocabulary::new(base)?;
    let mut words = Words::default();
    let texts = words.read(base, &examples.texts)?;
    let dev_texts = dev.map(|dev| words.read(base, &dev.texts)).transpose()?;
    let image = ImageOptions {
        quantization: Quantization {
            rotation: Rotation::None,
            ..Quantization::default()
        },
        ..image.clone()
    };
    let standard = Standard::of(&examples.targets);
    let trainer = Trainer {
        base,
        random,
        vocabulary: &vocabulary,
        words: &words,
        labels: &examples.labels,
        task: examples.targets.task(),
        standard,
        image: &image,
        options,
        progress,
    };
    let objective = |targets: &Targets| trainer.objective(targets);
    let all = Part {
        objective: objective(&examples.targets),
        texts,
    };
    let (learned, held_out) = match (dev, dev_texts) {
        (Some(dev), Some(texts)) => (
            None,
            Part {
                objective: objective(&dev.targets),
                texts,
            },
        ),
        _ => {
            let (held_out, rest) = split(&examples.targets, options.seed);
            let part = |chosen: &[usize]| Part {
                objective: objective(&picked(&examples.targets, chosen)),
                texts: picked_texts(&all.texts, chosen),
            };
            (Some(part(&rest)), part(&held_out))
        }
    };
    trainer.run(&all, learned.as_ref(), &held_out)
}

fn check(examples: &LabelledTexts, options: &TrainOptions) -> Result<()> {
    let wrong = |option, what: String| Err(Error::Option { option, what });
    match options.codec {
        None | Some(Codec::Int8 | Codec::Int4 | Codec::Int2) => {}
        Some(codec) => {
            let what = "classifiers have int8, int4 or int2 rows".to_owned();
            return Err(Error::Codec { codec, what });
        }
    }
    if options.dims == Some(0) {
        return wrong("dims", "there is at least 1".to_owned());
    }
    if let Some(weights) = &options.label_weights
        && (weights.len() != examples.labels.len()
            || !weights.iter().all(|w| w.is_finite() && *w > 0.0))
    {
        return wrong("label weights", "each label has one, above 0".to_owned());
    }
    Ok(())
}

/// Texts to decide by, and the rest: by chance, one in [`HELD_OUT`] of each label.
fn split(targets: &Targets, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..targets.len()).collect();
    order.shuffle(&mut Xoshiro256Plus::seed_from_u64(seed ^ 0x5EED));
    if let Targets::Single(labels) = targets {
        order.sort_by_key(|&text| labels[text]);
    }
    let every = HELD_OUT.max(targets.len() / MOST_HELD_OUT);
    let (mut held_out, mut rest) = (Vec::new(), Vec::new());
    for (at, text) in order.into_iter().enumerate() {
        if at % every == every / 2 {
            held_out.push(text);
        } else {
            rest.push(text);
        }
    }
    held_out.sort_unstable();
    rest.sort_unstable();
    (held_out, rest)
}

fn picked(targets: &Targets, chosen: &[usize]) -> Targets {
    match targets {
        Targets::Single(labels) => {
            Targets::Single(chosen.iter().map(|&text| labels[text]).collect())
        }
        Targets::Multi(labels) => {
            Targets::Multi(chosen.iter().map(|&text| labels[text].clone()).collect())
        }
        Targets::Values(values) => {
            Targets::Values(chosen.iter().map(|&text| values[text]).collect())
        }
    }
}

fn picked_texts(texts: &Texts, chosen: &[usize]) -> Texts {
    let mut picked = Texts::default();
    for &text in chosen {
        picked.push(texts.ids(text).iter().copied());
    }
    picked
}
