//! Writing images.

mod charmap;
mod charmap_section;
mod read;
mod rows;
mod tokenizer;
mod trie;

use flashvec::image::{
    CRC_OFFSET, FORMAT_VERSION, MAGIC, MAX_ADDED_TOKENS_LEN, MAX_DIMS, PRELUDE_LEN, Section,
    SectionKind, Sections, crc32,
};
use flashvec::{Codec, Header, Pooling, Provenance, WordPiece};

pub use read::{LONGEST_TOKEN, parts, read_image};
pub use rows::MAX_INTEGER_TOKENS;
pub use tokenizer::WordPieceTokenizer;
pub(crate) use tokenizer::model_kind;
pub use trie::Trie;

use crate::error::{Error, Result};
use crate::model::StaticModel;
use crate::{Progress, Quantization};

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
    let mappings = charmap::compile(&tokenizer)?;
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
    let most = match options.codec {
        Codec::F32 | Codec::F16 => u32::MAX,
        _ => MAX_INTEGER_TOKENS,
    };
    let max_tokens = model
        .max_length
        .map_or(most, |n| u32::try_from(n).unwrap_or(most))
        .clamp(1, most);
    let rows = rows::section(model, &trie.order, options, max_tokens, progress)?;

    let mut parts = vec![
        (SectionKind::Vocabulary, trie.section),
        (SectionKind::CharMap, char_map),
        (SectionKind::AddedTokens, added_tokens),
        (SectionKind::Rows, rows.rows),
    ];
    if let Codec::Pq(_) = options.codec {
        parts.push((SectionKind::Codebooks, rows.codebooks));
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
    image[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
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
