//! A static embedding model in memory: what a distillation makes, what a Model2Vec folder holds.

use half::f16;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::image::HeadParts;

/// Most tokens of a text that count unless a model says otherwise: Model2Vec's default.
pub const DEFAULT_MAX_LENGTH: usize = 512;

/// The rows of a table as stored, row-major, `rows * dims` values.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    F32(Vec<f32>),
    F16(Vec<f16>),
    /// One scale for the whole matrix, as Model2Vec quantises; the scale itself is not stored
    /// because a normalised embedding does not depend on it.
    I8(Vec<i8>),
}

/// A Model2Vec model: tokenizer, rows, optional weights and mapping, and how to pool.
#[derive(Clone, Debug)]
pub struct StaticModel {
    /// The whole `tokenizer.json`. Token ids are indices into `mapping` if there is one, else into `rows`.
    pub tokenizer: Value,
    pub rows: Rows,
    pub dims: usize,
    /// One factor a token id.
    pub weights: Option<Vec<f32>>,
    /// Row index of each token id (vocabulary-quantised models).
    pub mapping: Option<Vec<u32>>,
    /// Whether embeddings are L2-normalised.
    pub normalize: bool,
    /// Most tokens of a text that count (usually [`DEFAULT_MAX_LENGTH`]); `None`: no limit.
    pub max_length: Option<usize>,
    pub provenance: Provenance,
}

/// A model, and the head behind it if it is a classifier.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub model: StaticModel,
    pub head: Option<HeadParts>,
}

/// Where a model came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Teacher's name as given on the command line.
    pub teacher: String,
    /// SHA-256 of the teacher's `model.safetensors`, lower-case hex; empty if unknown.
    pub teacher_sha256: String,
    /// SPDX identifier or the model card's own word; empty if unknown.
    pub licence: String,
}

impl StaticModel {
    /// This model with another table, a row of `dims` values a token of `tokenizer`.
    pub(crate) fn with_rows(&self, tokenizer: Value, rows: Vec<f32>, dims: usize) -> Self {
        Self {
            tokenizer,
            rows: Rows::F32(rows),
            dims,
            weights: None,
            mapping: None,
            normalize: self.normalize,
            max_length: self.max_length,
            provenance: self.provenance.clone(),
        }
    }

    /// Number of rows stored.
    pub fn row_count(&self) -> usize {
        let values = match &self.rows {
            Rows::F32(v) => v.len(),
            Rows::F16(v) => v.len(),
            Rows::I8(v) => v.len(),
        };
        values.checked_div(self.dims).unwrap_or(0)
    }

    /// Number of token ids.
    pub fn token_count(&self) -> usize {
        self.mapping
            .as_ref()
            .map_or_else(|| self.row_count(), Vec::len)
    }

    /// Writes a token's vector to `out` (`dims` values): its row, through the mapping, times its weight.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the token or the row it maps to does not exist.
    pub fn token_row(&self, id: u32, out: &mut [f32]) -> Result<()> {
        let missing = || Error::Model {
            what: format!("token {id} has no row in the table"),
        };
        let token = id as usize;
        let row = match &self.mapping {
            Some(mapping) => *mapping.get(token).ok_or_else(missing)? as usize,
            None => token,
        };
        let weight = match &self.weights {
            Some(weights) => *weights.get(token).ok_or_else(missing)?,
            None => 1.0,
        };
        let range = row * self.dims..(row + 1) * self.dims;
        let values = out.iter_mut();
        match &self.rows {
            Rows::F32(v) => {
                let row = v.get(range).ok_or_else(missing)?;
                values.zip(row).for_each(|(out, x)| *out = x * weight);
            }
            Rows::F16(v) => {
                let row = v.get(range).ok_or_else(missing)?;
                values
                    .zip(row)
                    .for_each(|(out, x)| *out = x.to_f32() * weight);
            }
            Rows::I8(v) => {
                let row = v.get(range).ok_or_else(missing)?;
                values
                    .zip(row)
                    .for_each(|(out, x)| *out = f32::from(*x) * weight);
            }
        }
        Ok(())
    }
}
