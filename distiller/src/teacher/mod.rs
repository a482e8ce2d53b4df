//! Teachers: sentence-transformers that give a hidden state for every token.

pub mod candle;
mod pooled;

pub use candle::CandleTeacher;
pub use pooled::{Pooling, pooled_states};

use crate::{Error, Result};

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
