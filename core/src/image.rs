//! The image: prelude, header, section table. `FORMAT.md` is the specification.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::bytes::{u16_at, u32_at};
use crate::error::{Error, Part};

/// First four bytes of every image.
pub const MAGIC: [u8; 4] = *b"FVEC";
/// Version of the format that the distiller writes, the newest that this crate reads.
pub const FORMAT_VERSION: u16 = 3;
/// Oldest version of the format that this crate reads: 1 with the feature `old-formats`.
pub const OLDEST_VERSION: u16 = if cfg!(feature = "old-formats") {
    1
} else {
    FORMAT_VERSION
};
/// Length of the prelude: magic, version, reserved, image length, header length, CRC-32.
pub const PRELUDE_LEN: usize = 20;
/// Offset of the CRC-32 in the prelude; the checksum covers everything after it.
pub const CRC_OFFSET: usize = 16;
/// Most dimensions an image may have.
pub const MAX_DIMS: u16 = 4096;
/// Most tokens an image may have.
pub const MAX_TOKENS: u32 = (1 << 24) - 1;
/// Most characters a word may have before it becomes the unknown token.
pub const MAX_WORD_CHARS: u16 = 1000;
/// Largest magnitude of a value in `f16` and `f32` rows, so that no sum overflows.
pub const MAX_VALUE: f32 = 65504.0;
/// Largest unit of integer rows, so that no vector overflows.
pub const MAX_UNIT: f32 = 1.0;
/// Most bytes that added tokens may take, since each is compared at every place where one may begin.
pub const MAX_ADDED_TOKENS_LEN: usize = 16 * 1024;
/// Most sections an image may have.
pub const MAX_SECTIONS: usize = 8;

/// How a row's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Codec {
    /// 32-bit floats, summed in `f32`.
    F32,
    /// 16-bit floats, summed in `f32`.
    F16,
    /// A 16-bit integer scale, then 8-bit integers; summed in integers.
    Int8,
    /// An 8-bit scale, then 4-bit odd integers -15 to 15; summed in integers.
    Int4,
    /// An 8-bit scale, then 2-bit odd integers -3 to 3; summed in integers.
    Int2,
    /// An 8-bit scale, then codes of a product quantiser; summed in integers.
    Pq(ProductQuantizer),
}

impl Codec {
    /// Bytes a row of `dims` values takes.
    pub const fn row_len(self, dims: usize) -> usize {
        match self {
            Self::F32 => 4 * dims,
            Self::F16 => 2 * dims,
            Self::Int8 => 2 + dims,
            Self::Int4 => 1 + dims.div_ceil(2),
            Self::Int2 => 1 + dims.div_ceil(4),
            Self::Pq(pq) => 1 + (pq.sub_vectors(dims) * pq.code_bits as usize).div_ceil(8),
        }
    }
}

/// Names as on the command line: `f32`, `f16`, `int8`, `int4`, `int2`, `pq4x8` (4-bit codes for
/// sub-vectors of 8 dimensions), `pq8x16s` (the same codebook for all sub-vectors).
impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("f32"),
            Self::F16 => f.write_str("f16"),
            Self::Int8 => f.write_str("int8"),
            Self::Int4 => f.write_str("int4"),
            Self::Int2 => f.write_str("int2"),
            Self::Pq(pq) => {
                let shared = if pq.shared { "s" } else { "" };
                write!(f, "pq{}x{}{shared}", pq.code_bits, pq.sub_dims)
            }
        }
    }
}

/// A product quantiser: a row is cut into sub-vectors, and each is the entry of a codebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ProductQuantizer {
    /// Bits of a code, 4 or 8: a codebook has 16 or 256 entries.
    pub code_bits: u8,
    /// Dimensions of a sub-vector, 2 to 32; divides those of a row.
    pub sub_dims: u8,
    /// Whether all sub-vectors use the same codebook; otherwise each has its own.
    pub shared: bool,
}

impl ProductQuantizer {
    /// Sub-vectors that a row of `dims` values is cut into.
    pub const fn sub_vectors(self, dims: usize) -> usize {
        match dims.checked_div(self.sub_dims as usize) {
            Some(count) => count,
            None => 0,
        }
    }

    /// Bytes of a codebook: its entries one after the other, an `i8` a dimension. 0 for codes of
    /// other than 4 or 8 bits.
    pub const fn codebook_len(self) -> usize {
        let entries = match self.code_bits {
            4 => 16,
            8 => 256,
            _ => 0,
        };
        entries * self.sub_dims as usize
    }

