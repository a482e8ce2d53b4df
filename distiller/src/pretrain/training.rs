//! Trains rows so that the mean of a text's rows points where the teacher's vector does.
//!
//! A model is linear in its rows, so a step needs no framework: texts' means and the gradients of their cosines in
//! parallel, then Adam on the rows that the batch has, also in parallel. Each row's gradient is summed in the order
//! of texts, so the result does not depend on the number of threads.

use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;

use crate::Progress;

/// Settings of training.
#[derive(Clone, Debug)]
pub struct TrainingOptions {
    /// Most times all texts are gone through.
    pub epochs: usize,
    /// Adam's step at the beginning, as a share of what values are on average; it falls to 0 in a straight line.
    pub learning_rate: f32,
    /// Texts a step.
    pub batch: usize,
    /// Epochs without a better score on held-out texts after which training ends.
    pub patience: usize,
    /// What the order of texts is drawn from.
    pub seed: u64,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            epochs: 10,
            learning_rate: 0.01,
            batch: 256,
            patience: 2,
            seed: 0,
        }
    }
}

/// Texts as tokens.
#[derive(Default)]
pub(super) struct Texts {
    ids: Vec<u32>,
    ends: Vec<usize>,
}

impl Texts {
    pub(super) fn push(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.ids.extend(ids);
        self.ends.push(self.ids.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn ids(&self, text: usize) -> &[u32] {
        let start = text.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[start..self.ends[text]]
    }

    /// The sum of a text's rows, which begin every `stride` values.
    pub(super) fn sum(&self, text: usize, rows: &[f32], stride: usize, sum: &mut [f32]) {
        sum.fill(0.0);
        for &id in self.ids(text) {
            let row = &rows[id as usize * stride..][..sum.len()];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }

    /// The sums of every `step`-th text's rows of `dims` values, row-major.
    pub(super) fn sums(&self, rows: &[f32], dims: usize, step: usize) -> Vec<f32> {
        let mut sums = vec![0.0; self.len().div_ceil(step) * dims];
        sums.par_chunks_exact_mut(dims)
            .enumerate()
            .for_each(|(at, sum)| self.sum(at * step, rows, dims, sum));
        sums
    }
}

/// Rows in training: of each token its values, then Adam's first and second moments of them.
pub(super) struct Trainer<'d> {
    state: Vec<f32>,
    dims: usize,
    texts: &'d Texts,
    /// A unit vector a text.
    targets: &'d [f32],
    /// Steps taken.
    steps: i32,
}

/// After an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// 1 less the mean cosine of texts trained on, as they were before their step.
    pub loss: f32,
    /// The mean cosine of texts held out.
    pub held_out: f32,
}

/// One text in so many is held out.
const HELD_OUT: usize = 50;

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

impl<'d> Trainer<'d> {
    pub(super) fn new(rows: &[f32], dims: usize, texts: &'d Texts, targets: &'d [f32]) -> Self {
        let mut state = vec![0.0; 3 * rows.len()];
        for (state, row) in state
            .chunks_exact_mut(3 * dims)
            .zip(rows.chunks_exact(dims))
        {
            state[..dims].copy_from_slice(row);
        }
        Self {
            state,
            dims,
            texts,
            targets,
            steps: 0,
        }
    }

    fn rows(&self) -> Vec<f32> {
        let rows = self.state.chunks_exact(3 * self.dims);
        rows.flat_map(|state| &state[..self.dims])
            .copied()
            .collect()
    }

    fn sum(&self, text: usize, sum: &mut [f32]) {
        self.texts.sum(text, &self.state, 3 * self.dims, sum);
    }

    fn target(&self, text: usize) -> &'d [f32] {
        &self.targets[text * self.dims..][..self.dims]
    }

