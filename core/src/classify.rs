//! From sums of rows to scores of labels: one or two layers in integers, with one float a label at the end.

use crate::error::Error;
use crate::head::{Head, Layer, Task, layout::HIDDEN_MAX};
use crate::model::Model;

/// Bits that weights, signs included, and the sign of a sum take of an accumulator.
const WEIGHT_BITS: u32 = 8;

/// What a classifier says of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Classification<'s> {
    scores: &'s [f32],
    scope_score: f32,
    in_scope: bool,
}

/// A label, and how sure the classifier is of it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Prediction {
    /// The label's number; [`Head::label`] has its name.
    pub label: usize,
    /// Its probability, 0 to 1; of a regression, its value.
    pub probability: f32,
}

impl<'s> Classification<'s> {
    /// A probability for every label; of a regression, its values.
    pub const fn scores(&self) -> &'s [f32] {
        self.scores
    }

    /// Whether the text has known tokens and its [`scope_score`](Self::scope_score) reaches what the head asks
    /// for.
    pub const fn is_in_scope(&self) -> bool {
        self.in_scope
    }

    /// How much the text is like those that the labels were learned from: the logarithm of the sum of the logits'
    /// exponentials, the negative free energy of Liu et al., "Energy-based Out-of-distribution Detection", 2020.
    /// Of tasks other than [`Task::Softmax`], the largest logit or value.
    pub const fn scope_score(&self) -> f32 {
        self.scope_score
    }

    /// The most probable label, or the largest value; `None` if the text is out of scope: none of the labels.
    pub fn best(&self) -> Option<Prediction> {
        self.top(1).next().filter(|_| self.in_scope)
    }

    /// The `count` most probable labels, or largest values, the first of equal ones first; also of a text that is
    /// out of scope. Each takes time linear in the number of labels.
    pub fn top(&self, count: usize) -> impl Iterator<Item = Prediction> + use<'s> {
        let scores = self.scores;
        let mut last: Option<Prediction> = None;
        (0..count).map_while(move |_| {
            let mut best: Option<Prediction> = None;
            for (label, &probability) in scores.iter().enumerate() {
                let taken = last.is_some_and(|last| {
                    probability > last.probability
                        || probability == last.probability && label <= last.label
                });
                if !taken && best.is_none_or(|best| probability > best.probability) {
                    best = Some(Prediction { label, probability });
                }
            }
            last = best;
            best
        })
    }
}

impl Model<'_> {
    /// What the model's head says of a text. The scores lie in `scratch`, at least
    /// [`scratch_len`](Self::scratch_len) words.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`] for an image that is no classifier's, [`Error::ScratchTooSmall`]. Never panics.
    pub fn classify<'s>(
        &self,
        text: &str,
        scratch: &'s mut [u32],
    ) -> Result<Classification<'s>, Error> {
        self.classify_bytes(text.as_bytes(), scratch)
    }

    /// [`classify`](Self::classify) for bytes that may not be UTF-8, which are read as by
    /// [`encode_bytes`](Self::encode_bytes).
    ///
    /// # Errors
    ///
    /// Those of [`classify`](Self::classify). Never panics.
    pub fn classify_bytes<'s>(
        &self,
        text: &[u8],
        scratch: &'s mut [u32],
    ) -> Result<Classification<'s>, Error> {
        let head = self.head().ok_or(Error::NoHead)?;
        head.classify_bytes(self, text, scratch)
    }
}

impl Head<'_> {
    /// What this head says of a text. `base` is the model that it was made for; the scores lie in `scratch`, at
    /// least [`scratch_len`](Self::scratch_len) words.
    ///
    /// # Errors
    ///
    /// [`Error::OtherBase`] for a model it was not made for, [`Error::ScratchTooSmall`]. Never panics.
    pub fn classify<'s>(
        &self,
        base: &Model<'_>,
        text: &str,
        scratch: &'s mut [u32],
    ) -> Result<Classification<'s>, Error> {
        self.classify_bytes(base, text.as_bytes(), scratch)
    }

    /// [`classify`](Self::classify) for bytes that may not be UTF-8, which are read as by
    /// [`Model::encode_bytes`].
    ///
    /// # Errors
    ///
    /// Those of [`classify`](Self::classify). Never panics.
    pub fn classify_bytes<'s>(
        &self,
        base: &Model<'_>,
        text: &[u8],
        scratch: &'s mut [u32],
    ) -> Result<Classification<'s>, Error> {
        if self.base != base.crc {
            return Err(Error::OtherBase {
                needed: self.base,
                found: base.crc,
            });
        }
        let (sums, rest) = base.split_scratch(scratch, self.scratch_len(base))?;
        let (factor, rows) = base.sum(text, sums, rest).factor(&base.header().pooling);
        Ok(self.score(sums, factor, rows > 0, rest))
    }

    /// Runs the layers on a text's sums and what an embedding would have scaled them by. `rest` holds the
    /// layers' outputs.
    fn score<'s>(
        &self,
        sums: &mut [u32],
        factor: f32,
        known: bool,
        rest: &'s mut [u32],
    ) -> Classification<'s> {
        let (hidden, rest) = rest.split_at_mut_checked(self.hidden()).unwrap_or_default();
        let scores = rest.get_mut(..self.label_count()).unwrap_or_default();
        let scores: &mut [f32] = bytemuck::cast_slice_mut(scores);
        match self.hidden {
            Some(layer) => {
                layer.run(sums, factor, bytemuck::cast_slice_mut(hidden));
                let factor = rectify(hidden);
                self.last.run(hidden, factor, scores);
            }
            None => self.last.run(sums, factor, scores),
        }
        let scope_score = probabilities(self.task(), scores);
        let in_scope = known && self.out_of_scope().is_none_or(|least| scope_score >= least);
        Classification {
            scores,
            scope_score,
            in_scope,
        }
    }
}

