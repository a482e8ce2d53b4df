//! Scores of a model on labelled sets. A set is read once and scores any number of models.

mod calibration;
pub mod classification;
pub mod confusion;
pub mod few_shot;
mod logistic_regression;
pub mod retrieval;
pub mod sets;
pub mod sts;
pub mod trained;

use flashvec::Model;
use flashvec_distiller::Progress;
use rayon::prelude::*;

use crate::error::Result;

/// Embeddings of texts, in the order of the texts.
pub struct Embeddings {
    values: Vec<f32>,
    dims: usize,
}

impl Embeddings {
    /// Components of one embedding.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// One row of `dims` components a text.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dims)
    }
}

/// Embeds texts on all cores.
///
/// # Errors
/// [`Error::Encode`](crate::error::Error::Encode).
pub fn embed(
    model: &Model<'_>,
    texts: &[impl AsRef<str> + Sync],
    progress: &dyn Progress,
) -> Result<Embeddings> {
    let dims = model.dims();
    let mut values = vec![0.0; texts.len() * dims];
    progress.begin("Encoding, texts", texts.len() as u64);
    let encoded = values
        .par_chunks_exact_mut(dims)
        .zip(texts)
        .try_for_each_init(
            || vec![0; model.scratch_len()],
            |scratch, (row, text)| {
                row.copy_from_slice(model.encode(text.as_ref(), scratch)?);
                progress.advance(1);
                Ok(())
            },
        );
    progress.finish();
    encoded.map(|()| Embeddings { values, dims })
}