    /// The code of the sub-vector `at` in a row's codes; 0 behind their end.
    #[inline(always)]
    pub(crate) fn code(self, codes: &[u8], at: usize) -> usize {
        usize::from(if self.code_bits == 4 {
            let pair = codes.get(at / 2).copied().unwrap_or(0);
            pair >> (at % 2 * 4) & 15
        } else {
            codes.get(at).copied().unwrap_or(0)
        })
    }

    /// Codebooks for rows of `dims` values.
    pub const fn codebooks(self, dims: usize) -> usize {
        if self.shared {
            1
        } else {
            self.sub_vectors(dims)
        }
    }

    /// Whether rows of `dims` values can be stored so.
    pub const fn fits(self, dims: usize) -> bool {
        matches!(self.code_bits, 4 | 8)
            && matches!(self.sub_dims, 2..=32)
            && dims.is_multiple_of(self.sub_dims as usize)
    }
}

/// The WordPiece tokeniser's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WordPiece<'a> {
    /// What a piece inside a word starts with in the vocabulary, `##` in BERT's.
    pub continuing_subword_prefix: &'a str,
    /// Id of the unknown token.
    pub unk: u32,
    /// A word of more characters (after normalising) is one unknown token.
    pub max_input_chars_per_word: u16,
}

/// How token rows become an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pooling {
    /// Whether embeddings have unit length.
    pub normalize: bool,
    /// Tokens of a text that count, unknown ones included; the rest is ignored.
    pub max_tokens: u32,
    /// Unicode scalar values of a text that count; the rest is ignored.
    pub max_chars: u32,
    /// What an integer row's value of 1 at scale 1 stands for, at most 1.0; 1.0 for float rows.
    pub unit: f32,
}

/// Where a model came from. Every field may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Provenance<'a> {
    /// The teacher, as named when the model was made.
    pub teacher: &'a str,
    /// SHA-256 of the teacher's weights, in hex.
    pub teacher_sha256: &'a str,
    /// The teacher's licence.
    pub licence: &'a str,
    /// The command that made the image.
    pub command: &'a str,
    /// The tool that made it and its version.
    pub tool: &'a str,
    /// The stages that the character map was compiled from: `normalizer` and `pre_tokenizer` of
    /// `tokenizer.json`, as JSON.
    pub stages: &'a str,
}

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SectionKind {
    /// The vocabulary trie.
    Vocabulary,
    /// The character map.
    CharMap,
    /// Tokens that are looked for in the raw text.
    AddedTokens,
    /// The rows, in trie order.
    Rows,
    /// The codebooks of a product quantiser.
    Codebooks,
}

impl SectionKind {
    /// The section's name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vocabulary => "vocabulary trie",
            Self::CharMap => "character map",
            Self::AddedTokens => "added tokens",
            Self::Rows => "rows",
            Self::Codebooks => "codebooks",
        }
    }

    const fn part(self) -> Part {
        match self {
            Self::Vocabulary => Part::Vocabulary,
            Self::CharMap => Part::CharMap,
            Self::AddedTokens => Part::AddedTokens,
            Self::Rows => Part::Rows,
            Self::Codebooks => Part::Codebooks,
        }
    }
}

/// One entry of the section table. Sections follow the header without gaps, in table order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Section {
    /// What it holds.
    pub kind: SectionKind,
    /// Its length in bytes.
    pub len: u32,
}

/// The postcard header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header<'a> {
    /// Components of an embedding.
    pub dims: u16,
    /// Tokens in the vocabulary; ids run from 0 to this, exclusive.
    pub token_count: u32,
    /// How rows are stored.
    pub codec: Codec,
    /// Tokeniser settings.
    #[serde(borrow)]
    pub tokenizer: WordPiece<'a>,
    /// Pooling settings.
    pub pooling: Pooling,
    /// Where the model came from.
    #[serde(borrow)]
    pub provenance: Provenance<'a>,
    /// The section table.
    pub sections: Sections,
}

/// The section table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sections(Vec<Section, MAX_SECTIONS>);

impl Sections {
    /// A table of these sections; `None` if there are more than [`MAX_SECTIONS`].
    pub fn new(sections: &[Section]) -> Option<Self> {
        Vec::from_slice(sections).ok().map(Self)
    }

    /// The sections, in the order of the image.
    pub fn as_slice(&self) -> &[Section] {
        &self.0
    }
}

/// An image cut into its parts, before the parts have been looked into.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Version of the format.
    pub version: u16,
    /// The header.
    pub header: Header<'a>,
    /// Length of the postcard header in bytes.
    pub header_len: usize,
    /// The CRC-32 that the prelude names.
    pub crc: u32,
    sections: &'a [u8],
}

