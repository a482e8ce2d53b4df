//! One vector a sequence from a teacher's hidden states.

use std::str::FromStr;

use super::{Pending, Teacher};
use crate::{Error, Progress, Result};

/// How the hidden states of a sequence become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens, special ones included.
    #[default]
    Mean,
    /// The first token's state (`[CLS]`).
    Cls,
    /// The last token's state (`[SEP]` or end of sequence).
    Last,
}

impl Pooling {
    /// The name on the command line: `mean`, `cls` or `last`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Last => "last",
        }
    }

    /// Pools `states` (rows of `out.len()` values, at least one) into `out`.
    pub(super) fn pool(self, states: &[f32], out: &mut [f32]) {
        let dims = out.len();
        match self {
            Self::Mean => {
                out.fill(0.0);
                for state in states.chunks_exact(dims) {
                    out.iter_mut()
                        .zip(state)
                        .for_each(|(sum, value)| *sum += value);
                }
                let scale = 1.0 / (states.len() / dims) as f32;
                out.iter_mut().for_each(|sum| *sum *= scale);
            }
            Self::Cls => out.copy_from_slice(&states[..dims]),
            Self::Last => out.copy_from_slice(&states[states.len() - dims..]),
        }
    }
}

impl FromStr for Pooling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Mean, Self::Cls, Self::Last]
            .into_iter()
            .find(|pooling| pooling.name() == name)
            .ok_or_else(|| Error::Option {
                option: "pooling",
                what: format!("no such mode as {name:?}; use mean, cls or last"),
            })
    }
}

/// How many sequences with these numbers of tokens make a batch of `most` tokens: at least one, even if it has more.
pub(super) fn batch_len(lengths: impl Iterator<Item = usize>, most: usize) -> usize {
    let mut positions = 0;
    let fits = lengths.take_while(|length| {
        positions += length;
        positions <= most
    });
    fits.count().max(1)
}

/// The teacher's pooled vector of every sequence: row-major, `sequences.len() * hidden_size` values, in order.
///
/// Sequences are batched by length, so that the work of a batch is even. Advances `progress` by one a sequence.
///
/// # Errors
/// Those of [`Teacher::hidden_states`].
pub fn pooled_states(
    teacher: &dyn Teacher,
    sequences: &[Vec<u32>],
    pooling: Pooling,
    progress: &dyn Progress,
) -> Result<Vec<f32>> {
    let dims = teacher.hidden_size();
    super::check_batch(
        &sequences.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        teacher.max_positions(),
        teacher.vocab_size(),
    )?;
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|&index| sequences[index].len());
    let mut pooled = vec![0.0; sequences.len() * dims];
    let mut collect = |batch: &[usize], vectors: Pending<'_>| -> Result<()> {
        let vectors = vectors()?;
        for (&index, vector) in batch.iter().zip(vectors.chunks_exact(dims)) {
            pooled[index * dims..][..dims].copy_from_slice(vector);
        }
        progress.advance(batch.len() as u64);
        Ok(())
    };
    let mut rest = order.as_slice();
    let mut running: Option<(&[usize], Pending<'_>)> = None;
    while !rest.is_empty() {
        let lengths = rest.iter().map(|&index| sequences[index].len());
        let (batch, later) = rest.split_at(batch_len(lengths, teacher.batch_positions()));
        let ids: Vec<&[u32]> = batch
            .iter()
            .map(|&index| sequences[index].as_slice())
            .collect();
        // This one begins before the one before it is waited for.
        let begun = teacher.begin_pooled(&ids, pooling)?;
        if let Some((batch, vectors)) = running.replace((batch, begun)) {
            collect(batch, vectors)?;
        }
        rest = later;
    }
    if let Some((batch, vectors)) = running {
        collect(batch, vectors)?;
    }
    Ok(pooled)
}
