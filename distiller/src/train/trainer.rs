//! The course of a training: large networks, small ones of several shapes, and the best of them once more with all texts.

use flashvec::ngrams_layout::{MARKS, most_rows};
use flashvec::{Codec, Task};
use ndarray_rand::rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::calibration::{scope_threshold, temperature};
use super::features::{frequent_ngrams, rows_of};
use super::network::{Course, Dense, Lesson, Network, Score};
use super::objective::{Objective, Standard};
use super::shrink::{Calibration, Full, Selection, Setting, Shape, counts, factorize};
use super::words::{Vocabulary, Words};
use super::{TrainOptions, Trained, Tried};
use crate::image::{ImageOptions, MAX_INTEGER_TOKENS};
use crate::labelled::Targets;
use crate::pretrain::Texts;
use crate::{Error, Progress, Result, StaticModel};

/// How often a token counts as seen that no training text has.
const UNSEEN: f32 = 0.2;
/// Most n-grams of the large network.
const MOST_NGRAMS: usize = 300_000;
/// Texts that the large network sees, and the small one, before and with its codec; in epochs, within a range.
const SEEN: f64 = 90_000.0;
const SEEN_SMALL: f64 = 110_000.0;
const SEEN_QUANTIZED: f64 = 60_000.0;
const EPOCHS: (f64, f64) = (3.0, 100.0);
const EPOCHS_SMALL: (f64, f64) = (5.0, 100.0);
/// Large networks whose mean the small one learns from.
const ENSEMBLE: usize = 3;
/// How far the small network goes by what the large one says, rather than by the labels.
const SOFTENED: f32 = 0.5;
/// Labels that rows hold the logits of.
const FEW_LABELS: usize = 8;
/// Dimensions that are tried for more, and where that begins.
const DIMS: [usize; 6] = [8, 16, 24, 32, 48, 64];
const MIDDLE: usize = 24;
const MOST_DIMS: usize = 64;
/// Dimensions of rows that begin at random.
const RANDOM_DIMS: usize = 64;

/// Texts and what is right for them.
pub(super) struct Part {
    pub(super) texts: Texts,
    pub(super) objective: Objective,
}

impl Part {
    fn lesson<'l>(&'l self, rows: &'l Texts) -> Lesson<'l> {
        Lesson {
            texts: rows,
            objective: &self.objective,
        }
    }
}

/// What all networks of a training have in common.
pub(super) struct Trainer<'t> {
    pub(super) base: &'t StaticModel,
    pub(super) random: bool,
    pub(super) vocabulary: &'t Vocabulary,
    pub(super) words: &'t Words,
    pub(super) labels: &'t [String],
    pub(super) task: Task,
    pub(super) standard: Standard,
    pub(super) image: &'t ImageOptions,
    pub(super) options: &'t TrainOptions,
    pub(super) progress: &'t dyn Progress,
}

/// A small network, and how it tells held-out texts.
struct Small {
    shape: Shape,
    selection: Selection,
    network: Network,
    score: Score,
    /// Of held-out texts.
    logits: Vec<f32>,
}

impl Small {
    fn or_better(self, other: Self) -> Self {
        if other.score.loss < self.score.loss {
            other
        } else {
            self
        }
    }

    fn tried(&self) -> Tried {
        Tried {
            dims: self.shape.dims,
            codec: self.shape.codec,
            tokens: self.selection.token_count(),
            ngrams: self.selection.ngram_count(),
            loss: self.score.loss,
            accuracy: self.score.accuracy,
        }
    }
}