    /// Trains, and keeps the rows that were best on the texts held out. `report` hears of each epoch.
    pub(super) fn train(
        &mut self,
        options: &TrainingOptions,
        progress: &dyn Progress,
        mut report: impl FnMut(usize, Epoch),
    ) -> Vec<f32> {
        // Texts without known tokens teach nothing.
        let known = |&text: &usize| !self.texts.ids(text).is_empty();
        let (held_out, mut order): (Vec<usize>, Vec<usize>) = (0..self.texts.len())
            .filter(known)
            .partition(|text| text % HELD_OUT == HELD_OUT - 1);
        let mut generator = Xoshiro256Plus::seed_from_u64(options.seed);
        let steps = options.epochs * order.len().div_ceil(options.batch);
        let (mut best, mut best_rows) = (self.cosine(&held_out), self.rows());
        let mut since_best = 0;
        for epoch in 1..=options.epochs {
            order.shuffle(&mut generator);
            progress.begin(
                &format!("Training, epoch {epoch} of {}", options.epochs),
                order.len() as u64,
            );
            let mut loss = 0.0;
            for batch in order.chunks(options.batch) {
                let left = 1.0 - self.steps as f32 / steps as f32;
                loss += self.step(batch, options.learning_rate * left);
                progress.advance(batch.len() as u64);
            }
            progress.finish();
            let epoch_of = Epoch {
                loss: (loss / order.len().max(1) as f64) as f32,
                held_out: self.cosine(&held_out),
            };
            report(epoch, epoch_of);
            if epoch_of.held_out > best || held_out.is_empty() {
                (best, best_rows, since_best) = (epoch_of.held_out, self.rows(), 0);
            } else {
                since_best += 1;
                if since_best >= options.patience {
                    break;
                }
            }
        }
        best_rows
    }

    /// The mean cosine of texts with their targets.
    fn cosine(&self, texts: &[usize]) -> f32 {
        let cosines: Vec<f64> = texts
            .par_iter()
            .map_init(
                || vec![0.0; self.dims],
                |sum, &text| {
                    self.sum(text, sum);
                    let length = dot(sum, sum).sqrt();
                    let cosine = dot(sum, self.target(text)) / length.max(f32::MIN_POSITIVE);
                    f64::from(cosine)
                },
            )
            .collect();
        (cosines.iter().sum::<f64>() / texts.len().max(1) as f64) as f32
    }

    /// One step of Adam; the sum of the texts' losses before it.
    fn step(&mut self, batch: &[usize], learning_rate: f32) -> f64 {
        let dims = self.dims;
        let mut gradients = vec![0.0; batch.len() * dims];
        let losses: Vec<f64> = gradients
            .par_chunks_exact_mut(dims)
            .zip(batch)
            .map(|(gradient, &text)| {
                self.sum(text, gradient);
                f64::from(gradient_of_loss(gradient, self.target(text)))
            })
            .collect();
        // All occurrences of tokens, those of a token together and in the order of texts.
        let mut occurrences: Vec<(u32, u32)> = (0..)
            .zip(batch)
            .flat_map(|(at, &text)| self.texts.ids(text).iter().map(move |&id| (id, at)))
            .collect();
        occurrences.par_sort_unstable();
        self.steps += 1;
        let adam = Adam {
            learning_rate,
            first_correction: 1.0 / (1.0 - FIRST_DECAY.powi(self.steps)),
            second_correction: 1.0 / (1.0 - SECOND_DECAY.powi(self.steps)),
            scale: 1.0 / batch.len() as f32,
        };
        let mut rest = self.state.as_mut_slice();
        let mut before = 0;
        let mut touched = Vec::new();
        for group in occurrences.chunk_by(|a, b| a.0 == b.0) {
            let at = group[0].0 as usize;
            let (state, behind) = rest
                .split_at_mut((at - before) * 3 * dims)
                .1
                .split_at_mut(3 * dims);
            touched.push((state, group));
            (rest, before) = (behind, at + 1);
        }
        touched.into_par_iter().for_each_init(
            || vec![0.0; dims],
            |gradient, (state, group)| {
                gradient.fill(0.0);
                for &(_, at) in group {
                    let of_text = &gradients[at as usize * dims..][..dims];
                    gradient
                        .iter_mut()
                        .zip(of_text)
                        .for_each(|(sum, x)| *sum += x);
                }
                adam.update(state, gradient);
            },
        );
        losses.iter().sum()
    }
}

