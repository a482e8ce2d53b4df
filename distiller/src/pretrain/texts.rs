//! Texts as tokens.

use rayon::prelude::*;

/// Texts as tokens, one after another.
#[derive(Default)]
pub(crate) struct Texts {
    ids: Vec<u32>,
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn push(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.ids.extend(ids);
        self.ends.push(self.ids.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn ids(&self, text: usize) -> &[u32] {
        let start = text.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[start..self.ends[text]]
    }

    /// The sums of every `step`-th text's rows of `dims` values, row-major.
    pub(crate) fn sums(&self, rows: &[f32], dims: usize, step: usize) -> Vec<f32> {
        let mut sums = vec![0.0; self.len().div_ceil(step) * dims];
        sums.par_chunks_exact_mut(dims)
            .enumerate()
            .for_each(|(at, out)| sum(self.ids(at * step), rows, dims, out));
        sums
    }
}

/// The sum of tokens' rows, which begin every `stride` values.
pub(crate) fn sum(ids: &[u32], rows: &[f32], stride: usize, out: &mut [f32]) {
    out.fill(0.0);
    for &id in ids {
        let row = &rows[id as usize * stride..][..out.len()];
        out.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
}
