//! Multinomial logistic regression with an L2 penalty, fitted by L-BFGS.

use std::cell::RefCell;

use argmin::core::{
    ArgminError, CostFunction, Error, Executor, Gradient, State, TerminationReason,
};
use argmin::solver::linesearch::BacktrackingLineSearch;
use argmin::solver::linesearch::condition::ArmijoCondition;
use argmin::solver::quasinewton::LBFGS;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use flashvec_distiller::Progress;
use rayon::prelude::*;

use super::Embeddings;

/// Rows multiplied at a time. A constant, so that sums have one order on any number of cores.
const BLOCK_ROWS: usize = 1024;

/// Steps from which L-BFGS estimates the curvature.
const HISTORY: usize = 10;

/// A fit is done when the gradient of the mean log-loss is no longer than this.
const TOLERANCE: f64 = 1e-5;

/// Iterations that a fit may take; most have one evaluation of the loss.
const MAX_ITERATIONS: u64 = 5000;

/// A linear classifier of embeddings.
pub struct LogisticRegression {
    /// A row of weights a component, then a row of biases; one column a label.
    weights: Vec<f64>,
    label_count: usize,
}

impl LogisticRegression {
    /// Minimises `c` times the sum of log-losses plus half the squared length of the weights, as
    /// scikit-learn's `LogisticRegression(C=c)`. Biases are not penalised.
    ///
    /// `labels` has one label an embedding, below `label_count`.
    ///
    /// # Errors
    /// If the loss is no finite number, or the minimum is not found within 5,000 iterations.
    pub fn fit(
        embeddings: &Embeddings,
        labels: &[usize],
        label_count: usize,
        c: f64,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        // With two labels, scikit-learn penalises the difference of their weights: at the optimum
        // twice what both weigh on their own.
        let factor = if label_count == 2 { 2.0 } else { 1.0 };
        let loss = LogLoss {
            features: Features::new(embeddings),
            labels,
            label_count,
            penalty: factor / (c * labels.len() as f64),
            latest: RefCell::default(),
            progress,
        };
        progress.begin("Fitting, iterations", MAX_ITERATIONS);
        let weights = minimize(&loss);
        progress.finish();
        Ok(Self {
            weights: weights?,
            label_count,
        })
    }

    /// The most probable label of each embedding.
    pub fn predict(&self, embeddings: &Embeddings) -> Vec<usize> {
        Features::new(embeddings)
            .blocks()
            .flat_map_iter(|block| {
                let logits = block.logits(&self.weights, self.label_count);
                let largest = |row: &[f64]| {
                    let mut best = 0;
                    for (label, logit) in row.iter().enumerate() {
                        if *logit > row[best] {
                            best = label;
                        }
                    }
                    best
                };
                let labels: Vec<usize> =
                    logits.chunks_exact(self.label_count).map(largest).collect();
                labels
            })
            .collect()
    }
}

/// The weights of the smallest loss.
fn minimize(loss: &LogLoss<'_>) -> Result<Vec<f64>, Error> {
    // The loss is convex, so that the curvature along any step is positive: what a line search
    // under the Wolfe conditions would have to make sure of.
    let line_search = BacktrackingLineSearch::new(ArmijoCondition::new(1e-4)?).rho(0.5)?;
    let solver = LBFGS::new(line_search, HISTORY).with_tolerance_grad(TOLERANCE)?;
    let start = vec![0.0; loss.features.width * loss.label_count];
    let state = Executor::new(loss, solver)
        .configure(|state| state.param(start).max_iters(MAX_ITERATIONS))
        .run()?
        .state;
    match (state.get_termination_reason(), state.get_best_param()) {
        (Some(TerminationReason::SolverConverged), Some(weights)) => Ok(weights.clone()),
        (reason, _) => Err(ArgminError::ConditionViolated {
            text: reason.map_or("", TerminationReason::text).to_owned(),
        }
        .into()),
    }
}

/// Embeddings in f64, each with a last component of 1 that stands for the bias.
struct Features {
    values: Vec<f64>,
    width: usize,
}

impl Features {
    fn new(embeddings: &Embeddings) -> Self {
        let width = embeddings.dims() + 1;
        let values = embeddings
            .rows()
            .flat_map(|row| row.iter().copied().map(f64::from).chain([1.0]))
            .collect();
        Self { values, width }
    }

    fn blocks(&self) -> impl IndexedParallelIterator<Item = Block<'_>> {
        self.values
            .par_chunks(BLOCK_ROWS * self.width)
            .map(|values| Block {
                matrix: MatRef::from_row_major_slice(values, values.len() / self.width, self.width),
            })
    }
}

/// Some rows of features.
struct Block<'a> {
    matrix: MatRef<'a, f64>,
}

