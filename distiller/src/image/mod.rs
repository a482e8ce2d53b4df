//! Writing images.

mod charmap;
mod charmap_section;
mod head;
mod ngrams;
mod read;
mod read_head;
mod rows;
mod tokenizer;
mod trie;

use flashvec::image::{
    CLASSIFIER_VERSION, CRC_OFFSET, FORMAT_VERSION, MAGIC, MAX_ADDED_TOKENS_LEN, MAX_DIMS,
    PRELUDE_LEN, Section, SectionKind, Sections, crc32,
};
use flashvec::{Codec, Header, Pooling, Provenance, WordPiece};

pub use head::{HeadParts, Layer};
pub use ngrams::NGramTable;
pub use read::{read_classifier, read_head, read_image};
pub use rows::MAX_INTEGER_TOKENS;
pub use tokenizer::WordPieceTokenizer;
pub(crate) use tokenizer::model_kind;
pub use trie::Trie;

use crate::error::{Error, Result};
use crate::model::StaticModel;
use crate::{Progress, Quantization, Rotation};

/// What an image needs to know beside the model.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// How rows are stored.
    pub codec: Codec,
    /// How rows become codes; only for `int4`, `int2` and product quantisers.
    pub quantization: Quantization,
    /// The command that makes the image, for its header.
    pub command: String,
    /// The tool and its version, for its header.
    pub tool: String,
}

/// N-grams and their rows.
#[derive(Clone, Copy, Debug)]
pub struct NGrams<'a> {
    /// Which n-grams have a row.
    pub table: &'a NGramTable,
    /// Row-major, a row for each hash that the table was made of, in their order. Of hashes that share a row, the first
    /// one's counts.
    pub rows: &'a [f32],
}

/// Compiles a model into an image.
///
/// The image is read back before it is returned, so what this gives, a device accepts.
///
/// # Errors
///
/// [`Error::UnsupportedTokenizer`] and [`Error::Tokenizer`] for tokenizers that an image cannot
/// hold, [`Error::Model`] for rows it cannot, [`Error::Codec`] for a codec that does not suit the
/// dimensions.
pub fn write_image(
    model: &StaticModel,
    options: &ImageOptions,
    progress: &dyn Progress,
) -> Result<Vec<u8>> {
    write(model, None, None, Characters::All, options, progress)
}

/// Compiles a model and a head, if there is one, into an image that knows every character that the tokenizer does. With a
/// head, rows are not rotated, whatever `options` say.
///
/// # Errors
///
/// Those of [`write_classifier`].
pub fn write_pipeline(
    model: &StaticModel,
    head: Option<&HeadParts>,
    options: &ImageOptions,
    progress: &dyn Progress,
) -> Result<Vec<u8>> {
    let mut options = options.clone();
    if head.is_some() {
        options.quantization.rotation = Rotation::None;
    }
    write(model, None, head, Characters::All, &options, progress)
}

/// Compiles a classifier into an image: a model, whose rows are those of tokens; n-grams that have rows as well; and the
/// head. Either may be missing. With a head, characters of scripts that the vocabulary has none of are all unknown,
/// which shortens the character map; [`write_pipeline`] keeps it whole.
///
/// Rows are quantised as [`RowQuantizer`](crate::quantize::RowQuantizer) does it for the rows of all tokens, by id, and of
/// n-grams, by hash, with [`most_rows`](flashvec::ngrams_layout::most_rows) of the image's
/// [`max_tokens`]. With a head they must not be rotated ([`Rotation::None`]), since its weights are for the dimensions as they
/// are.
///
/// # Errors
///
/// Those of [`write_image`]; [`Error::Model`] for n-grams or a head that an image cannot hold, [`Error::Codec`] for a head over
/// rows of floats or rows that would be rotated.
pub fn write_classifier(
    model: &StaticModel,
    ngrams: Option<NGrams<'_>>,
    head: Option<&HeadParts>,
    options: &ImageOptions,
    progress: &dyn Progress,
) -> Result<Vec<u8>> {
    let characters = match head {
        None => Characters::All,
        Some(_) => Characters::OfScripts,
    };
    write(model, ngrams, head, characters, options, progress)
}

