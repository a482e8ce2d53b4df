//! What can be wrong with an image or a call.

use core::fmt;

use crate::image::CLASSIFIER_VERSION;

/// The part of an image that an [`Error::Damaged`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Part {
    /// The postcard header.
    Header,
    /// The table of sections.
    Sections,
    /// The vocabulary trie.
    Vocabulary,
    /// The character map.
    CharMap,
    /// The added tokens.
    AddedTokens,
    /// The rows.
    Rows,
    /// The codebooks of a product quantiser.
    Codebooks,
    /// The n-grams that have rows.
    NGrams,
    /// The head of a classifier.
    Head,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Sections => "section table",
            Self::Vocabulary => "vocabulary trie",
            Self::CharMap => "character map",
            Self::AddedTokens => "added tokens",
            Self::Rows => "rows",
            Self::Codebooks => "codebooks",
            Self::NGrams => "n-grams",
            Self::Head => "head",
        }
    }
}

/// Why an image or a head was refused or a call could not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// Fewer bytes than the image, or the head file, says it has.
    Truncated {
        /// Bytes it needs.
        needed: u32,
        /// Bytes there are.
        found: u32,
    },
    /// The bytes do not start with flashvec's magic.
    NotAnImage,
    /// The image was written for another version of the format than this crate reads.
    UnsupportedVersion {
        /// Version the image names.
        found: u16,
        /// Version this crate reads.
        supported: u16,
    },
    /// The checksum over the image, or the head file, does not match: some byte changed since it was written.
    Checksum {
        /// CRC-32 it names.
        stored: u32,
        /// CRC-32 of its bytes.
        computed: u32,
    },
    /// A part of the image contradicts itself or another part.
    Damaged(Part),
    /// The scratch slice is shorter than [`Model::scratch_len`](crate::Model::scratch_len).
    ScratchTooSmall {
        /// Words needed.
        needed: u32,
        /// Words given.
        found: u32,
    },
    /// The output slice is shorter than [`Model::dims`](crate::Model::dims).
    OutputTooSmall {
        /// Components needed.
        needed: u32,
        /// Components given.
        found: u32,
    },
    /// The image has no head: it is no classifier's.
    NoHead,
    /// The bytes do not start with the magic of a head file.
    NotAHead,
    /// The head file was written for another version of the format than this crate reads.
    UnsupportedHeadVersion {
        /// Version the file names.
        found: u16,
        /// Version this crate reads.
        supported: u16,
    },
    /// The head was made for another image.
    OtherBase {
        /// CRC-32 of the image it was made for.
        needed: u32,
        /// CRC-32 of this one.
        found: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, found } => write!(
                f,
                "the file is truncated: it needs {needed} bytes, there are {found}; copy the whole file"
            ),
            Self::NotAnImage => f.write_str(
                "not a flashvec image: the first four bytes are not `FVEC`; make one with `flashvec distill` or `flashvec convert`",
            ),
            Self::UnsupportedVersion { found, supported } => write!(
                f,
                "the image has format version {found}, this build reads versions up to {supported}; {}",
                if found > CLASSIFIER_VERSION {
                    "update flashvec or make the image again"
                } else if found > supported {
                    "turn on flashvec's feature `classify`"
                } else {
                    "make the image again, or turn on flashvec's feature `old-formats`"
                }
            ),
            Self::Checksum { stored, computed } => write!(
                f,
                "the file is corrupted: its checksum is {stored:08x}, its bytes give {computed:08x}; copy or make it again"
            ),
            Self::Damaged(part) => {
                write!(f, "the file is damaged: its {} is not consistent; make it again", part.name())
            }
            Self::ScratchTooSmall { needed, found } => {
                write!(f, "the scratch slice has {found} words, the model needs {needed} (see scratch_len)")
            }
            Self::OutputTooSmall { needed, found } => {
                write!(f, "the output slice has {found} components, the model needs {needed} (see dims)")
            }
            Self::NoHead => f.write_str(
                "the image is no classifier's: it has no head; make one with `flashvec train`",
            ),
            Self::NotAHead => f.write_str(
                "not a flashvec head file: the first four bytes are not `FVHD`",
            ),
            Self::UnsupportedHeadVersion { found, supported } => write!(
                f,
                "the head file has version {found}, this build reads version {supported}; update flashvec or make the head again"
            ),
            Self::OtherBase { needed, found } => write!(
                f,
                "the head was made for the image with checksum {needed:08x}, this one has {found:08x}; use them as they were made together"
            ),
        }
    }
}

impl core::error::Error for Error {}
