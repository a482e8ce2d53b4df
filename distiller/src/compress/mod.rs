//! Compression: the best image for a number of bytes.

mod choice;
mod prune;
mod refit;
mod whiten;

use flashvec::Codec;

use crate::error::{Error, Result};
use crate::image::{ImageOptions, WordPieceTokenizer, write_image};
use crate::{Progress, Rows, Silent, StaticModel};
use choice::Candidate;
use prune::Tokens;

/// Whitening that [`compress`] is best used with unless something else was measured.
pub const WHITENING: f64 = 0.3;

/// What [`compress`] may use and choose.
#[derive(Clone, Copy, Debug)]
pub struct CompressOptions {
    /// Most bytes of the image.
    pub flash: usize,
    /// The codec; `None`: the one that suits the size.
    pub codec: Option<Codec>,
    /// Tokens to keep; `None`: as many as fit.
    pub vocab_size: Option<usize>,
    /// Power of the whitening, 0 to 1; 0 leaves the spectrum as it is.
    pub whitening: f64,
}

/// An image, and what was chosen for it.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// The image.
    pub image: Vec<u8>,
    /// How its rows are stored.
    pub codec: Codec,
    /// Components of an embedding.
    pub dims: usize,
    /// Tokens it keeps.
    pub tokens: usize,
    /// Tokens the model had.
    pub tokens_before: usize,
    /// Share of running text, by Zipf's law, whose tokens are kept; the rest is spelled in pieces.
    pub coverage: f64,
}

/// Compresses a model to an image of at most `options.flash` bytes.
///
/// The spectrum of the rows is flattened; a codec is chosen, the richest that leaves room for enough
/// tokens; the tokens worth most are kept, and their rows fitted so that the pieces of the others add
/// up to what they were. The same arguments give the same image on the same machine.
///
/// # Errors
///
/// [`Error::FlashTooSmall`] names the smallest image there can be; [`Error::Option`]; those of
/// [`write_image`].
pub fn compress(
    model: &StaticModel,
    options: &CompressOptions,
    image: &ImageOptions,
    progress: &dyn Progress,
) -> Result<Compressed> {
    if !(0.0..=1.0).contains(&options.whitening) {
        let what = format!(
            "{} is out of range; it lies between 0, none, and 1",
            options.whitening
        );
        return Err(Error::Option {
            option: "whitening",
            what,
        });
    }
    let tokenizer = WordPieceTokenizer::from_json(&model.tokenizer)?;
    let tokens = Tokens::new(&tokenizer);
    let dims = choice::usable_dims(model.dims, options.codec);
    let rows = whiten::whiten(&dense_rows(model)?, model.dims, options.whitening, dims)?;
    let shrunk = |kept: &[u32], rows: Vec<f32>, dims: usize| StaticModel {
        tokenizer: prune::rewrite(&model.tokenizer, &tokenizer.tokens, kept),
        rows: Rows::F32(rows),
        dims,
        weights: None,
        mapping: None,
        normalize: model.normalize,
        max_length: model.max_length,
        provenance: model.provenance.clone(),
    };
    // Everything but rows and codebooks, measured on an image whose rows have one byte.
    let overhead = |kept: &[u32]| -> Result<usize> {
        let bare = shrunk(kept, vec![1.0; kept.len()], 1);
        let options = ImageOptions {
            codec: Codec::Int4,
            ..image.clone()
        };
        let bytes = write_image(&bare, &options, &Silent)?.len();
        Ok(bytes - kept.len() * Codec::Int4.row_len(1) + choice::HEADER_SLACK)
    };
    progress.begin("Vocabulary", choice::ATTEMPTS as u64);
    let found = choice::choose(&tokens, &rows, dims, options, &overhead, progress);
    progress.finish();
    let Candidate { codec, kept } = found?;
    let fitted = if kept.len() < tokenizer.tokens.len() {
        refit::refit(&tokens, &rows, dims, &kept)?
    } else {
        rows
    };
    let model = shrunk(&kept, fitted, dims);
    let options = ImageOptions {
        codec,
        ..image.clone()
    };
    Ok(Compressed {
        image: write_image(&model, &options, progress)?,
        codec,
        dims,
        tokens: kept.len(),
        tokens_before: tokenizer.tokens.len(),
        coverage: kept.iter().map(|&id| tokens.shares[id as usize]).sum(),
    })
}

/// Every token's row, through the mapping and times its weight.
fn dense_rows(model: &StaticModel) -> Result<Vec<f32>> {
    let mut rows = vec![0.0; model.token_count() * model.dims];
    for (row, id) in rows.chunks_exact_mut(model.dims).zip(0..) {
        model.token_row(id, row)?;
    }
    match rows.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::Model {
            what: format!("the row of token {} is not finite", at / model.dims),
        }),
        None => Ok(rows),
    }
}
