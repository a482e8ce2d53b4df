//! The head of a classifier: what its labels are called, and the layers that score them.

use crate::bytes::{u16_at, u32_at};
use crate::error::{Error, Part};
use crate::image::{Codec, crc32, saturate};
use crate::model::Model;

/// Layout of the section and of head files, shared with the writer.
pub mod layout {
    use serde::{Deserialize, Serialize};

    use super::Task;

    /// First four bytes of every head file.
    pub const MAGIC: [u8; 4] = *b"FVHD";
    /// Version of head files.
    pub const VERSION: u16 = 1;
    /// Length of a head file's prelude: magic, version, reserved, length, CRC-32 of the base image, CRC-32 of what
    /// follows.
    pub const PRELUDE_LEN: usize = 20;
    /// Most labels.
    pub const MAX_LABELS: u16 = 4096;
    /// Most outputs of a hidden layer.
    pub const MAX_HIDDEN: u16 = 1024;
    /// Largest magnitude of a scale and of a bias.
    pub const MAX_PARAMETER: f32 = 1e6;
    /// The integers that a hidden layer's outputs become go up to this.
    pub const HIDDEN_MAX: f32 = 16383.0;

    /// What the section begins with, as postcard.
    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    #[cfg_attr(feature = "defmt", derive(defmt::Format))]
    pub struct HeadHeader {
        /// What the scores are.
        pub task: Task,
        /// Number of labels.
        pub labels: u16,
        /// Inputs of the first layer, the embedding's dimensions.
        pub inputs: u16,
        /// Outputs of the hidden layer; 0 if there is none.
        pub hidden: u16,
        /// Texts with a lower scope score have none of the labels.
        pub out_of_scope: Option<f32>,
    }
}

use layout::{HeadHeader, MAX_HIDDEN, MAX_LABELS, MAX_PARAMETER};

/// What the scores of a head are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Task {
    /// A text has one of the labels: probabilities that add up to 1.
    Softmax,
    /// A text has any number of labels: a probability each.
    Sigmoid,
    /// Numbers that a text is given: values of any size.
    Regression,
}

/// The head of a classifier, that of an image ([`Model::head`]) or of a file of its own beside an image that
/// several heads share ([`Head::from_bytes`]).
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    header: HeadHeader,
    /// Each name behind its length.
    labels: &'a [u8],
    pub(crate) hidden: Option<Layer<'a>>,
    pub(crate) last: Layer<'a>,
    /// CRC-32 of the image it was made for.
    pub(crate) base: u32,
}

impl<'a> Head<'a> {
    /// Reads a head file in place: parse, then prove.
    ///
    /// Bytes after the file's own length are ignored. Takes time linear in the file.
    ///
    /// # Errors
    ///
    /// In this order: [`Error::NotAHead`], [`Error::UnsupportedHeadVersion`], [`Error::Truncated`],
    /// [`Error::Checksum`], [`Error::OtherBase`] if it was made for another image than `base`,
    /// [`Error::Damaged`]. Never panics, whatever the bytes are.
    pub fn from_bytes(bytes: &'a [u8], base: &Model<'_>) -> Result<Self, Error> {
        if !bytes.starts_with(&layout::MAGIC) {
            return Err(Error::NotAHead);
        }
        let found = saturate(bytes.len());
        let truncated = |needed| Error::Truncated { needed, found };
        if bytes.len() < layout::PRELUDE_LEN {
            return Err(truncated(layout::PRELUDE_LEN as u32));
        }
        let version = u16_at(bytes, 4);
        if version != layout::VERSION {
            return Err(Error::UnsupportedHeadVersion {
                found: version,
                supported: layout::VERSION,
            });
        }
        let len = u32_at(bytes, 8);
        let body = usize::try_from(len)
            .ok()
            .and_then(|len| bytes.get(layout::PRELUDE_LEN..len))
            .ok_or(if len > found {
                truncated(len)
            } else {
                Error::Damaged(Part::Head)
            })?;
        let stored = u32_at(bytes, 16);
        let computed = crc32(body);
        // As for images: a fuzzer cannot guess a checksum.
        if stored != computed && !cfg!(fuzzing) {
            return Err(Error::Checksum { stored, computed });
        }
        let of = u32_at(bytes, 12);
        if of != base.crc {
            return Err(Error::OtherBase {
                needed: of,
                found: base.crc,
            });
        }
        Self::new(body, base.header().codec, base.dims(), of)
    }

    /// Checks a section: header, names, layers, exact length. `base` is the CRC-32 of the image.
    pub(crate) fn new(
        section: &'a [u8],
        codec: Codec,
        dims: usize,
        base: u32,
    ) -> Result<Self, Error> {
        if matches!(codec, Codec::F32 | Codec::F16) {
            return Err(Error::Damaged(Part::Head));
        }
        Self::read(section, dims, base).ok_or(Error::Damaged(Part::Head))
    }

