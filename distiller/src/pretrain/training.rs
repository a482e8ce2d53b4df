//! Trains rows so that the mean of a text's rows points where the teacher's vector does.

use half::f16;
use half::slice::HalfFloatSliceExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;

use super::checkpoint::{Checkpoint, Progressed};
use super::table::{Table, dot};
use super::texts::Texts;
use crate::{Progress, Result};

/// Settings of training.
#[derive(Clone, Debug)]
pub struct TrainingOptions {
    /// Most times all texts are gone through.
    pub epochs: usize,
    /// Adam's step at the beginning, as a share of what values are on average; it falls to 0 in a straight line.
    pub learning_rate: f32,
    /// Texts a step.
    pub batch: usize,
    /// Epochs without a better score on held-out texts after which training ends; at least 1.
    pub patience: usize,
    /// What the order of texts is drawn from.
    pub seed: u64,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            epochs: 5,
            learning_rate: 0.01,
            batch: 256,
            patience: 2,
            seed: 0,
        }
    }
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

/// What texts' vectors are to be.
pub(super) struct Lesson<'d> {
    pub(super) texts: &'d Texts,
    /// A unit vector a text, row-major.
    pub(super) targets: &'d [f16],
    pub(super) dims: usize,
}

impl Lesson<'_> {
    /// Turns the sum of a text's rows into the gradient, for that sum, of the squared distance 1 - cosine from the
    /// text's target; the distance. `target` is overwritten.
    fn gradient(&self, text: usize, sum: &mut [f32], target: &mut [f32]) -> f32 {
        self.target(text, target);
        gradient_of_squared_distance(sum, target)
    }

    fn target(&self, text: usize, out: &mut [f32]) {
        self.targets[text * self.dims..][..self.dims].convert_to_f32_slice(out);
    }

    /// The mean cosine of texts with their targets.
    fn cosine(&self, table: &Table, texts: &[usize]) -> f32 {
        let cosines: Vec<f64> = texts
            .par_iter()
            .map_init(
                || (vec![0.0; self.dims], vec![0.0; self.dims]),
                |(sum, target), &text| {
                    table.sum(self.texts.ids(text), sum);
                    self.target(text, target);
                    let length = dot(sum, sum).sqrt();
                    f64::from(dot(sum, target) / length.max(f32::MIN_POSITIVE))
                },
            )
            .collect();
        (cosines.iter().sum::<f64>() / texts.len().max(1) as f64) as f32
    }

    /// One step; the sum of the texts' distances before it.
    fn step(&self, table: &mut Table, batch: &[usize], learning_rate: f32) -> f64 {
        let dims = self.dims;
        let texts: Vec<&[u32]> = batch.iter().map(|&text| self.texts.ids(text)).collect();
        let mut gradients = vec![0.0; batch.len() * dims];
        let distances: Vec<f64> = gradients
            .par_chunks_exact_mut(dims)
            .zip(&texts)
            .zip(batch)
            .map_init(
                || vec![0.0; dims],
                |target, ((gradient, ids), &text)| {
                    table.sum(ids, gradient);
                    f64::from(self.gradient(text, gradient, target))
                },
            )
            .collect();
        table.step(&texts, &gradients, learning_rate);
        distances.iter().sum()
    }

    /// Trains rows; those that were best on the texts held out, and all epochs. `report` hears of each as it ends. Goes
    /// on from the checkpoint, if there is one, and keeps one after each epoch.
    ///
    /// # Errors
    /// Those of writing a checkpoint.
    pub(super) fn train(
        &self,
        rows: &[f32],
        options: &TrainingOptions,
        checkpoint: &Checkpoint,
        progress: &dyn Progress,
        mut report: impl FnMut(usize, Epoch),
    ) -> Result<(Vec<f32>, Vec<Epoch>)> {
        // Texts without known tokens teach nothing.
        let known = |&text: &usize| !self.texts.ids(text).is_empty();
        let (held_out, mut order): (Vec<usize>, Vec<usize>) = (0..self.texts.len())
            .filter(known)
            .partition(|text| text % HELD_OUT == HELD_OUT - 1);
        let mut generator = Xoshiro256Plus::seed_from_u64(options.seed);
        let steps = options.epochs * order.len().div_ceil(options.batch);
        let mut now = checkpoint.read(rows.len(), self.dims).unwrap_or_else(|| {
            let table = Table::new(rows, self.dims);
            Progressed {
                history: Vec::new(),
                since_best: 0,
                best: self.cosine(&table, &held_out),
                best_rows: rows.to_vec(),
                table,
            }
        });
        for epoch in 1..=options.epochs {
            order.shuffle(&mut generator);
            if epoch <= now.history.len() {
                continue;
            }
            if now.since_best >= options.patience.max(1) {
                break;
            }
            progress.begin(
                &format!("Training, epoch {epoch} of {}", options.epochs),
                order.len() as u64,
            );
            let mut distance = 0.0;
            for batch in order.chunks(options.batch) {
                let left = 1.0 - now.table.steps as f32 / steps as f32;
                distance += self.step(&mut now.table, batch, options.learning_rate * left);
                progress.advance(batch.len() as u64);
            }
            progress.finish();
            let of_epoch = Epoch {
                loss: (distance / order.len().max(1) as f64) as f32,
                held_out: self.cosine(&now.table, &held_out),
            };
            report(epoch, of_epoch);
            now.history.push(of_epoch);
            if of_epoch.held_out > now.best || held_out.is_empty() {
                now.best = of_epoch.held_out;
                now.best_rows = now.table.rows();
                now.since_best = 0;
            } else {
                now.since_best += 1;
            }
            checkpoint.write(&now)?;
        }
        checkpoint.remove();
        Ok((now.best_rows, now.history))
    }
}