impl Block<'_> {
    /// One row of `label_count` logits a row.
    fn logits(&self, weights: &[f64], label_count: usize) -> Vec<f64> {
        let mut logits = vec![0.0; self.matrix.nrows() * label_count];
        matmul(
            MatMut::from_row_major_slice_mut(&mut logits, self.matrix.nrows(), label_count),
            Accum::Replace,
            self.matrix,
            MatRef::from_row_major_slice(weights, self.matrix.ncols(), label_count),
            1.0,
            Par::Seq,
        );
        logits
    }

    /// The sum of log-losses and its gradient.
    fn evaluate(&self, weights: &[f64], labels: &[usize], label_count: usize) -> (f64, Vec<f64>) {
        let mut logits = self.logits(weights, label_count);
        let mut loss = 0.0;
        for (row, &label) in logits.chunks_exact_mut(label_count).zip(labels) {
            // The largest is taken off first, so that no exponential overflows.
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let of_label = row[label] - largest;
            let mut sum = 0.0;
            for logit in &mut *row {
                *logit = (*logit - largest).exp();
                sum += *logit;
            }
            loss += sum.ln() - of_label;
            // From here the gradient by the logits: probability minus truth.
            for value in &mut *row {
                *value /= sum;
            }
            row[label] -= 1.0;
        }
        let mut gradient = vec![0.0; weights.len()];
        matmul(
            MatMut::from_row_major_slice_mut(&mut gradient, self.matrix.ncols(), label_count),
            Accum::Replace,
            self.matrix.transpose(),
            MatRef::from_row_major_slice(&logits, self.matrix.nrows(), label_count),
            1.0,
            Par::Seq,
        );
        (loss, gradient)
    }
}

/// The mean log-loss of texts, plus the penalty.
struct LogLoss<'a> {
    features: Features,
    labels: &'a [usize],
    label_count: usize,
    /// The factor of half the weights' squared length.
    penalty: f64,
    /// The gradient comes with the loss, and is asked for after it.
    latest: RefCell<Evaluation>,
    progress: &'a dyn Progress,
}

/// Loss and gradient at a point.
#[derive(Clone, Default)]
struct Evaluation {
    weights: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
}

impl LogLoss<'_> {
    fn evaluate(&self, weights: &[f64]) -> Evaluation {
        let (labels, label_count) = (self.labels, self.label_count);
        let blocks: Vec<(f64, Vec<f64>)> = self
            .features
            .blocks()
            .zip(labels.par_chunks(BLOCK_ROWS))
            .map(|(block, labels)| block.evaluate(weights, labels, label_count))
            .collect();
        let mut loss = 0.0;
        let mut gradient = vec![0.0; weights.len()];
        for (of_block, gradient_of_block) in blocks {
            loss += of_block;
            for (sum, value) in gradient.iter_mut().zip(gradient_of_block) {
                *sum += value;
            }
        }
        let texts = self.labels.len() as f64;
        loss /= texts;
        for value in &mut gradient {
            *value /= texts;
        }
        // The last row has the biases.
        let penalised = weights.len() - self.label_count;
        for (slope, weight) in gradient.iter_mut().zip(&weights[..penalised]) {
            loss += 0.5 * self.penalty * weight * weight;
            *slope += self.penalty * weight;
        }
        self.progress.advance(1);
        Evaluation {
            weights: weights.to_vec(),
            loss,
            gradient,
        }
    }
}

impl CostFunction for &LogLoss<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, weights: &Vec<f64>) -> Result<f64, Error> {
        let evaluation = self.evaluate(weights);
        let loss = evaluation.loss;
        // No step is short enough for a loss that is not a number: the search would not end.
        if !loss.is_finite() {
            return Err(ArgminError::ConditionViolated {
                text: "the loss is not a finite number".to_owned(),
            }
            .into());
        }
        *self.latest.borrow_mut() = evaluation;
        Ok(loss)
    }
}

impl Gradient for &LogLoss<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, weights: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let latest = self.latest.borrow();
        if latest.weights == *weights {
            return Ok(latest.gradient.clone());
        }
        Ok(self.evaluate(weights).gradient)
    }
}

#[cfg(test)]
mod tests {
    use flashvec_distiller::Silent;

    use super::*;

    fn embeddings() -> Embeddings {
        Embeddings {
            values: vec![
                1.0, 0.0, 0.8, 0.3, -0.5, 1.0, 0.2, 0.9, -1.0, -0.6, 0.1, -0.8, 0.4, 0.4,
            ],
            dims: 2,
        }
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-3, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn weights_are_those_of_scikit_learn() {
        // LogisticRegression(C=2, tol=1e-12, max_iter=10000), scikit-learn 1.9
        let labels = [0, 0, 1, 1, 2, 2, 0];
        let fitted = LogisticRegression::fit(&embeddings(), &labels, 3, 2.0, &Silent).unwrap();
        assert_close(
            &fitted.weights,
            &[
                1.22161, -0.52853, -0.69308, 0.04022, 1.23513, -1.27536, 0.17290, -0.26821, 0.09531,
            ],
        );
        assert_eq!(fitted.predict(&embeddings()), labels);
        let labels = [0, 0, 1, 1, 1, 0, 0];
        let fitted = LogisticRegression::fit(&embeddings(), &labels, 2, 2.0, &Silent).unwrap();
        let differences: Vec<f64> = fitted
            .weights
            .as_chunks()
            .0
            .iter()
            .map(|[zero, one]| one - zero)
            .collect();
        assert_close(&differences, &[-1.58926, 0.84071, -0.26508]);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let values: Vec<f32> = (0..8 * 3000).map(|_| random()).collect();
        let labels: Vec<usize> = (0..3000).map(|at| at % 5).collect();
        let embeddings = Embeddings { values, dims: 8 };
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let fitted = LogisticRegression::fit(&embeddings, &labels, 5, 1.0, &Silent);
                fitted.unwrap().weights
            })
        };
        assert_eq!(fit(1), fit(3));
    }

    #[test]
    fn embeddings_that_are_no_numbers_are_refused() {
        let embeddings = Embeddings {
            values: vec![f32::NAN, 1.0],
            dims: 1,
        };
        assert!(LogisticRegression::fit(&embeddings, &[0, 1], 2, 1.0, &Silent).is_err());
    }
}
