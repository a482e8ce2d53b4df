//! Compression: the best image for a number of bytes.

mod choice;
mod corpus;
mod fidelity;
mod prune;
mod refit;
mod whiten;

use flashvec::Codec;

use crate::error::{Error, Result};
use crate::image::{ImageOptions, WordPieceTokenizer, write_image};
use crate::{Progress, Silent, StaticModel};
use choice::Candidate;
use prune::Tokens;

pub(crate) use corpus::bare_image;
pub use corpus::count_tokens;
pub use prune::Pruning;
pub(crate) use prune::rewrite;

/// Whitening that [`compress`] is best used with unless something else was measured.
pub const WHITENING: f64 = 0.3;

/// What [`compress`] may use and choose.
#[derive(Clone, Debug)]
pub struct CompressOptions {
    /// Most bytes of the image.
    pub flash: usize,
    /// The codec; `None`: the one that suits the size.
    pub codec: Option<Codec>,
    /// Principal components to keep; `None`: all.
    pub dims: Option<usize>,
    /// Tokens to keep; `None`: as many as fit.
    pub vocab_size: Option<usize>,
    /// Power of the whitening, 0 to 1; 0 leaves the spectrum as it is.
    pub whitening: f64,
    /// How often each token occurs in text, by id, as [`count_tokens`] counts; `None`: Zipf's law.
    pub counts: Option<Vec<u64>>,
    /// Which tokens are kept.
    pub pruning: Pruning,
    /// Whether rows are fitted to stand for tokens that were not kept.
    pub refit: bool,
    /// Power of a token's share of text in how often a product quantiser's codebooks look at its row;
    /// 0: at all alike.
    pub codebook_weighting: f64,
}

impl CompressOptions {
    /// What scores best in `flash` bytes.
    pub fn new(flash: usize) -> Self {
        Self {
            flash,
            codec: None,
            dims: None,
            vocab_size: None,
            whitening: WHITENING,
            counts: None,
            pruning: Pruning::default(),
            refit: true,
            codebook_weighting: 0.0,
        }
    }
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
    /// Share of running text whose tokens are kept; the rest is spelled in pieces.
    pub coverage: f64,
    /// Pearson's correlation between the cosines of made-up texts and those that the whole float table
    /// gives after whitening: 1 if compression lost nothing.
    pub correlation: f64,
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
    let tokens = Tokens::new(&tokenizer, options.counts.as_deref());
    let dims = match options.dims {
        Some(asked) if (1..=model.dims).contains(&asked) => asked,
        Some(asked) => {
            return Err(Error::Option {
                option: "dims",
                what: format!("{asked} is out of range; the model has 1 to {}", model.dims),
            });
        }
        None => choice::usable_dims(model.dims, options.codec),
    };
    let rows = whiten::whiten(&dense_rows(model)?, model.dims, options.whitening, dims)?;
    let shrunk = |kept: &[u32], rows: Vec<f32>, dims: usize| {
        let tokenizer = prune::rewrite(&model.tokenizer, &tokenizer.tokens, kept);
        model.with_rows(tokenizer, rows, dims)
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
    let fitted = if !options.refit {
        let rows = kept
            .iter()
            .flat_map(|&id| &rows[id as usize * dims..][..dims]);
        rows.copied().collect()
    } else if kept.len() < tokenizer.tokens.len() {
        refit::refit(&tokens, &rows, dims, &kept)?
    } else {
        rows.clone()
    };
    let model = shrunk(&kept, fitted, dims);
    let mut image = ImageOptions {
        codec,
        ..image.clone()
    };
    if options.codebook_weighting > 0.0 {
        let weight = |&id: &u32| tokens.shares[id as usize].powf(options.codebook_weighting);
        image.quantization.row_weights = Some(kept.iter().map(weight).collect());
    }
    let image = write_image(&model, &image, progress)?;
    Ok(Compressed {
        correlation: fidelity::correlation(&tokens, &rows, dims, &kept, &image)?,
        image,
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
