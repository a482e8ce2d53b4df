//! What can be wrong with a few-shot classifier's state or a call on it.

use core::fmt;

use super::layout::{MAX_EXAMPLES, MAX_LABEL_LEN};
use crate::error::Error;

/// Why a few-shot classifier's state was refused or a call could not be served. A call that fails leaves the
/// state as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FewShotError {
    /// The text could not be encoded: [`Error::ScratchTooSmall`], see
    /// [`FewShot::scratch_len`](crate::FewShot::scratch_len).
    Encode(Error),
    /// The buffer is too short for a state of one label, or for the state that it begins with.
    BufferTooSmall {
        /// Bytes needed.
        needed: u32,
        /// Bytes given.
        found: u32,
    },
    /// The bytes do not start with the magic of a state.
    NotAState,
    /// The state was written for another version of the format than this crate reads.
    UnsupportedVersion {
        /// Version the state names.
        found: u16,
        /// Version this crate reads.
        supported: u16,
    },
    /// The state was learnt with another model's image.
    OtherModel {
        /// CRC-32 of the image it was learnt with.
        needed: u32,
        /// CRC-32 of this one.
        found: u32,
    },
    /// The checksum over the state does not match: it was not saved, or not all of it was written.
    Checksum {
        /// CRC-32 the state names.
        stored: u32,
        /// CRC-32 of its bytes.
        computed: u32,
    },
    /// The state contradicts itself.
    Damaged,
    /// A label's name is empty, longer than 31 bytes or has a control character.
    BadLabel,
    /// No example of this label was added.
    NoSuchLabel,
    /// The buffer has no room for another label.
    Full,
    /// The label has as many examples as can be counted.
    TooManyExamples,
    /// The text has no token that the model knows, so it points nowhere.
    NoKnownTokens,
    /// The text cannot be one of the label's examples: without it, what is left could not be their sum.
    NotAnExample,
}

impl fmt::Display for FewShotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Encode(error) => error.fmt(f),
            Self::BufferTooSmall { needed, found } => write!(
                f,
                "the state's buffer has {found} bytes, it needs {needed} (see len_for)"
            ),
            Self::NotAState => f.write_str(
                "not a few-shot classifier's state: the first four bytes are not `FVFS`; begin with an empty one",
            ),
            Self::UnsupportedVersion { found, supported } => write!(
                f,
                "the few-shot classifier's state has version {found}, this build reads version {supported}; update flashvec or learn again"
            ),
            Self::OtherModel { needed, found } => write!(
                f,
                "the few-shot classifier learnt with the image of checksum {needed:08x}, this one has {found:08x}; use that image or learn again"
            ),
            Self::Checksum { stored, computed } => write!(
                f,
                "the few-shot classifier's state is corrupted or was not saved: its checksum is {stored:08x}, its bytes give {computed:08x}; use an older copy or learn again"
            ),
            Self::Damaged => f.write_str(
                "the few-shot classifier's state is damaged: it is not consistent; use an older copy or learn again",
            ),
            Self::BadLabel => write!(
                f,
                "a label has 1 to {MAX_LABEL_LEN} bytes and no control characters; give it another name"
            ),
            Self::NoSuchLabel => f.write_str("there is no such label; add an example of it first"),
            Self::Full => f.write_str(
                "the state's buffer has no room for another label; forget one or give a longer buffer (see len_for)",
            ),
            Self::TooManyExamples => write!(
                f,
                "the label has {MAX_EXAMPLES} examples, which is as many as it can have"
            ),
            Self::NoKnownTokens => {
                f.write_str("the text has no token that the model knows; give another example")
            }
            Self::NotAnExample => f.write_str(
                "the text cannot be one of the label's examples; forget one that was added",
            ),
        }
    }
}

impl core::error::Error for FewShotError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Encode(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for FewShotError {
    fn from(error: Error) -> Self {
        Self::Encode(error)
    }
}
