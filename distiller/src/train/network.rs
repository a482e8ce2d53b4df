//! Rows and a head in training.

use flashvec::Codec;
use ndarray_rand::rand::seq::SliceRandom;
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;

use super::objective::Objective;
use crate::pretrain::{Table, Texts, dot, sum};
use crate::quantize::RowQuantizer;
use crate::{Progress, Result};

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// A layer, with what Adam keeps of it.
#[derive(Clone)]
pub(super) struct Dense {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Weights, output by output, then a bias each.
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Dense {
    pub(super) fn new(weights: Vec<f32>, biases: &[f32]) -> Self {
        let outputs = biases.len();
        let inputs = weights.len() / outputs;
        let mut values = weights;
        values.extend_from_slice(biases);
        let none = vec![0.0; values.len()];
        Self {
            inputs,
            outputs,
            first: none.clone(),
            second: none,
            values,
        }
    }

    /// Weights between -`reach` and `reach`.
    pub(super) fn random(
        inputs: usize,
        outputs: usize,
        reach: f32,
        generator: &mut Xoshiro256Plus,
    ) -> Self {
        let weights = (0..inputs * outputs)
            .map(|_| generator.gen_range(-reach..=reach))
            .collect();
        Self::new(weights, &vec![0.0; outputs])
    }

    pub(super) fn weights(&self) -> &[f32] {
        &self.values[..self.inputs * self.outputs]
    }

    pub(super) fn biases(&self) -> &[f32] {
        &self.values[self.inputs * self.outputs..]
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        self.weights()
            .chunks_exact(self.inputs)
            .zip(self.biases())
            .map(|(weights, bias)| bias + dot(weights, x))
            .collect()
    }

    /// The gradient for the inputs, from that for the outputs.
    fn backward(&self, gradient: &[f32]) -> Vec<f32> {
        let mut of_inputs = vec![0.0; self.inputs];
        for (weights, g) in self.weights().chunks_exact(self.inputs).zip(gradient) {
            of_inputs
                .iter_mut()
                .zip(weights)
                .for_each(|(sum, w)| *sum += g * w);
        }
        of_inputs
    }

    /// A step of Adam from pairs of inputs and outputs' gradients.
    fn step<'a>(
        &mut self,
        texts: impl Iterator<Item = (&'a [f32], &'a [f32])> + Clone + Sync + Send,
        count: usize,
        steps: i32,
        learning_rate: f32,
    ) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let mut gradient = vec![0.0; self.values.len()];
        let (weights, biases) = gradient.split_at_mut(inputs * outputs);
        weights
            .par_chunks_exact_mut(inputs)
            .zip(biases)
            .enumerate()
            .with_min_len(8)
            .for_each(|(output, (weights, bias))| {
                for (x, of_outputs) in texts.clone() {
                    let g = of_outputs[output];
                    *bias += g;
                    weights.iter_mut().zip(x).for_each(|(sum, x)| *sum += g * x);
                }
            });
        let first_correction = 1.0 / (1.0 - FIRST_DECAY.powi(steps));
        let second_correction = 1.0 / (1.0 - SECOND_DECAY.powi(steps));
        let values = self
            .values
            .iter_mut()
            .zip(&mut self.first)
            .zip(&mut self.second);
        for (((value, first), second), gradient) in values.zip(gradient) {
            let gradient = gradient / count as f32;
            *first += (1.0 - FIRST_DECAY) * (gradient - *first);
            *second += (1.0 - SECOND_DECAY) * (gradient * gradient - *second);
            let spread = (*second * second_correction).sqrt() + EPSILON;
            *value -= learning_rate * *first * first_correction / spread;
        }
    }
}

/// Rows as an image will hold them.
#[derive(Clone)]
struct Quantized {
    codec: Codec,
    most_rows: u32,
    quantizer: RowQuantizer,
    values: Vec<f32>,
}

impl Quantized {
    fn set(&mut self, id: usize, row: &[f32]) {
        let mut integers = vec![0_i8; row.len()];
        let scale = self.quantizer.quantize(row, &mut integers) as f32 * self.quantizer.unit();
        let values = &mut self.values[id * row.len()..][..row.len()];
        for (value, &integer) in values.iter_mut().zip(&integers) {
            *value = f32::from(integer) * scale;
        }
    }
}

/// Rows, whose mean is what the first of one or two layers reads.
#[derive(Clone)]
pub(super) struct Network {
    table: Table,
    pub(super) layers: Vec<Dense>,
    quantized: Option<Quantized>,
}

