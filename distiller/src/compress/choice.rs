//! Codec and vocabulary for a number of bytes.

use flashvec::{Codec, ProductQuantizer};

use super::CompressOptions;
use super::prune::Tokens;
use crate::Progress;
use crate::error::{Error, Result};

/// Codecs from the richest to the leanest, each with the share of running text that must keep its own
/// rows for it to be worth its bytes; the last is taken if nothing else is. Measured with
/// all-MiniLM-L6-v2 from 32 to 640 KB, on STS-B's dev and train sets, on classification and on Cranfield.
const LADDER: [(Codec, f64); 7] = [
    (Codec::F16, 1.0),
    (Codec::Int8, 1.0),
    (Codec::Int4, 1.0),
    (Codec::Int2, 1.0),
    (shared(8, 8), 0.96),
    (shared(8, 16), 0.90),
    (shared(4, 16), 0.0),
];

const fn shared(code_bits: u8, sub_dims: u8) -> Codec {
    Codec::Pq(ProductQuantizer {
        code_bits,
        sub_dims,
        shared: true,
    })
}

/// Largest sub-vector of the ladder.
const LONGEST: usize = 16;
/// Bytes a token takes in the trie, as a first guess.
const TRIE_GUESS: usize = 3;
/// How often a vocabulary is measured before the largest that fitted is taken.
pub(super) const ATTEMPTS: usize = 9;
/// Bytes that a header may have more than the one measured: longer numbers, another section.
pub(super) const HEADER_SLACK: usize = 24;

/// A choice that fits.
pub(super) struct Candidate {
    pub(super) codec: Codec,
    /// Ids, ascending.
    pub(super) kept: Vec<u32>,
}

/// Dimensions that every codec which may be chosen can cut into sub-vectors, at most `dims`.
pub(super) fn usable_dims(dims: usize, codec: Option<Codec>) -> usize {
    match codec {
        None if dims >= LONGEST => dims - dims % LONGEST,
        _ => dims,
    }
}

fn codebooks_len(codec: Codec, dims: usize) -> usize {
    match codec {
        Codec::Pq(pq) => pq.codebooks(dims) * pq.codebook_len(),
        _ => 0,
    }
}

/// Chooses codec and vocabulary. `overhead` gives the bytes of an image beside rows and codebooks.
///
/// # Errors
/// [`Error::FlashTooSmall`], [`Error::Option`], and what `overhead` returns.
pub(super) fn choose(
    tokens: &Tokens<'_>,
    rows: &[f32],
    dims: usize,
    options: &CompressOptions,
    overhead: &dyn Fn(&[u32]) -> Result<usize>,
    progress: &dyn Progress,
) -> Result<Candidate> {
    let all = tokens.tokenizer.tokens.len();
    let fewest = tokens.fewest();
    if let Some(asked) = options.vocab_size
        && asked < fewest
    {
        let what = format!(
            "{asked} tokens are too few: {fewest} are needed to spell any ASCII word; ask for {fewest} or more"
        );
        return Err(Error::Option {
            option: "vocab-size",
            what,
        });
    }
    let ladder: Vec<(Codec, f64)> = match options.codec {
        Some(codec @ Codec::Pq(pq)) if !pq.fits(dims) => {
            let what = format!(
                "sub-vectors of {} do not divide {dims} dimensions",
                pq.sub_dims
            );
            return Err(Error::Codec { codec, what });
        }
        Some(codec) => vec![(codec, 0.0)],
        None => LADDER
            .into_iter()
            .filter(|(codec, _)| !matches!(codec, Codec::Pq(pq) if !pq.fits(dims)))
            .collect(),
    };
    let image_len = |codec: Codec, overhead: usize, count: usize| {
        overhead + count * codec.row_len(dims) + codebooks_len(codec, dims)
    };

    let least = options.vocab_size.unwrap_or(fewest).min(all);
    let leanest = ladder.last().map_or(Codec::Int2, |(codec, _)| *codec);
    let kept = tokens.choose(rows, dims, least, options.pruning);
    let overhead_of_least = overhead(&kept)?;
    progress.advance(1);
    let smallest = image_len(leanest, overhead_of_least, least);
    if smallest > options.flash {
        return Err(Error::FlashTooSmall {
            asked: options.flash,
            smallest,
        });
    }
    if options.vocab_size.is_some() {
        let richest = ladder
            .iter()
            .find(|(codec, _)| image_len(*codec, overhead_of_least, least) <= options.flash);
        return Ok(Candidate {
            codec: richest.map_or(leanest, |(codec, _)| *codec),
            kept,
        });
    }
    let fixed = overhead_of_least.saturating_sub(least * TRIE_GUESS);
    let fitting = |codec: Codec| {
        let room = options
            .flash
            .saturating_sub(fixed + codebooks_len(codec, dims));
        (room / (codec.row_len(dims) + TRIE_GUESS)).min(all)
    };
    let codec = ladder
        .iter()
        .find(|(codec, coverage)| tokens.coverage(fitting(*codec)) >= coverage * (1.0 - 1e-9))
        .map_or(leanest, |(codec, _)| *codec);

    let mut best = Candidate {
        codec: leanest,
        kept,
    };
    // Between the most tokens known to fit and the fewest known not to, by the bytes of both.
    let smallest = image_len(codec, overhead_of_least, least);
    let (mut fits, mut too_many) = ((least, smallest), None);
    let mut misses = 0;
    let mut count = fitting(codec).clamp(least, all);
    for _ in 1..ATTEMPTS {
        let kept = tokens.choose(rows, dims, count, options.pruning);
        let bytes = image_len(codec, overhead(&kept)?, count);
        progress.advance(1);
        if bytes <= options.flash {
            fits = (count, bytes);
            misses = 0;
            best = Candidate { codec, kept };
        } else {
            too_many = Some((count, bytes));
            misses += 1;
        }
        // The first tokens take more of the trie than later ones: after a second miss, shorter steps.
        let spare = options.flash.saturating_sub(fits.1) >> (misses / 2);
        let more = match too_many {
            Some((count, bytes)) if bytes > fits.1 => (count - fits.0) * spare / (bytes - fits.1),
            _ => spare / (codec.row_len(dims) + TRIE_GUESS + 1),
        };
        let most = too_many.map_or(all, |(count, _)| count - 1);
        count = (fits.0 + more).min(most);
        if count <= fits.0 {
            break;
        }
    }
    Ok(best)
}
