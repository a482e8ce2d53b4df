//! From a teacher to a static model.

use crate::model::DEFAULT_MAX_LENGTH;
use crate::pca::{self, Dims};
use crate::source::TeacherSource;
use crate::teacher::{Pooling, Teacher, pooled_states};
use crate::vocabulary::{Vocabulary, VocabularyFilter};
use crate::weighting::{SIF_COEFFICIENT, sif_weights};
use crate::{Error, Progress, Result, Rows, StaticModel};

/// Settings of a distillation; the default is Model2Vec's.
#[derive(Clone, Debug)]
pub struct DistillOptions {
    /// Dimensions of the table.
    pub dims: Dims,
    /// Coefficient of the SIF weighting; `None` leaves the rows as they are.
    pub sif: Option<f64>,
    /// How a vocabulary entry's hidden states become its row.
    pub pooling: Pooling,
    /// Which entries to keep.
    pub vocabulary: VocabularyFilter,
}

impl Default for DistillOptions {
    fn default() -> Self {
        Self {
            dims: Dims::Components(256),
            sif: Some(SIF_COEFFICIENT),
            pooling: Pooling::Mean,
            vocabulary: VocabularyFilter::default(),
        }
    }
}

/// Distils `teacher`, which was loaded from `source`, to a static model with f32 rows.
///
/// Every kept vocabulary entry goes through the teacher on its own, between its special tokens and behind the
/// source's prompt, if it has one; its pooled states are projected onto the principal components of all of them and
/// weighted by rank.
///
/// # Errors
/// Those of [`Vocabulary::select`], [`Teacher::hidden_states`], [`pca::project`] and [`sif_weights`];
/// [`Error::Model`] if the teacher's states are not finite.
pub fn distill(
    teacher: &dyn Teacher,
    source: &TeacherSource,
    options: &DistillOptions,
    progress: &dyn Progress,
) -> Result<StaticModel> {
    if let Dims::Components(requested) = options.dims
        && requested > teacher.hidden_size()
    {
        // Said before the long part, not after it.
        let limit = "the teacher's hidden states";
        return Err(Error::TooManyDims {
            requested,
            maximum: teacher.hidden_size(),
            limit,
        });
    }
    let vocabulary = Vocabulary::select(
        &source.tokenizer,
        source.pad_token.as_deref(),
        &options.vocabulary,
    )?;
    let weights = options
        .sif
        .map(|sif| sif_weights(&vocabulary.ranks, vocabulary.ranked, sif))
        .transpose()?;
    let sequences = match &source.prompt {
        Some(prompt) => vocabulary
            .sequences
            .iter()
            .map(|ids| prompt.put_before(ids))
            .collect(),
        None => vocabulary.sequences,
    };
    progress.begin("Teacher", sequences.len() as u64);
    let states = pooled_states(teacher, &sequences, options.pooling, progress);
    progress.finish();
    let states = states?;
    if let Some(at) = states.iter().position(|value| !value.is_finite()) {
        let what = format!(
            "the teacher's hidden state of entry {} is not finite; its weights are unusable",
            at / teacher.hidden_size()
        );
        return Err(Error::Model { what });
    }
    let (mut table, dims) = pca::project(states, teacher.hidden_size(), options.dims)?;
    for (row, weight) in table.chunks_exact_mut(dims).zip(weights.iter().flatten()) {
        row.iter_mut().for_each(|value| *value *= weight);
    }
    Ok(StaticModel {
        tokenizer: vocabulary.tokenizer,
        rows: Rows::F32(table),
        dims,
        weights: None,
        mapping: None,
        normalize: true,
        max_length: Some(DEFAULT_MAX_LENGTH),
        provenance: source.provenance(),
    })
}