/// Settings of training.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) epochs: usize,
    /// The epoch after which training ends, whatever the steps were made for.
    pub(super) stop: Option<usize>,
    /// Epochs without a better loss on held-out texts after which training ends.
    pub(super) patience: usize,
    pub(super) batch: usize,
    /// Adam's step for rows at the beginning; it falls to 0 in a straight line.
    pub(super) row_rate: f32,
    pub(super) head_rate: f32,
    /// Share of tokens, and of n-grams, that a text lacks each time.
    pub(super) token_dropout: f32,
    pub(super) ngram_dropout: f32,
    pub(super) seed: u64,
}

/// Rows of texts, with what is right for each.
#[derive(Clone, Copy)]
pub(super) struct Lesson<'l> {
    pub(super) texts: &'l Texts,
    pub(super) objective: &'l Objective,
}

/// How well texts are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Score {
    pub(super) loss: f64,
    /// Share of texts that got what they should.
    pub(super) accuracy: f64,
}

/// What goes into or comes out of each layer, for one text.
type Activations = Vec<Vec<f32>>;

/// A network as it was when it told held-out texts best.
struct Best {
    loss: f64,
    epoch: usize,
    rows: Vec<f32>,
    layers: Vec<Dense>,
}

struct Pass {
    /// What each layer read.
    inputs: Vec<Vec<f32>>,
    logits: Vec<f32>,
}

impl Network {
    pub(super) fn new(rows: &[f32], dims: usize, layers: Vec<Dense>) -> Self {
        Self {
            table: Table::new(rows, dims),
            layers,
            quantized: None,
        }
    }

    pub(super) fn dims(&self) -> usize {
        self.table.dims
    }

    pub(super) fn rows(&self) -> Vec<f32> {
        self.table.rows()
    }

    /// From now on texts see rows as an image of this codec holds them; steps are still taken by the rows behind.
    ///
    /// # Errors
    /// Those of [`RowQuantizer::new`].
    pub(super) fn quantize(&mut self, codec: Codec, most_rows: u32) -> Result<()> {
        let rows = self.table.rows();
        let dims = self.dims();
        let quantizer = RowQuantizer::new(codec, rows.chunks_exact(dims), most_rows)?;
        let mut quantized = Quantized {
            codec,
            most_rows,
            quantizer,
            values: vec![0.0; rows.len()],
        };
        for (id, row) in rows.chunks_exact(dims).enumerate() {
            quantized.set(id, row);
        }
        self.quantized = Some(quantized);
        Ok(())
    }

    fn pass(&self, ids: &[u32]) -> Pass {
        let mut x = vec![0.0; self.dims()];
        match &self.quantized {
            Some(quantized) => sum(ids, &quantized.values, self.dims(), &mut x),
            None => self.table.sum(ids, &mut x),
        }
        let share = 1.0 / ids.len().max(1) as f32;
        x.iter_mut().for_each(|x| *x *= share);
        let mut inputs = Vec::with_capacity(self.layers.len());
        for (at, layer) in self.layers.iter().enumerate() {
            let mut outputs = layer.forward(&x);
            inputs.push(x);
            if at + 1 < self.layers.len() {
                outputs.iter_mut().for_each(|z| *z = z.max(0.0));
            }
            x = outputs;
        }
        Pass { inputs, logits: x }
    }

    /// The logits of each text, row-major.
    pub(super) fn logits(&self, texts: &Texts) -> Vec<f32> {
        (0..texts.len())
            .into_par_iter()
            .flat_map_iter(|text| self.pass(texts.ids(text)).logits)
            .collect()
    }

    pub(super) fn score(&self, lesson: Lesson<'_>) -> Score {
        let logits = self.logits(lesson.texts);
        let logits = logits.chunks_exact(lesson.objective.outputs).enumerate();
        let count = lesson.texts.len().max(1) as f64;
        let (mut loss, mut right) = (0.0, 0);
        for (text, logits) in logits {
            loss += lesson.objective.loss(text, logits);
            right += usize::from(lesson.objective.is_right(text, logits));
        }
        Score {
            loss: loss / count,
            accuracy: right as f64 / count,
        }
    }

