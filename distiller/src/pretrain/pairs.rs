//! Learning from pairs of texts: how alike people find them, or that they belong together.

use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;

use super::table::{Table, dot};
use super::texts::Texts;
use crate::Progress;

/// Pairs of texts.
#[derive(Default)]
pub struct Pairs {
    pub(super) first: Texts,
    pub(super) second: Texts,
    /// A score a pair, higher if more alike; `None` if each pair belongs together.
    pub(super) scores: Option<Vec<f32>>,
}

/// Settings of learning from pairs.
#[derive(Clone, Debug)]
pub struct PairOptions {
    /// Times all pairs are gone through.
    pub epochs: usize,
    /// Adam's step at the beginning, as a share of what values are on average; it falls to 0 in a straight line.
    pub learning_rate: f32,
    /// Pairs a step.
    pub batch: usize,
    /// How far rows go from where text has brought them to where the pairs do, from 0 to 1: all the way is best for
    /// texts like the pairs, less than that for others (Wortsman et al., 2022).
    pub share: f32,
    /// What the order of pairs is drawn from.
    pub seed: u64,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            epochs: 3,
            learning_rate: 0.03,
            batch: 64,
            share: 0.7,
            seed: 0,
        }
    }
}

/// What cosines are divided by before their softmax; the usual value for sentence pairs.
const TEMPERATURE: f32 = 0.05;

/// Unit vectors of texts, and what their sums of rows were divided by.
struct Units {
    vectors: Vec<f32>,
    lengths: Vec<f32>,
}

impl Units {
    fn new(table: &Table, texts: &[&[u32]]) -> Self {
        let dims = table.dims;
        let mut vectors = vec![0.0; texts.len() * dims];
        let lengths = vectors
            .par_chunks_exact_mut(dims)
            .zip(texts)
            .map(|(vector, ids)| {
                table.sum(ids, vector);
                let length = dot(vector, vector).sqrt().max(f32::MIN_POSITIVE);
                vector.iter_mut().for_each(|x| *x /= length);
                length
            })
            .collect();
        Self { vectors, lengths }
    }
}

impl Pairs {
    /// Pairs so far.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Trains rows on the pairs: with scores to 1 less Pearson's correlation of cosines and scores in each batch;
    /// without to the cross entropy of the softmax of cosines, in which the texts of the other pairs are wrong
    /// (Henderson et al., 2017).
    pub(super) fn train(
        &self,
        rows: &[f32],
        dims: usize,
        options: &PairOptions,
        progress: &dyn Progress,
    ) -> Vec<f32> {
        let known =
            |&pair: &usize| !self.first.ids(pair).is_empty() && !self.second.ids(pair).is_empty();
        let mut order: Vec<usize> = (0..self.len()).filter(known).collect();
        let mut table = Table::new(rows, dims);
        let mut generator = Xoshiro256Plus::seed_from_u64(options.seed);
        // The few pairs left over at an epoch's end make too noisy a step.
        let batch = options.batch.min(order.len()).max(1);
        let steps = options.epochs * (order.len() / batch);
        progress.begin("Training on pairs", (options.epochs * order.len()) as u64);
        for _ in 0..options.epochs {
            order.shuffle(&mut generator);
            for batch in order.chunks_exact(batch) {
                let left = 1.0 - table.steps as f32 / steps as f32;
                self.step(&mut table, batch, options.learning_rate * left);
                progress.advance(batch.len() as u64);
            }
        }
        progress.finish();
        let trained = table.rows();
        let way = rows.iter().zip(&trained);
        way.map(|(from, to)| from + options.share * (to - from))
            .collect()
    }

    fn step(&self, table: &mut Table, batch: &[usize], learning_rate: f32) {
        let first: Vec<&[u32]> = batch.iter().map(|&pair| self.first.ids(pair)).collect();
        let second: Vec<&[u32]> = batch.iter().map(|&pair| self.second.ids(pair)).collect();
        let (a, b) = (Units::new(table, &first), Units::new(table, &second));
        let slopes = match &self.scores {
            Some(scores) => {
                let scores: Vec<f32> = batch.iter().map(|&pair| scores[pair]).collect();
                Slopes::of_correlation(&a.vectors, &b.vectors, &scores, table.dims)
            }
            None => Slopes::of_cross_entropy(&a.vectors, &b.vectors, table.dims),
        };
        let mut gradients = slopes.mix(&b.vectors, &a, table.dims, false);
        gradients.extend(slopes.mix(&a.vectors, &b, table.dims, true));
        let texts: Vec<&[u32]> = first.into_iter().chain(second).collect();
        table.step(&texts, &gradients, learning_rate);
    }
}

