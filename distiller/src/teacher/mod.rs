//! Teachers: sentence-transformers that give a hidden state for every token.

mod architecture;
mod backend;
pub mod candle;
#[cfg(feature = "libtorch")]
pub mod libtorch;
mod pooled;
pub(crate) mod weights;

pub use backend::{Backend, Device};
pub use candle::CandleTeacher;
#[cfg(feature = "libtorch")]
pub use libtorch::LibtorchTeacher;
pub use pooled::{Pooling, pooled_states};

use crate::{Error, Result};

/// The vectors of a batch that a backend may still be computing; gives them when they are done.
pub type Pending<'a> = Box<dyn FnOnce() -> Result<Vec<f32>> + 'a>;

/// A transformer encoder that maps token ids to hidden states.
pub trait Teacher: Send + Sync {
    /// Values in one hidden state.
    fn hidden_size(&self) -> usize;

    /// Most tokens a sequence may have, special ones included.
    fn max_positions(&self) -> usize;

    /// Token ids run from 0 to this, exclusive.
    fn vocab_size(&self) -> usize;

    /// Last-layer hidden states of `batch`, every sequence attending to all of itself and to nothing else.
    ///
    /// `batch` holds token ids, special tokens included. The result has one row of `hidden_size`
    /// values a token, row-major: the first sequence's tokens in order, then the second's, and so
    /// on, with no padding between them.
    ///
    /// # Errors
    /// [`Error::Sequence`] if a sequence is empty or longer than `max_positions`, or an id is not below
    /// `vocab_size`; [`Error::Forward`] if the backend fails.
    fn hidden_states(&self, batch: &[&[u32]]) -> Result<Vec<f32>>;

    /// Tokens that a batch had best have, of all its sequences together. May change from batch to batch.
    ///
    /// Unless a backend says otherwise: enough for efficient matrix products, few enough that a layer's
    /// activations stay near the caches (twice as many took 5 % longer).
    fn batch_positions(&self) -> usize {
        768
    }

    /// Begins on one vector of `hidden_size` values for each sequence of `batch`, in order: its hidden states
    /// pooled.
    ///
    /// A backend that computes elsewhere, on a GPU say, comes back before it is done, so that the next batch can
    /// begin meanwhile. Others do all of it here.
    ///
    /// # Errors
    /// Those of [`hidden_states`](Self::hidden_states), now or from what is returned.
    fn begin_pooled<'a>(&'a self, batch: &[&[u32]], pooling: Pooling) -> Result<Pending<'a>> {
        let states = self.hidden_states(batch)?;
        let dims = self.hidden_size();
        let mut vectors = vec![0.0; batch.len() * dims];
        let mut states = states.as_slice();
        for (ids, vector) in batch.iter().zip(vectors.chunks_exact_mut(dims)) {
            let (own, others) = states.split_at(ids.len() * dims);
            pooling.pool(own, vector);
            states = others;
        }
        Ok(Box::new(|| Ok(vectors)))
    }
}

/// Checks a batch against what a teacher takes.
pub(crate) fn check_batch(batch: &[&[u32]], max_positions: usize, vocab_size: usize) -> Result<()> {
    for (index, ids) in batch.iter().enumerate() {
        let what = if ids.is_empty() {
            "no tokens; give at least one".to_owned()
        } else if ids.len() > max_positions {
            format!(
                "{} tokens, but the teacher takes at most {max_positions}; cut it",
                ids.len()
            )
        } else if let Some(id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            format!(
                "token id {id}, but the teacher knows {vocab_size}; use the teacher's own tokenizer"
            )
        } else {
            continue;
        };
        return Err(Error::Sequence { index, what });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