    /// Trains until held-out texts are told no better; keeps what told them best, or the last without any. The number of
    /// epochs that took. `first_ngram` is the first row of an n-gram.
    ///
    /// # Errors
    /// Those of [`quantize`](Self::quantize).
    pub(super) fn train(
        &mut self,
        lesson: Lesson<'_>,
        held_out: Option<Lesson<'_>>,
        first_ngram: u32,
        course: &Course,
        progress: &dyn Progress,
    ) -> Result<usize> {
        // A text without rows teaches nothing.
        let mut order: Vec<usize> = (0..lesson.texts.len())
            .filter(|&text| !lesson.texts.ids(text).is_empty())
            .collect();
        let mut generator = Xoshiro256Plus::seed_from_u64(course.seed);
        let steps = (course.epochs * order.len().div_ceil(course.batch)).max(1) as f32;
        let mut step = 0_u32;
        let mut best: Option<Best> = None;
        let mut done = 0;
        for epoch in 1..=course.epochs {
            order.shuffle(&mut generator);
            if let Some(quantized) = &self.quantized {
                let (codec, most_rows) = (quantized.codec, quantized.most_rows);
                self.quantize(codec, most_rows)?;
            }
            for batch in order.chunks(course.batch) {
                let left = 1.0 - step as f32 / steps;
                step += 1;
                let kept: Vec<Vec<u32>> = batch
                    .iter()
                    .map(|&text| {
                        dropped(lesson.texts.ids(text), first_ngram, course, &mut generator)
                    })
                    .collect();
                self.step(
                    lesson.objective,
                    batch,
                    &kept,
                    course.row_rate * left,
                    course.head_rate * left,
                );
                progress.advance(batch.len() as u64);
            }
            done = epoch;
            if course.stop == Some(epoch) {
                break;
            }
            let Some(held_out) = held_out else { continue };
            let loss = self.score(held_out).loss;
            match &best {
                Some(best) if loss >= best.loss => {
                    if epoch - best.epoch >= course.patience {
                        break;
                    }
                }
                _ => {
                    // The rows of one at a time.
                    drop(best.take());
                    best = Some(Best {
                        loss,
                        epoch,
                        rows: self.rows(),
                        layers: self.layers.clone(),
                    });
                }
            }
        }
        if let Some(best) = best {
            self.table.restart(&best.rows);
            self.layers = best.layers;
            done = best.epoch;
            if let Some(quantized) = &self.quantized {
                let (codec, most_rows) = (quantized.codec, quantized.most_rows);
                self.quantize(codec, most_rows)?;
            }
        }
        Ok(done)
    }

    fn step(
        &mut self,
        objective: &Objective,
        batch: &[usize],
        kept: &[Vec<u32>],
        row_rate: f32,
        head_rate: f32,
    ) {
        let dims = self.dims();
        // Of each text what layers read, and the gradients for what they wrote, the last first.
        let passes: Vec<(Activations, Activations)> = batch
            .par_iter()
            .zip(kept)
            .with_min_len(4)
            .map(|(&text, ids)| {
                let Pass { inputs, mut logits } = self.pass(ids);
                objective.gradient(text, &mut logits);
                let mut gradients = vec![logits];
                for (at, layer) in self.layers.iter().enumerate().rev() {
                    let mut below = layer.backward(gradients.last().map_or(&[], Vec::as_slice));
                    if at > 0 {
                        // The slope of what cut negative values off.
                        let cut = below
                            .iter_mut()
                            .zip(&inputs[at])
                            .filter(|(_, x)| **x <= 0.0);
                        cut.for_each(|(g, _)| *g = 0.0);
                    }
                    gradients.push(below);
                }
                if let Some(of_sum) = gradients.last_mut() {
                    let share = 1.0 / ids.len().max(1) as f32;
                    of_sum.iter_mut().for_each(|g| *g *= share);
                }
                (inputs, gradients)
            })
            .collect();
        let texts: Vec<&[u32]> = kept.iter().map(Vec::as_slice).collect();
        let mut of_sums = Vec::with_capacity(batch.len() * dims);
        for (_, gradients) in &passes {
            of_sums.extend_from_slice(gradients.last().map_or(&[], Vec::as_slice));
        }
        self.table.step(&texts, &of_sums, row_rate);
        let count = self.layers.len();
        for (at, layer) in self.layers.iter_mut().enumerate() {
            let pairs = passes.iter().map(|(inputs, gradients)| {
                (inputs[at].as_slice(), gradients[count - 1 - at].as_slice())
            });
            layer.step(pairs, batch.len(), self.table.steps, head_rate);
        }
        if let Some(quantized) = &mut self.quantized {
            let mut touched: Vec<u32> = kept.iter().flatten().copied().collect();
            touched.sort_unstable();
            touched.dedup();
            for id in touched {
                let row = &self.table.state[id as usize * 3 * dims..][..dims];
                quantized.set(id as usize, row);
            }
        }
    }
}

/// A text without some of its rows, by chance.
fn dropped(
    ids: &[u32],
    first_ngram: u32,
    course: &Course,
    generator: &mut Xoshiro256Plus,
) -> Vec<u32> {
    let kept = ids.iter().copied().filter(|&id| {
        let share = if id < first_ngram {
            course.token_dropout
        } else {
            course.ngram_dropout
        };
        generator.r#gen::<f32>() >= share
    });
    kept.collect()
}