/// How the loss of a batch, times its number of texts, changes with the cosine of each first text (row) and each
/// second (column).
struct Slopes {
    values: Vec<f32>,
    count: usize,
}

impl Slopes {
    fn of_correlation(a: &[f32], b: &[f32], scores: &[f32], dims: usize) -> Self {
        let count = scores.len();
        let cosines: Vec<f32> = a
            .chunks_exact(dims)
            .zip(b.chunks_exact(dims))
            .map(|(a, b)| dot(a, b))
            .collect();
        let (cosines, spread) = standard(&cosines);
        let (scores, score_spread) = standard(scores);
        let mut values = vec![0.0; count * count];
        if spread > 0.0 && score_spread > 0.0 {
            let correlation = dot(&cosines, &scores);
            for at in 0..count {
                let slope = (correlation * cosines[at] - scores[at]) / spread;
                values[at * count + at] = slope * 2.0 * count as f32;
            }
        }
        Self { values, count }
    }

    fn of_cross_entropy(a: &[f32], b: &[f32], dims: usize) -> Self {
        let count = a.len() / dims;
        let mut values = vec![0.0; count * count];
        values
            .par_chunks_exact_mut(count)
            .zip(a.par_chunks_exact(dims))
            .enumerate()
            .for_each(|(at, (row, a))| {
                for (value, b) in row.iter_mut().zip(b.chunks_exact(dims)) {
                    *value = dot(a, b) / TEMPERATURE;
                }
                let largest = row.iter().copied().fold(f32::MIN, f32::max);
                row.iter_mut().for_each(|x| *x = (*x - largest).exp());
                let total: f32 = row.iter().sum();
                row.iter_mut().for_each(|x| *x /= total);
                row[at] -= 1.0;
                // The mean over pairs, times twice as many texts.
                row.iter_mut().for_each(|x| *x *= 2.0 / TEMPERATURE);
            });
        Self { values, count }
    }

    /// Gradients for the sums of rows of `own` texts, whose cosines with `others` these are.
    fn mix(&self, others: &[f32], own: &Units, dims: usize, transposed: bool) -> Vec<f32> {
        let mut gradients = vec![0.0; own.vectors.len()];
        gradients
            .par_chunks_exact_mut(dims)
            .enumerate()
            .for_each(|(at, gradient)| {
                for (other, vector) in others.chunks_exact(dims).enumerate() {
                    let (row, column) = if transposed { (other, at) } else { (at, other) };
                    let slope = self.values[row * self.count + column];
                    if slope != 0.0 {
                        gradient
                            .iter_mut()
                            .zip(vector)
                            .for_each(|(sum, x)| *sum += slope * x);
                    }
                }
                // Only what is across a vector turns it.
                let unit = &own.vectors[at * dims..][..dims];
                let along = dot(gradient, unit);
                for (x, unit) in gradient.iter_mut().zip(unit) {
                    *x = (*x - along * unit) / own.lengths[at];
                }
            });
        gradients
    }
}

