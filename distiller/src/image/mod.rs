//! Writing images.

mod charmap;
mod charmap_section;
mod read;
mod rows;
mod tokenizer;
mod trie;

use std::path::Path;

use flashvec::image::{
    CRC_OFFSET, FORMAT_VERSION, MAGIC, MAX_DIMS, PRELUDE_LEN, Section, SectionKind, crc32,
};
use flashvec::{Codec, Header, Pooling, Provenance, WordPiece};

pub use read::{parts, read_image};
pub use rows::UNLIMITED_TOKENS;
pub use tokenizer::WordPieceTokenizer;
pub use trie::Trie;

use crate::error::{Error, Result};
use crate::model::StaticModel;

/// What an image needs to know beside the model.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// How rows are stored.
    pub codec: Codec,
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
/// hold, [`Error::Model`] for rows it cannot.
pub fn write_image(model: &StaticModel, options: &ImageOptions) -> Result<Vec<u8>> {
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
    let trie = Trie::build(&tokenizer.tokens)?;
    let char_map = charmap_section::write(&charmap::compile(&tokenizer)?)?;
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
    let max_tokens = model
        .max_length
        .map_or(UNLIMITED_TOKENS, |n| {
            u32::try_from(n).unwrap_or(UNLIMITED_TOKENS)
        })
        .clamp(1, UNLIMITED_TOKENS);
    let rows = rows::quantise(model, &trie.order, options.codec, max_tokens)?;

    let parts = [
        (SectionKind::Vocabulary, trie.section),
        (SectionKind::CharMap, char_map),
        (SectionKind::AddedTokens, added_tokens),
        (SectionKind::Rows, rows.bytes),
    ];
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
        sections: parts
            .iter()
            .map(|(kind, bytes)| Section {
                kind: *kind,
                len: bytes.len() as u32,
            })
            .collect(),
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

/// Writes a file whole or not at all: under a temporary name beside it, then renamed.
///
/// # Errors
///
/// [`Error::Io`]; a file that was there stays as it was.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".flashvec-")
        .tempfile_in(folder)
        .map_err(Error::io(path))?;
    std::io::Write::write_all(&mut file, bytes).map_err(Error::io(path))?;
    file.as_file().sync_all().map_err(Error::io(path))?;
    // Temporary files are private; what they become is not.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(0o644);
        file.as_file()
            .set_permissions(permissions)
            .map_err(Error::io(path))?;
    }
    file.persist(path)
        .map(drop)
        .map_err(|error| Error::io(path)(error.error))
}