impl<'a> Image<'a> {
    /// Parses prelude, checksum, header and section table.
    ///
    /// Bytes after the image's own length are ignored, so an image may lie in a larger partition.
    ///
    /// # Errors
    ///
    /// In this order, so that each message names the first thing that is wrong:
    /// [`Error::NotAnImage`], [`Error::UnsupportedVersion`] (before anything whose place a version
    /// may change), [`Error::Truncated`], [`Error::Checksum`], [`Error::Damaged`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::NotAnImage);
        }
        let found = saturate(bytes.len());
        let truncated = |needed| Error::Truncated { needed, found };
        if bytes.len() < PRELUDE_LEN {
            return Err(truncated(PRELUDE_LEN as u32));
        }
        let version = u16_at(bytes, 4);
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
            return Err(Error::UnsupportedVersion {
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        let image_len = u32_at(bytes, 8);
        let body = usize::try_from(image_len)
            .ok()
            .and_then(|len| bytes.get(PRELUDE_LEN..len))
            .ok_or(if image_len > found {
                truncated(image_len)
            } else {
                Error::Damaged(Part::Header)
            })?;
        let stored = u32_at(bytes, CRC_OFFSET);
        let computed = crc32(body);
        // A fuzzer cannot guess a checksum; without this it would never get past the door.
        if stored != computed && !cfg!(fuzzing) {
            return Err(Error::Checksum { stored, computed });
        }
        let header_len = usize::try_from(u32_at(bytes, 12)).unwrap_or(usize::MAX);
        let (head, sections) = body
            .split_at_checked(header_len)
            .ok_or(Error::Damaged(Part::Header))?;
        let (header, rest) = postcard::take_from_bytes::<Header<'a>>(head)
            .map_err(|_| Error::Damaged(Part::Header))?;
        if !rest.is_empty() {
            return Err(Error::Damaged(Part::Header));
        }
        let image = Self {
            version,
            header,
            header_len,
            crc: stored,
            sections,
        };
        image.check_header()?;
        Ok(image)
    }

    fn check_header(&self) -> Result<(), Error> {
        let header = &self.header;
        let sound = (1..=MAX_DIMS).contains(&header.dims)
            && (1..=MAX_TOKENS).contains(&header.token_count)
            && header.tokenizer.unk < header.token_count
            && (1..=MAX_WORD_CHARS).contains(&header.tokenizer.max_input_chars_per_word)
            && header.pooling.unit > 0.0
            && header.pooling.unit <= MAX_UNIT
            && match header.codec {
                Codec::Pq(pq) => pq.fits(usize::from(header.dims)),
                _ => true,
            };
        if !sound {
            return Err(Error::Damaged(Part::Header));
        }
        let mut total = 0_u64;
        let mut kinds = 0_u32;
        for section in header.sections.as_slice() {
            total += u64::from(section.len);
            kinds |= 1 << section.kind as u32;
        }
        let each_once = kinds.count_ones() as usize == header.sections.as_slice().len();
        if each_once && total == self.sections.len() as u64 {
            Ok(())
        } else {
            Err(Error::Damaged(Part::Sections))
        }
    }

    /// The bytes of the section of a kind.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if the table does not name one.
    pub fn section(&self, kind: SectionKind) -> Result<&'a [u8], Error> {
        let mut rest = self.sections;
        for section in self.header.sections.as_slice() {
            let (bytes, after) = rest
                .split_at_checked(section.len as usize)
                .ok_or(Error::Damaged(Part::Sections))?;
            if section.kind == kind {
                return Ok(bytes);
            }
            rest = after;
        }
        Err(Error::Damaged(kind.part()))
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Image<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Image({}, {} bytes of sections)",
            self.header,
            self.sections.len()
        );
    }
}

pub(crate) fn saturate(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// CRC-32 as in IEEE 802.3 (reflected, polynomial 0xEDB88320); with the feature `std`, as fast as the
/// machine can.
pub fn crc32(bytes: &[u8]) -> u32 {
    #[cfg(feature = "std")]
    return crc32fast::hash(bytes);
    #[cfg(not(feature = "std"))]
    crc32_by_nibbles(bytes)
}

/// Four bits a step: the table is 64 bytes of flash instead of the usual kilobyte.
#[cfg(any(test, not(feature = "std")))]
fn crc32_by_nibbles(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = nibble_table();
    let step = |crc: u32| (crc >> 4) ^ TABLE.get((crc & 15) as usize).copied().unwrap_or(0);
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc = step(step(crc ^ u32::from(byte)));
    }
    !crc
}

#[cfg(any(test, not(feature = "std")))]
#[allow(clippy::indexing_slicing)] // evaluated by the compiler
const fn nibble_table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut i = 0;
    while i < 16 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 4 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
        let bytes: [u8; 1000] = core::array::from_fn(|at| (at * at) as u8);
        assert_eq!(crc32_by_nibbles(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32_by_nibbles(&bytes), crc32(&bytes));
    }
}