impl Trainer<'_> {
    pub(super) fn objective(&self, targets: &Targets) -> Objective {
        let weights = self.options.label_weights.as_deref();
        Objective::new(targets, self.labels.len(), self.standard, weights)
    }

    fn setting<'s>(&'s self, texts: &'s Texts) -> Setting<'s> {
        Setting {
            base: self.base,
            vocabulary: self.vocabulary,
            words: self.words,
            texts,
            labels: self.labels,
            task: self.task,
            image: self.image,
            flash: self.options.flash,
        }
    }

    /// From training texts to a classifier: with `learned`, the part of them that is learned before `held_out` decides.
    pub(super) fn run(
        &self,
        all: &Part,
        learned: Option<&Part>,
        held_out: &Part,
    ) -> Result<Trained> {
        let part = learned.unwrap_or(all);
        let (full, epochs) = self.full(part, Some(held_out), None)?;
        let mut tried = Vec::new();
        let best = self.best_small(&full, part, held_out, &mut tried)?;
        let temperature = temperature(&best.logits, &held_out.objective);
        let refused = self.options.refused.filter(|_| self.task == Task::Softmax);
        let out_of_scope = refused
            .and_then(|share| scope_threshold(&best.logits, self.labels.len(), temperature, share));
        let shape = best.shape;
        tried.sort_by_key(|tried| (tried.dims, tried.codec) != (shape.dims, shape.codec));
        let last = match learned {
            None => best,
            Some(_) => {
                drop((best, full));
                let (full, _) = self.full(all, None, Some(epochs))?;
                self.small(&full, all, held_out, shape)?
            }
        };
        let calibration = Calibration {
            factors: vec![self.standard.deviation / temperature; self.labels.len()],
            shift: self.standard.mean,
            out_of_scope,
        };
        let setting = self.setting(&all.texts);
        Ok(Trained {
            image: last
                .selection
                .image(&setting, shape.codec, &last.network, &calibration)?,
            tokens: last.selection.token_count(),
            ngrams: last.selection.ngram_count(),
            tried,
            epochs,
            temperature,
            out_of_scope,
            split: learned.is_some(),
        })
    }

    /// How much of the usual dropout is good: what a text lacks draws its value to the mean.
    fn dropout(&self) -> f32 {
        match self.task {
            Task::Regression => 0.25,
            _ => 1.0,
        }
    }

    fn course(&self, texts: usize, seen: f64, range: (f64, f64)) -> Course {
        let epochs = (seen / texts.max(1) as f64).round().clamp(range.0, range.1);
        Course {
            epochs: epochs as usize,
            stop: None,
            patience: 3,
            batch: (texts / 20).clamp(8, 64),
            row_rate: 0.01,
            head_rate: 0.01,
            token_dropout: 0.4 * self.dropout(),
            ngram_dropout: 0.5 * self.dropout(),
            seed: self.options.seed,
        }
    }

    /// Trains the large network; with the number of epochs that were best, or just those.
    fn full(
        &self,
        part: &Part,
        held_out: Option<&Part>,
        stop: Option<usize>,
    ) -> Result<(Full, usize)> {
        let unk = self.vocabulary.tokenizer.unk;
        // With rows to begin from, tokens that no training text has can be told as well.
        let mut tokens: Vec<u32> = (0..self.vocabulary.len() as u32)
            .filter(|&id| id != unk)
            .collect();
        if self.random {
            let everything: Vec<Option<u32>> =
                (0..self.vocabulary.len() as u32).map(Some).collect();
            let ids = self.words.split(self.vocabulary, &everything);
            let mut seen = vec![false; self.vocabulary.len()];
            for text in 0..part.texts.len() {
                let words = part.texts.ids(text).iter();
                let tokens = words
                    .filter_map(|&word| ids[word as usize].as_ref())
                    .flatten();
                tokens.for_each(|&id| seen[id as usize] = true);
            }
            tokens.retain(|&id| seen[id as usize]);
        }
        let mut numbers = vec![None; self.vocabulary.len()];
        for (number, &id) in (0..).zip(&tokens) {
            numbers[id as usize] = Some(number);
        }
        if tokens.is_empty() {
            return Err(Error::Model {
                what: "no text has a token of the vocabulary; take another base".to_owned(),
            });
        }
        let splits = self.words.split(self.vocabulary, &numbers);
        let kinds = self.options.ngrams;
        let least = if part.texts.len() < 1000 { 1 } else { 2 };
        let ngrams = match kinds & !MARKS {
            0 => Vec::new(),
            _ => frequent_ngrams(&part.texts, &splits, kinds, least, MOST_NGRAMS),
        };
        let mut full = Full {
            contributions: Vec::new(),
            biases: Vec::new(),
            tokens,
            ngrams,
            kinds,
            splits,
            counts: Vec::new(),
            said: Vec::new(),
        };
        let rows = full.ngram_rows();
        let texts = rows_of(&part.texts, &full.splits, &rows);
        let held_out_texts = held_out.map(|part| rows_of(&part.texts, &full.splits, &rows));
        let mut course = self.course(texts.len(), SEEN, EPOCHS);
        if let Some(epochs) = self.options.epochs {
            course.epochs = epochs;
        }
        let members = ENSEMBLE;
        let step = format!("Training {members} networks with every row, texts");
        self.progress.begin(
            &step,
            (members * stop.unwrap_or(course.epochs) * texts.len()) as u64,
        );
        let first_ngram = full.tokens.len() as u32;
        let held_out = held_out.zip(held_out_texts.as_ref());
        let held_out = held_out.filter(|(_, texts)| texts.len() > 0);
        let held_out = held_out.map(|(part, texts)| part.lesson(texts));
        let mut epochs = stop;
        for member in 0..members as u64 {
            let seed = self.options.seed.wrapping_mul(members as u64) + member;
            let mut generator = Xoshiro256Plus::seed_from_u64(seed);
            let (rows, dims) = self.first_rows(&full.tokens, full.ngrams.len(), &mut generator)?;
            let reach = 0.1 / (dims as f32).sqrt();
            let layer = Dense::random(dims, self.labels.len(), reach, &mut generator);
            let mut network = Network::new(&rows, dims, vec![layer]);
            drop(rows);
            let course = Course {
                stop: epochs,
                seed,
                ..course
            };
            // The first finds out how long is best.
            let to_watch = held_out.filter(|_| epochs.is_none());
            let took = network.train(
                part.lesson(&texts),
                to_watch,
                first_ngram,
                &course,
                self.progress,
            )?;
            epochs = epochs.or(Some(took));
            full.learn(&network, self.task, 1.0 / members as f32);
        }
        self.progress.finish();
        full.said = full.say(&texts, &part.objective);
        full.counts = counts(&texts, full.tokens.len() + full.ngrams.len());
        let of_tokens = full.counts.iter_mut().take(full.tokens.len());
        of_tokens.for_each(|count| *count = count.max(UNSEEN));
        Ok((full, epochs.unwrap_or(course.epochs)))
    }

    /// Rows that the large network begins with: the base's, of a size of about 1, and nothing for n-grams.
    fn first_rows(
        &self,
        tokens: &[u32],
        ngrams: usize,
        generator: &mut Xoshiro256Plus,
    ) -> Result<(Vec<f32>, usize)> {
        use ndarray_rand::rand::Rng;

        if self.random {
            let dims = RANDOM_DIMS;
            let mut rows: Vec<f32> = (0..tokens.len() * dims)
                .map(|_| generator.gen_range(-0.1..=0.1))
                .collect();
            rows.resize((tokens.len() + ngrams) * dims, 0.0);
            return Ok((rows, dims));
        }
        let dims = self.base.dims;
        let mut rows = vec![0.0; tokens.len() * dims];
        for (row, &id) in rows.chunks_exact_mut(dims).zip(tokens) {
            self.base.token_row(id, row)?;
        }
        let squares: f64 = rows.iter().map(|&x| f64::from(x).powi(2)).sum();
        let size = (squares / rows.len() as f64).sqrt() as f32;
        if !(size > 0.0 && size.is_finite()) {
            return Err(Error::Model {
                what: "the base's rows are all 0 or not finite; take another base".to_owned(),
            });
        }
        rows.iter_mut().for_each(|x| *x /= size);
        rows.resize((tokens.len() + ngrams) * dims, 0.0);
        Ok((rows, dims))
    }

    /// The small network whose shape tells held-out texts best, and all that were tried. With few labels rows hold all there
    /// is to logits, in one of two codecs; with many, fewer dimensions leave room for more rows: both ways from the middle,
    /// as long as it gets better.
    fn best_small(
        &self,
        full: &Full,
        part: &Part,
        held_out: &Part,
        tried: &mut Vec<Tried>,
    ) -> Result<Small> {
        let mut try_shape = |dims: usize, codec: Codec| {
            let hidden = self.options.hidden;
            let small = self.small(
                full,
                part,
                held_out,
                Shape {
                    dims,
                    codec,
                    hidden,
                },
            )?;
            tried.push(small.tried());
            Ok::<_, Error>(small)
        };
        // Logits of one label a text matter but for what they have in common.
        let rank = match self.task {
            Task::Softmax => (self.labels.len() - 1).max(1),
            _ => self.labels.len(),
        };
        let few = rank <= FEW_LABELS;
        let codec = self.options.codec.unwrap_or(Codec::Int4);
        let ladder: Vec<usize> = match self.options.dims {
            Some(dims) => vec![dims.min(rank)],
            None if few => vec![rank],
            None => {
                let steps = DIMS.into_iter().filter(|&dims| dims < rank);
                steps.chain((rank <= MOST_DIMS).then_some(rank)).collect()
            }
        };
        let middle = ladder
            .iter()
            .position(|&dims| dims >= MIDDLE)
            .unwrap_or(ladder.len() - 1);
        let mut best = try_shape(ladder[middle], codec)?;
        if self.options.codec.is_none() && few {
            best = best.or_better(try_shape(ladder[middle], Codec::Int8)?);
        }
        let (below, above) = (ladder[..middle].iter().rev(), ladder[middle + 1..].iter());
        for &dims in below {
            best = best.or_better(try_shape(dims, codec)?);
            if best.shape.dims != dims {
                break;
            }
        }
        if best.shape.dims == ladder[middle] {
            for &dims in above {
                best = best.or_better(try_shape(dims, codec)?);
                if best.shape.dims != dims {
                    break;
                }
            }
        }
        Ok(best)
    }

    /// Makes a small network of the large one, and trains it.
    fn small(&self, full: &Full, part: &Part, held_out: &Part, shape: Shape) -> Result<Small> {
        let setting = self.setting(&part.texts);
        let selection = Selection::best(&setting, full, shape)?;
        let outputs = self.labels.len();
        let (rows, weights) = factorize(&full.contributions, &full.counts, outputs, shape.dims)?;
        let rows = selection.take(&rows, shape.dims);
        let mut generator = Xoshiro256Plus::seed_from_u64(self.options.seed);
        let layers = match shape.hidden {
            0 => vec![Dense::new(weights, &full.biases)],
            _ => {
                let layers = shape.layers(outputs).into_iter();
                layers
                    .map(|(inputs, outputs)| {
                        let reach = (3.0 / inputs as f32).sqrt();
                        Dense::random(inputs, outputs, reach, &mut generator)
                    })
                    .collect()
            }
        };
        let objective = part.objective.softened(&full.said, SOFTENED);
        let texts = selection.rows_of(&part.texts);
        let held_out_texts = selection.rows_of(&held_out.texts);
        let lesson = Lesson {
            texts: &texts,
            objective: &objective,
        };
        let mut network = Network::new(&rows, shape.dims, layers);
        let first_ngram = selection.token_count() as u32;
        let mut course = Course {
            head_rate: if shape.hidden > 0 { 0.01 } else { 0.003 },
            token_dropout: 0.2 * self.dropout(),
            ngram_dropout: 0.3 * self.dropout(),
            ..self.course(texts.len(), SEEN_SMALL, EPOCHS_SMALL)
        };
        let quantized = self
            .course(texts.len(), SEEN_QUANTIZED, EPOCHS_SMALL)
            .epochs;
        let step = format!(
            "Training {} dimensions in {}, texts",
            shape.dims, shape.codec
        );
        self.progress
            .begin(&step, ((course.epochs + quantized) * texts.len()) as u64);
        network.train(lesson, None, first_ngram, &course, self.progress)?;
        let most_rows = most_rows(selection.kinds(), MAX_INTEGER_TOKENS);
        network.quantize(shape.codec, u32::try_from(most_rows).unwrap_or(u32::MAX))?;
        course.epochs = quantized;
        course.row_rate /= 2.0;
        course.head_rate /= 2.0;
        network.train(lesson, None, first_ngram, &course, self.progress)?;
        self.progress.finish();
        Ok(Small {
            shape,
            score: network.score(held_out.lesson(&held_out_texts)),
            logits: network.logits(&held_out_texts),
            selection,
            network,
        })
    }
}
