//! Sequences packed one after another.

use tch::{Device, Kind, TchError, Tensor};

use crate::teacher::Pooling;

/// Sequences of one length that follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// The first row.
    pub start: i64,
    /// Sequences.
    pub count: i64,
    /// Tokens of each.
    pub length: i64,
}

impl Run {
    /// This run's part of a matrix of one row a token, as `sequences × tokens × columns`.
    pub fn of(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        rows.f_narrow(0, self.start, self.count * self.length)?
            .f_reshape([self.count, self.length, -1])
    }
}

/// A batch on its device.
pub(super) struct Batch {
    pub ids: Tensor,
    /// The ids as they came.
    pub sequences: Vec<Vec<u32>>,
    pub runs: Vec<Run>,
}

impl Batch {
    pub fn new(sequences: &[&[u32]], device: Device) -> Result<Self, TchError> {
        let ids: Vec<i64> = sequences
            .iter()
            .flat_map(|ids| ids.iter().copied().map(i64::from))
            .collect();
        Ok(Self {
            ids: Tensor::f_from_slice(&ids)?.f_to_device(device)?,
            runs: runs(sequences.iter().map(|ids| ids.len())),
            sequences: sequences.iter().map(|ids| ids.to_vec()).collect(),
        })
    }

    /// One row a sequence of one row a token.
    pub fn pool(&self, states: &Tensor, pooling: Pooling) -> Result<Tensor, TchError> {
        let pooled = self.runs.iter().map(|run| {
            let states = run.of(states)?;
            match pooling {
                Pooling::Mean => states.f_mean_dim(1, false, Kind::Float),
                Pooling::Cls => states.f_select(1, 0),
                Pooling::Last => states.f_select(1, run.length - 1),
            }
        });
        together(pooled.collect::<Result<_, _>>()?)
    }
}

/// The rows of runs below one another.
pub(super) fn together(mut parts: Vec<Tensor>) -> Result<Tensor, TchError> {
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Tensor::f_cat(&parts, 0),
    }
}

/// The runs of sequences with these numbers of tokens.
fn runs(lengths: impl Iterator<Item = usize>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut start = 0;
    for length in lengths.map(|length| length as i64) {
        match runs.last_mut() {
            Some(run) if run.length == length => run.count += 1,
            _ => runs.push(Run {
                start,
                count: 1,
                length,
            }),
        }
        start += length;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_length_are_one_run() {
        let expected = [(0, 2, 3), (6, 1, 1), (7, 1, 3)];
        let expected = expected.map(|(start, count, length)| Run {
            start,
            count,
            length,
        });
        assert_eq!(runs([3, 3, 1, 3].into_iter()), expected);
    }
}
