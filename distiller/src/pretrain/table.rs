//! Rows in training.

use rayon::prelude::*;

use super::texts::sum;

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Rows with what Adam keeps of them.
///
/// A model is linear in its rows, so a step needs no framework: whoever knows the gradient of each text's sum of rows
/// hands it in, and the rows of its tokens take a step. Each row's gradient is summed in the order of texts, so the
/// result does not depend on the number of threads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    /// Of each token its values, then Adam's first and second moments of them.
    pub(crate) state: Vec<f32>,
    pub(crate) dims: usize,
    /// Steps taken.
    pub(crate) steps: i32,
}

impl Table {
    pub(crate) fn new(rows: &[f32], dims: usize) -> Self {
        let mut table = Self {
            state: vec![0.0; 3 * rows.len()],
            dims,
            steps: 0,
        };
        table.restart(rows);
        table
    }

    /// As if it were new, of these rows: as many as there were.
    pub(crate) fn restart(&mut self, rows: &[f32]) {
        let dims = self.dims;
        self.state.fill(0.0);
        let state = self.state.chunks_exact_mut(3 * dims);
        for (state, row) in state.zip(rows.chunks_exact(dims)) {
            state[..dims].copy_from_slice(row);
        }
        self.steps = 0;
    }

    pub(crate) fn rows(&self) -> Vec<f32> {
        let rows = self.state.chunks_exact(3 * self.dims);
        rows.flat_map(|state| &state[..self.dims])
            .copied()
            .collect()
    }

    /// The sum of tokens' rows.
    pub(crate) fn sum(&self, ids: &[u32], out: &mut [f32]) {
        sum(ids, &self.state, 3 * self.dims, out);
    }

    /// One step of Adam (Kingma and Ba, 2015) on the rows of these texts' tokens; the others' stay as they are.
    /// `gradients` has `dims` values a text: the gradient of its loss for the sum of its rows.
    pub(crate) fn step(&mut self, texts: &[&[u32]], gradients: &[f32], learning_rate: f32) {
        let dims = self.dims;
        // All occurrences of tokens, those of a token together and in the order of texts.
        let mut occurrences: Vec<(u32, u32)> = (0..)
            .zip(texts)
            .flat_map(|(at, ids)| ids.iter().map(move |&id| (id, at)))
            .collect();
        occurrences.par_sort_unstable();
        self.steps += 1;
        let adam = Adam {
            learning_rate,
            first_correction: 1.0 / (1.0 - FIRST_DECAY.powi(self.steps)),
            second_correction: 1.0 / (1.0 - SECOND_DECAY.powi(self.steps)),
            scale: 1.0 / texts.len() as f32,
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
    }
}

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

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
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