/// Which characters an image tells apart.
#[derive(Clone, Copy)]
enum Characters {
    All,
    /// Those of scripts that the vocabulary has some of.
    OfScripts,
}

fn write(
    model: &StaticModel,
    ngrams: Option<NGrams<'_>>,
    head: Option<&HeadParts>,
    characters: Characters,
    options: &ImageOptions,
    progress: &dyn Progress,
) -> Result<Vec<u8>> {
    let tokenizer = WordPieceTokenizer::from_json(&model.tokenizer)?;
    if tokenizer.tokens.len() != model.token_count() {
        return Err(Error::Model {
            what: format!(
                "the tokenizer has {} tokens, the table has {}",
                tokenizer.tokens.len(),
                model.token_count()
            ),
        });
    }
    let dims = u16::try_from(model.dims)
        .ok()
        .filter(|dims| (1..=MAX_DIMS).contains(dims))
        .ok_or_else(|| Error::Model {
            what: format!(
                "the model has {} dimensions, an image holds 1 to {MAX_DIMS}",
                model.dims
            ),
        })?;
    let trie = Trie::build(&tokenizer.tokens, &tokenizer.continuing_subword_prefix)?;
    let added_bytes: Vec<u8> = tokenizer
        .added_tokens
        .iter()
        .filter_map(|&id| tokenizer.tokens[id as usize].bytes().next())
        .collect();
    let mappings = match characters {
        Characters::All => charmap::compile(&tokenizer)?,
        Characters::OfScripts => charmap::compile_scripts(&tokenizer)?,
    };
    let char_map = charmap_section::write(&mappings, &trie.codes, &added_bytes)?;
    let mut new_ids = vec![0_u32; trie.order.len()];
    for (new, &old) in trie.order.iter().enumerate() {
        new_ids[old as usize] = new as u32;
    }
    let mut added_tokens = Vec::new();
    for &id in &tokenizer.added_tokens {
        let text = tokenizer.tokens[id as usize].as_bytes();
        added_tokens.extend(new_ids[id as usize].to_le_bytes());
        added_tokens.push(text.len() as u8);
        added_tokens.extend(text);
    }
    if added_tokens.len() > MAX_ADDED_TOKENS_LEN {
        return Err(Error::Tokenizer {
            what: format!(
                "its {} added tokens take {} bytes; an image holds {MAX_ADDED_TOKENS_LEN}",
                tokenizer.added_tokens.len(),
                added_tokens.len()
            ),
        });
    }
    let max_tokens = max_tokens(model, options.codec);
    let rows = rows::section(model, &trie.order, ngrams, options, max_tokens, progress)?;

    let mut parts = vec![
        (SectionKind::Vocabulary, trie.section),
        (SectionKind::CharMap, char_map),
        (SectionKind::AddedTokens, added_tokens),
        (SectionKind::Rows, rows.rows),
    ];
    if let Codec::Pq(_) = options.codec {
        parts.push((SectionKind::Codebooks, rows.codebooks));
    }
    if let Some(ngrams) = ngrams {
        parts.push((SectionKind::NGrams, ngrams.table.section().to_vec()));
    }
    if let Some(head) = head {
        let unfit = match options.codec {
            Codec::F32 | Codec::F16 => Some("a head adds up integers, and these are floats"),
            Codec::Int8 => None,
            _ => (options.quantization.rotation != Rotation::None)
                .then_some("a head's rows are not rotated"),
        };
        if let Some(what) = unfit {
            return Err(Error::Codec {
                codec: options.codec,
                what: what.to_owned(),
            });
        }
        parts.push((SectionKind::Head, head.section(model.dims)?));
    }
    let sections: Vec<Section> = parts
        .iter()
        .map(|(kind, bytes)| Section {
            kind: *kind,
            len: bytes.len() as u32,
        })
        .collect();
    let stages = tokenizer.stages.to_string();
    let header = Header {
        dims,
        token_count: trie.order.len() as u32,
        codec: options.codec,
        tokenizer: WordPiece {
            continuing_subword_prefix: &tokenizer.continuing_subword_prefix,
            unk: new_ids[tokenizer.unk as usize],
            max_input_chars_per_word: tokenizer.max_input_chars_per_word,
        },
        pooling: Pooling {
            normalize: model.normalize,
            max_tokens,
            max_chars: max_chars(model, &tokenizer.tokens),
            unit: rows.unit,
        },
        provenance: Provenance {
            teacher: &model.provenance.teacher,
            teacher_sha256: &model.provenance.teacher_sha256,
            licence: &model.provenance.licence,
            command: &options.command,
            tool: &options.tool,
            stages: &stages,
        },
        sections: Sections::new(&sections).ok_or_else(|| Error::Model {
            what: format!("{} sections are too many for an image", sections.len()),
        })?,
    };
    let image = assemble(&header, &parts)?;
    flashvec::Model::from_bytes(&image).map_err(|source| Error::Image {
        path: "the image just made".into(),
        source,
    })?;
    Ok(image)
}