impl Layer<'_> {
    /// Writes the outputs for integers, in two's complement, and the factor that makes them inputs. The integers
    /// lose the bits for which an accumulator of 32 bits has no room.
    fn run(&self, integers: &mut [u32], factor: f32, outputs: &mut [f32]) {
        let all = integers
            .iter()
            .fold(0, |all, &x| all | (x as i32).unsigned_abs());
        let bits = u32::BITS - all.leading_zeros();
        let terms = u32::BITS - (self.inputs as u32).saturating_sub(1).leading_zeros();
        let shift = bits.saturating_sub(31 - WEIGHT_BITS - terms);
        for x in integers.iter_mut() {
            *x = (*x as i32 >> shift) as u32;
        }
        let factor = factor * (1_u32 << (shift & 31)) as f32;
        let weights = self.weights.chunks_exact(self.inputs.max(1));
        let parameters = self.scales.iter().zip(self.biases);
        for ((output, weights), (&scale, &bias)) in outputs.iter_mut().zip(weights).zip(parameters)
        {
            let sum = dot(weights, integers) as f32;
            *output = sum * (f32::from_le_bytes(scale) * factor) + f32::from_le_bytes(bias);
        }
    }
}

/// The sum of products with 8-bit weights, four a step: loops stay loops where code is optimised for size.
fn dot(weights: &[u8], integers: &[u32]) -> i32 {
    let product = |weight: u8, x: u32| i32::from(weight as i8).wrapping_mul(x as i32);
    let (weights, weights_rest) = weights.as_chunks::<4>();
    let (integers, integers_rest) = integers.as_chunks::<4>();
    let mut sum = 0_i32;
    for (&[a, b, c, d], &[w, x, y, z]) in weights.iter().zip(integers) {
        sum = sum
            .wrapping_add(product(a, w))
            .wrapping_add(product(b, x))
            .wrapping_add(product(c, y))
            .wrapping_add(product(d, z));
    }
    for (&weight, &x) in weights_rest.iter().zip(integers_rest) {
        sum = sum.wrapping_add(product(weight, x));
    }
    sum
}

/// Turns the outputs of a hidden layer, as `f32` bits, into integers, negative ones into 0; the factor that
/// makes the integers outputs again.
fn rectify(outputs: &mut [u32]) -> f32 {
    let most = outputs
        .iter()
        .fold(0.0, |most, &bits| larger(most, f32::from_bits(bits)));
    let up = if most > 0.0 { HIDDEN_MAX / most } else { 0.0 };
    for output in outputs {
        *output = (larger(0.0, f32::from_bits(*output)) * up + 0.5) as i32 as u32;
    }
    most / HIDDEN_MAX
}

/// The larger of two numbers.
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Turns logits into probabilities, in place, or leaves values as they are; the scope score.
fn probabilities(task: Task, logits: &mut [f32]) -> f32 {
    let most = logits.iter().copied().fold(f32::MIN, larger);
    match task {
        Task::Softmax => {
            let mut sum = 0.0;
            for logit in logits.iter_mut() {
                *logit = libm::expf(*logit - most);
                sum += *logit;
            }
            let share = 1.0 / sum;
            logits.iter_mut().for_each(|logit| *logit *= share);
            most + libm::logf(sum)
        }
        Task::Sigmoid => {
            for logit in logits {
                *logit = 1.0 / (1.0 + libm::expf(-*logit));
            }
            most
        }
        Task::Regression => most,
    }
}