/// Values less their mean, scaled to length 1, and what they were divided by; all zero, and 0, if they are all the same.
fn standard(values: &[f32]) -> (Vec<f32>, f32) {
    let mean = values.iter().sum::<f32>() / values.len().max(1) as f32;
    let mut centred: Vec<f32> = values.iter().map(|x| x - mean).collect();
    let length = dot(&centred, &centred).sqrt();
    if length > 0.0 {
        centred.iter_mut().for_each(|x| *x /= length);
    }
    (centred, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    const DIMS: usize = 4;

    /// The loss of all pairs as one batch, times their number of texts.
    fn loss(pairs: &Pairs, table: &Table) -> f32 {
        let all = |texts: &Texts| {
            let ids: Vec<&[u32]> = (0..texts.len()).map(|text| texts.ids(text)).collect();
            Units::new(table, &ids).vectors
        };
        let (a, b) = (all(&pairs.first), all(&pairs.second));
        let cosine = |x: usize, y: usize| dot(&a[x * DIMS..][..DIMS], &b[y * DIMS..][..DIMS]);
        let count = pairs.len();
        let mean = match &pairs.scores {
            Some(scores) => {
                let cosines: Vec<f32> = (0..count).map(|at| cosine(at, at)).collect();
                1.0 - dot(&standard(&cosines).0, &standard(scores).0)
            }
            None => {
                let of_pair = |x: usize| {
                    let total: f32 = (0..count).map(|y| (cosine(x, y) / TEMPERATURE).exp()).sum();
                    total.ln() - cosine(x, x) / TEMPERATURE
                };
                (0..count).map(of_pair).sum::<f32>() / count as f32
            }
        };
        mean * 2.0 * count as f32
    }

    fn pairs(scored: bool) -> Pairs {
        let mut pairs = Pairs::default();
        for at in 0..6_u32 {
            pairs.first.push([at, (at * 2 + 1) % 8]);
            pairs.second.push([(at + 3) % 8, (at * 5 + 1) % 8, at]);
        }
        pairs.scores = scored.then(|| (0..6).map(|at| ((at * 7) % 5) as f32).collect());
        pairs
    }

    fn rows() -> Vec<f32> {
        let value = |at: usize| ((at * 37 + 11) % 17) as f32 / 8.0 - 1.0;
        (0..8 * DIMS).map(value).collect()
    }

    #[test]
    fn gradients_are_the_slope_of_the_loss() {
        for scored in [true, false] {
            let pairs = pairs(scored);
            let table = Table::new(&rows(), DIMS);
            let ids = |texts: &Texts| (0..6).map(|at| texts.ids(at).to_vec()).collect::<Vec<_>>();
            let (first, second) = (ids(&pairs.first), ids(&pairs.second));
            let slices = |texts: &[Vec<u32>]| -> Units {
                Units::new(&table, &texts.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            let (a, b) = (slices(&first), slices(&second));
            let slopes = match &pairs.scores {
                Some(scores) => Slopes::of_correlation(&a.vectors, &b.vectors, scores, DIMS),
                None => Slopes::of_cross_entropy(&a.vectors, &b.vectors, DIMS),
            };
            let of_first = slopes.mix(&b.vectors, &a, DIMS, false);
            let of_second = slopes.mix(&a.vectors, &b, DIMS, true);
            for (token, dim) in [(0, 0), (1, 2), (5, 3), (7, 1)] {
                let mut gradient = 0.0;
                for (texts, gradients) in [(&first, &of_first), (&second, &of_second)] {
                    for (at, ids) in texts.iter().enumerate() {
                        let times = ids.iter().filter(|&&id| id == token).count();
                        gradient += gradients[at * DIMS + dim] * times as f32;
                    }
                }
                let moved = |by: f32| {
                    let mut rows = rows();
                    rows[token as usize * DIMS + dim] += by;
                    loss(&pairs, &Table::new(&rows, DIMS))
                };
                let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                let tolerance = 0.02 * slope.abs().max(1.0);
                assert!((slope - gradient).abs() < tolerance, "{slope} {gradient}");
            }
        }
    }

    #[test]
    fn training_lowers_the_loss_and_does_not_depend_on_threads() {
        for scored in [true, false] {
            let pairs = pairs(scored);
            let options = PairOptions {
                epochs: 40,
                learning_rate: 0.05,
                share: 1.0,
                ..PairOptions::default()
            };
            let train = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.unwrap()
                    .install(|| pairs.train(&rows(), DIMS, &options, &Silent))
            };
            let trained = train(1);
            assert_eq!(trained, train(2));
            let loss = |rows: &[f32]| loss(&pairs, &Table::new(rows, DIMS));
            assert!(loss(&trained) < 0.5 * loss(&rows()));
        }
    }

    #[test]
    fn pairs_of_one_score_change_nothing() {
        let mut pairs = pairs(true);
        pairs.scores = Some(vec![2.0; 6]);
        let trained = pairs.train(&rows(), DIMS, &PairOptions::default(), &Silent);
        assert_eq!(trained, rows());
    }
}