/// The order of tokens in an image: for each id there, in which n-grams are formed, the token's id in `tokenizer.json`.
///
/// # Errors
///
/// Those of [`write_image`] for the tokenizer.
pub fn token_order(tokenizer: &serde_json::Value) -> Result<Vec<u32>> {
    let tokenizer = WordPieceTokenizer::from_json(tokenizer)?;
    let trie = Trie::build(&tokenizer.tokens, &tokenizer.continuing_subword_prefix)?;
    Ok(trie.order)
}

/// Tokens of a text that count in a model's image.
pub fn max_tokens(model: &StaticModel, codec: Codec) -> u32 {
    let most = match codec {
        Codec::F32 | Codec::F16 => u32::MAX,
        _ => MAX_INTEGER_TOKENS,
    };
    model
        .max_length
        .map_or(most, |n| u32::try_from(n).unwrap_or(most))
        .clamp(1, most)
}

fn assemble(header: &Header<'_>, parts: &[(SectionKind, Vec<u8>)]) -> Result<Vec<u8>> {
    let header = postcard::to_allocvec(header).map_err(|e| Error::Model {
        what: format!("its header cannot be written ({e})"),
    })?;
    let mut image = vec![0; PRELUDE_LEN];
    image.extend(&header);
    for (_, bytes) in parts {
        image.extend(bytes);
    }
    let len = u32::try_from(image.len()).map_err(|_| Error::Model {
        what: format!(
            "the image would have {} bytes; the format ends at 4 GiB",
            image.len()
        ),
    })?;
    image[..4].copy_from_slice(&MAGIC);
    let of_classifier = |kind| matches!(kind, SectionKind::NGrams | SectionKind::Head);
    let version = if parts.iter().any(|&(kind, _)| of_classifier(kind)) {
        CLASSIFIER_VERSION
    } else {
        FORMAT_VERSION
    };
    image[4..6].copy_from_slice(&version.to_le_bytes());
    image[8..12].copy_from_slice(&len.to_le_bytes());
    image[12..16].copy_from_slice(&(header.len() as u32).to_le_bytes());
    let crc = crc32(&image[PRELUDE_LEN..]);
    image[CRC_OFFSET..PRELUDE_LEN].copy_from_slice(&crc.to_le_bytes());
    Ok(image)
}

/// Python's Model2Vec cuts a text to `max_length` times the median token's length before it
/// tokenises.
fn max_chars(model: &StaticModel, tokens: &[String]) -> u32 {
    let Some(max_length) = model.max_length else {
        return u32::MAX;
    };
    let mut lengths: Vec<usize> = tokens.iter().map(|token| token.chars().count()).collect();
    lengths.sort_unstable();
    let middle = lengths.len() / 2;
    // `int(numpy.median(...))`: the mean of the two in the middle, cut to an integer.
    let median = if lengths.len() % 2 == 1 {
        lengths[middle]
    } else {
        (lengths[middle - 1] + lengths[middle]) / 2
    };
    u32::try_from(max_length.saturating_mul(median)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