/// Turns the sum of a text's rows into the gradient, for each of the rows, of 1 - cosine with a unit vector; the loss.
fn gradient_of_loss(sum: &mut [f32], target: &[f32]) -> f32 {
    let squares = dot(sum, sum);
    if squares <= 0.0 {
        sum.fill(0.0);
        return 1.0;
    }
    let inverse = 1.0 / squares.sqrt();
    let cosine = dot(sum, target) * inverse;
    for (x, target) in sum.iter_mut().zip(target) {
        *x = (cosine * inverse * *x - target) * inverse;
    }
    1.0 - cosine
}

/// Adam (Kingma and Ba, 2015) on rows that have a gradient; moments of others stay as they are.
struct Adam {
    learning_rate: f32,
    first_correction: f32,
    second_correction: f32,
    /// What gradients are multiplied by.
    scale: f32,
}

impl Adam {
    fn update(&self, state: &mut [f32], gradient: &[f32]) {
        let dims = gradient.len();
        let (values, moments) = state.split_at_mut(dims);
        let (first, second) = moments.split_at_mut(dims);
        for (((value, first), second), gradient) in
            values.iter_mut().zip(first).zip(second).zip(gradient)
        {
            let gradient = gradient * self.scale;
            *first += (1.0 - FIRST_DECAY) * (gradient - *first);
            *second += (1.0 - SECOND_DECAY) * (gradient * gradient - *second);
            let spread = (*second * self.second_correction).sqrt() + EPSILON;
            *value -= self.learning_rate * *first * self.first_correction / spread;
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // In lanes, so that it can be vectorised.
    let mut lanes = [0.0_f32; 16];
    let (a_lanes, a_rest) = a.as_chunks::<16>();
    let (b_lanes, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let sum = [0.5, -1.0, 2.0, 0.25];
        let target = [0.1_f32, 0.7, -0.5, 0.5];
        let mut gradient = sum;
        let loss = gradient_of_loss(&mut gradient, &target);
        for at in 0..4 {
            let mut moved = sum;
            moved[at] += 1e-3;
            let slope = (gradient_of_loss(&mut moved, &target) - loss) / 1e-3;
            assert!((slope - gradient[at]).abs() < 1e-3, "{slope} {gradient:?}");
        }
    }

    #[test]
    fn training_finds_rows_and_does_not_depend_on_threads() {
        let dims = 4;
        let mut texts = Texts::default();
        let mut targets = Vec::new();
        for at in 0..500_u32 {
            let (a, b) = (at % 7, (at * 3 + 1) % 5 + 7);
            texts.push([a, b, a]);
            let mut target = [0.0_f32; 4];
            for (dim, x) in target.iter_mut().enumerate() {
                let row = |id: u32| ((id * 5 + dim as u32 * 3) % 11) as f32 - 5.0;
                *x = 2.0 * row(a) + row(b);
            }
            super::super::features::normalize(&mut target);
            targets.extend(target);
        }
        let rows: Vec<f32> = (0..12 * dims)
            .map(|at| ((at * 7) % 5) as f32 - 2.0)
            .collect();
        let options = TrainingOptions {
            epochs: 30,
            learning_rate: 0.1,
            batch: 32,
            ..TrainingOptions::default()
        };
        let train = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let mut epochs = Vec::new();
                let mut trainer = Trainer::new(&rows, dims, &texts, &targets);
                let rows = trainer.train(&options, &Silent, |_, epoch| epochs.push(epoch));
                (rows, epochs)
            })
        };
        let (one, two) = (train(1), train(2));
        assert!(one == two);
        let best = one
            .1
            .iter()
            .fold(0.0_f32, |best, epoch| best.max(epoch.held_out));
        assert!(best > 0.99, "{best}");
    }
}