/// Turns a sum of rows into the gradient, for that sum, of `(1 - cosine)²` with a unit vector; 1 - cosine. The square,
/// so that the texts a model does worst at count most.
fn gradient_of_squared_distance(sum: &mut [f32], target: &[f32]) -> f32 {
    let squares = dot(sum, sum);
    if squares <= 0.0 {
        sum.fill(0.0);
        return 1.0;
    }
    let inverse = 1.0 / squares.sqrt();
    let cosine = dot(sum, target) * inverse;
    let slope = 2.0 * (1.0 - cosine);
    for (x, target) in sum.iter_mut().zip(target) {
        *x = slope * (cosine * inverse * *x - target) * inverse;
    }
    1.0 - cosine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let sum = [0.5, -1.0, 2.0, 0.25];
        let target = [0.1_f32, 0.7, -0.5, 0.5];
        let loss = |sum: &[f32; 4]| gradient_of_squared_distance(&mut sum.clone(), &target).powi(2);
        let mut gradient = sum;
        gradient_of_squared_distance(&mut gradient, &target);
        for at in 0..4 {
            let (mut up, mut down) = (sum, sum);
            up[at] += 1e-2;
            down[at] -= 1e-2;
            let slope = (loss(&up) - loss(&down)) / 2e-2;
            assert!((slope - gradient[at]).abs() < 1e-3, "{slope} {gradient:?}");
        }
    }

    /// Texts of two tokens, and targets that rows can meet.
    fn lesson() -> (Texts, Vec<f16>) {
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
            targets.extend(target.map(f16::from_f32));
        }
        (texts, targets)
    }

    #[test]
    fn training_finds_rows_whatever_the_threads_and_wherever_it_was_stopped() {
        let dims = 4;
        let (texts, targets) = lesson();
        let lesson = Lesson {
            texts: &texts,
            targets: &targets,
            dims,
        };
        let rows: Vec<f32> = (0..12 * dims)
            .map(|at| ((at * 7) % 5) as f32 - 2.0)
            .collect();
        let options = TrainingOptions {
            epochs: 30,
            learning_rate: 0.2,
            batch: 32,
            ..TrainingOptions::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let train = |threads, checkpoint: &Checkpoint| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let mut epochs = Vec::new();
                let report = |_, epoch| epochs.push(epoch);
                let trained = lesson.train(&rows, &options, checkpoint, &Silent, report);
                (trained.unwrap(), epochs)
            })
        };
        let none = Checkpoint::new(folder.path(), "none");
        let (one, two) = (train(1, &none), train(2, &none));
        assert!(one == two);
        let held_out = one.1.iter().map(|epoch| epoch.held_out);
        let best = held_out.fold(0.0_f32, f32::max);
        assert!(best > 0.98, "{best}");

        // Stopped after any epoch, which a panic in its report is like: what was kept is that of the epoch before.
        for stop in [1, 2, 7] {
            let kept = Checkpoint::new(folder.path(), "kept");
            let stopped = std::panic::catch_unwind(|| {
                let report = |epoch, _| assert!(epoch < stop + 1, "stop");
                lesson.train(&rows, &options, &kept, &Silent, report)
            });
            assert!(stopped.is_err());
            let (resumed, epochs) = train(2, &kept);
            assert!(resumed == one.0 && epochs == one.1[stop..]);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
