//! Where the bytes of an image go.

use flashvec::image::{Image, PRELUDE_LEN, SectionKind};
use flashvec::ngrams_layout::{GROUP, GROUP_LEN, HEAD_LEN, MAX_BUCKET_BITS};
use flashvec::{Codec, Error, charmap_layout, vocabulary_layout};

/// All that an image consists of, in bytes, in the order of the file.
///
/// # Errors
/// [`Error::Damaged`] if a section is missing.
pub fn parts(image: &Image<'_>) -> Result<Vec<(&'static str, usize)>, Error> {
    let vocabulary = image.section(SectionKind::Vocabulary)?;
    let coded = vocabulary
        .iter()
        .take(vocabulary_layout::CODES_LEN)
        .filter(|&&code| code != vocabulary_layout::NO_CODE)
        .count();
    let head = match image.version {
        1 => 4,
        2 => 4 + 256,
        _ => vocabulary_layout::CODES_LEN + 2 * vocabulary_layout::START_LEN * coded,
    };
    let char_map = image.section(SectionKind::CharMap)?;
    // Five counts follow the 128 bytes for ASCII; their units are 4, 1, 4, 2 and 1 bytes.
    let counted = |index: usize, unit: usize| unit * number(char_map, 128 + 2 * index, 2);
    let rows = image.section(SectionKind::Rows)?.len();
    let ngrams = image.find(SectionKind::NGrams);
    let scaled =
        image.header.token_count as usize + ngrams.map_or(0, |ngrams| number(ngrams, 4, 4));
    let scales = match image.header.codec {
        Codec::F32 | Codec::F16 => 0,
        Codec::Int8 => 2 * scaled,
        _ => scaled,
    };
    let mut parts = vec![
        ("prelude", PRELUDE_LEN),
        ("header", image.header_len),
        ("trie: head", head.min(vocabulary.len())),
        ("trie: nodes", vocabulary.len().saturating_sub(head)),
        ("character map: ASCII", charmap_layout::HEAD_LEN),
        ("character map: pages", counted(0, 4)),
        ("character map: runs", counted(1, 1)),
        ("character map: records", counted(2, 4)),
        ("character map: tables", counted(3, 2)),
        ("character map: texts", counted(4, 1)),
        (
            "added tokens",
            image.section(SectionKind::AddedTokens)?.len(),
        ),
        ("rows: scales", scales),
        ("rows: values", rows - scales.min(rows)),
    ];
    if let Codec::Pq(_) = image.header.codec {
        parts.push(("codebooks", image.section(SectionKind::Codebooks)?.len()));
    }
    if let Some(ngrams) = ngrams {
        let buckets = 1_usize << ngrams.get(2).map_or(0, |&bits| bits.min(MAX_BUCKET_BITS));
        let head = HEAD_LEN + buckets.div_ceil(GROUP) * GROUP_LEN;
        parts.push(("n-grams: buckets", head.min(ngrams.len())));
        parts.push(("n-grams: fingerprints", ngrams.len().saturating_sub(head)));
    }
    if let Some(head) = image.find(SectionKind::Head) {
        parts.push(("head", head.len()));
    }
    Ok(parts)
}

/// A little-endian number of `len` bytes; 0 past the end.
fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    let bytes = bytes.get(at..at + len).unwrap_or(&[]);
    bytes
        .iter()
        .rev()
        .fold(0, |n, &byte| n << 8 | usize::from(byte))
}