    fn read(section: &'a [u8], dims: usize, base: u32) -> Option<Self> {
        let (header, names) = postcard::take_from_bytes::<HeadHeader>(section).ok()?;
        let sound = (1..=MAX_LABELS).contains(&header.labels)
            && usize::from(header.inputs) == dims
            && header.hidden <= MAX_HIDDEN
            && header
                .out_of_scope
                .is_none_or(|least| header.task == Task::Softmax && least.abs() <= f32::MAX);
        if !sound {
            return None;
        }
        let mut rest = names;
        for _ in 0..header.labels {
            let (name, after) = split_label(rest)?;
            if name.is_empty() || has_control(name) || core::str::from_utf8(name).is_err() {
                return None;
            }
            rest = after;
        }
        let labels = names.get(..names.len() - rest.len())?;
        let mut inputs = dims;
        let mut hidden = None;
        if header.hidden > 0 {
            let outputs = usize::from(header.hidden);
            let (layer, after) = Layer::split(rest, inputs, outputs)?;
            (hidden, rest, inputs) = (Some(layer), after, outputs);
        }
        let (last, rest) = Layer::split(rest, inputs, usize::from(header.labels))?;
        rest.is_empty().then_some(Self {
            header,
            labels,
            hidden,
            last,
            base,
        })
    }

    /// What the scores are.
    pub const fn task(&self) -> Task {
        self.header.task
    }

    /// Number of labels; their numbers run from 0 to this, exclusive.
    pub const fn label_count(&self) -> usize {
        self.header.labels as usize
    }

    /// The name of a label: not empty, without control characters. `None` if there is no such label. Takes time
    /// linear in `index`.
    pub fn label(&self, index: usize) -> Option<&'a str> {
        let mut rest = self.labels;
        for _ in 0..index.min(self.label_count()) {
            rest = split_label(rest)?.1;
        }
        core::str::from_utf8(split_label(rest)?.0).ok()
    }

    /// The scope score below which a text has none of the labels; `None` if every text has one.
    pub const fn out_of_scope(&self) -> Option<f32> {
        self.header.out_of_scope
    }

    /// Outputs of the hidden layer; 0 if there is none.
    pub const fn hidden(&self) -> usize {
        self.header.hidden as usize
    }

    /// `u32` words of scratch that [`classify`](Self::classify) needs: one a dimension; and two a character of
    /// the longest word or one a label and one an output of the hidden layer, whichever is more.
    pub const fn scratch_len(&self, base: &Model<'_>) -> usize {
        self.scratch_beside(base.tokenizer_scratch_len()) + base.dims()
    }

    /// Words of scratch beside the sums, if the tokeniser needs so many.
    pub(crate) const fn scratch_beside(&self, tokenizer: usize) -> usize {
        let layers = self.hidden() + self.label_count();
        if layers > tokenizer {
            layers
        } else {
            tokenizer
        }
    }
}

/// The name that a list of names begins with, and the rest.
fn split_label(labels: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = labels.split_first()?;
    rest.split_at_checked(usize::from(len))
}

/// Whether a text in UTF-8 has a control character: U+0000 to U+001F, U+007F to U+009F.
fn has_control(text: &[u8]) -> bool {
    let mut before = 0;
    text.iter().any(|&byte| {
        let second = before == 0xC2 && byte < 0xA0;
        before = byte;
        byte < 0x20 || byte == 0x7F || second
    })
}

/// A layer: a weight for each input, a scale and a bias for every output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer<'a> {
    /// 32-bit floats.
    pub(crate) scales: &'a [[u8; 4]],
    /// 32-bit floats.
    pub(crate) biases: &'a [[u8; 4]],
    /// 8-bit integers, output by output.
    pub(crate) weights: &'a [u8],
    pub(crate) inputs: usize,
}

impl<'a> Layer<'a> {
    /// Takes a layer from the begin of `bytes`; the rest.
    fn split(bytes: &'a [u8], inputs: usize, outputs: usize) -> Option<(Self, &'a [u8])> {
        let (scales, rest) = bytes.split_at_checked(4 * outputs)?;
        let (biases, rest) = rest.split_at_checked(4 * outputs)?;
        let (weights, rest) = rest.split_at_checked(inputs * outputs)?;
        let (scales, biases) = (scales.as_chunks().0, biases.as_chunks().0);
        // Comparing bits: of what is not negative, NaN has the largest.
        let sound = scales
            .iter()
            .all(|&scale| u32::from_le_bytes(scale) <= MAX_PARAMETER.to_bits())
            && biases
                .iter()
                .all(|&bias| u32::from_le_bytes(bias) & 0x7FFF_FFFF <= MAX_PARAMETER.to_bits());
        let layer = Self {
            scales,
            biases,
            weights,
            inputs,
        };
        sound.then_some((layer, rest))
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Head<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Head({})", self.header);
    }
}
