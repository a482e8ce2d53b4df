//! Learning on the device: a text has the label whose examples' mean its embedding is nearest to.
//!
//! Nearest class mean (Mensink et al., 2013; prototypical networks, Snell et al., 2017) over centred embeddings. Only
//! sums are kept, in integers: an example more or less is exact, and the bits are the same on every target.

mod direction;
mod error;
pub mod layout;
mod matches;

use direction::direction;
pub use error::FewShotError;
use layout::{MAX_EXAMPLES, Name, PRELUDE_LEN, State};
pub use matches::{DEFAULT_THRESHOLD, Match, Matches};
use matches::{NOTHING, Products};

use crate::error::Error;
use crate::image::saturate;
use crate::model::Model;

/// A text classifier that learns from a few examples a label, where it runs.
///
/// What it learns lies in the caller's buffer, which is also what to save: `FORMAT.md` specifies the bytes. A label is there
/// from its first example until its last is forgotten.
///
/// ```no_run
/// # static IMAGE: &[u8] = &[];
/// # fn main() -> Result<(), flashvec::FewShotError> {
/// let model = flashvec::Model::from_bytes(IMAGE)?;
/// let mut buffer = [0; 8 * 1024]; // 7 labels of 256 dimensions: see `FewShot::len_for`
/// let mut few_shot = flashvec::FewShot::new(&model, &mut buffer)?;
/// let mut scratch = [0; 544]; // at least `few_shot.scratch_len()` words
/// few_shot.add_example("light", "turn on the light", &mut scratch)?;
/// few_shot.add_example("music", "play something by Bach", &mut scratch)?;
/// let found = few_shot.classify("switch on the lamp", &mut scratch)?.best();
/// let label = found.and_then(|found| few_shot.label(found.label)); // None: none of these
/// # let _ = label;
/// let saved = few_shot.save(); // write it to flash, and `FewShot::restore` it after a reset
/// # let _ = saved;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FewShot<'m, 'b> {
    model: &'m Model<'m>,
    state: State<'b>,
}

/// A label and how many examples it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Label<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number, which it keeps as long as it is there.
    pub label: usize,
    /// Its examples, at least 1.
    pub examples: u32,
}

impl<'m, 'b> FewShot<'m, 'b> {
    /// Bytes of a buffer for so many labels, 1,024 at most: 20, and 36 + 4 × dimensions a label.
    pub const fn len_for(model: &Model<'_>, labels: usize) -> usize {
        let labels = if labels < layout::MAX_LABELS {
            labels
        } else {
            layout::MAX_LABELS
        };
        PRELUDE_LEN + labels * layout::slot_len(model.dims())
    }

    /// A classifier without labels, with room for as many as fit the buffer. What the buffer held is lost.
    ///
    /// # Errors
    ///
    /// [`FewShotError::BufferTooSmall`] if not even one fits. Never panics.
    pub fn new(model: &'m Model<'m>, buffer: &'b mut [u8]) -> Result<Self, FewShotError> {
        let state = State::new(buffer, model.header().dims, model.crc)?;
        Ok(Self { model, state })
    }

    /// The classifier that was [saved](Self::save) in a buffer, which may be longer. It must have learnt with this
    /// model's image.
    ///
    /// Takes time linear in the buffer, and in the square of the labels.
    ///
    /// # Errors
    ///
    /// One that names the first thing that is wrong, [`FewShotError::Checksum`] where a write was cut short; the buffer
    /// is left alone. Never panics, whatever the bytes are.
    pub fn restore(model: &'m Model<'m>, buffer: &'b mut [u8]) -> Result<Self, FewShotError> {
        let state = State::restore(buffer, model.header().dims, model.crc)?;
        Ok(Self { model, state })
    }

    /// The bytes to save, for [`restore`](Self::restore). Brings their checksum up to date, without which they would be
    /// refused.
    ///
    /// A write that is cut short leaves bytes that are refused: write to two places in turn, and the older one
    /// is left. Never panics.
    pub fn save(&mut self) -> &[u8] {
        self.state.seal();
        self.state.bytes()
    }

    /// `u32` words of scratch that every call needs: two a dimension and two a label there is room for, or the model's
    /// [`scratch_len`](Model::scratch_len) if that is more.
    pub fn scratch_len(&self) -> usize {
        let own = 2 * (self.model.dims() + self.capacity());
        own.max(self.model.scratch_len())
    }

    /// Labels there is room for.
    pub fn capacity(&self) -> usize {
        self.state.capacity()
    }

    /// All labels, in the order of their numbers.
    pub fn labels(&self) -> impl Iterator<Item = Label<'_>> {
        let slots = self.state.slots().enumerate();
        slots
            .filter(|(_, slot)| slot.examples > 0)
            .map(|(label, slot)| Label {
                name: slot.label(),
                label,
                examples: slot.examples,
            })
    }

    /// The name of the label of a number, from 0 to [`capacity`](Self::capacity), exclusive; `None` if there is none.
    pub fn label(&self, label: usize) -> Option<&str> {
        let slot = self.state.slot(label)?;
        (slot.examples > 0).then(|| slot.label())
    }

    /// Adds a text to a label's examples; the first one adds the label. Texts may be UTF-8 or not, as for
    /// [`Model::encode_bytes`].
    ///
    /// # Errors
    ///
    /// [`FewShotError::BadLabel`], [`FewShotError::Full`], [`FewShotError::TooManyExamples`] (a label has up to 16,384);
    /// [`FewShotError::Encode`], [`FewShotError::NoKnownTokens`]. Never panics.
    pub fn add_example(
        &mut self,
        label: &str,
        text: impl AsRef<[u8]>,
        scratch: &mut [u32],
    ) -> Result<(), FewShotError> {
        self.add(label, text.as_ref(), scratch)
    }

    fn add(&mut self, label: &str, text: &[u8], scratch: &mut [u32]) -> Result<(), FewShotError> {
        let name = layout::name(label).ok_or(FewShotError::BadLabel)?;
        let free = || self.state.slots().position(|slot| slot.examples == 0);
        let at = self
            .state
            .find(&name)
            .or_else(free)
            .ok_or(FewShotError::Full)?;
        let examples = self.examples(at);
        if examples >= MAX_EXAMPLES {
            return Err(FewShotError::TooManyExamples);
        }
        let (text, _) = self.embed(text, scratch)?;
        let text = text.ok_or(FewShotError::NoKnownTokens)?;
        let directions = text.iter().map(|&x| x as i32);
        self.state.write(at, &name, examples + 1, directions);
        Ok(())
    }

    /// Takes a text from a label's examples: the exact inverse of [`add_example`](Self::add_example) with the same text.
    /// The last one takes the label with it.
    ///
    /// Texts are not kept. One that was never added is refused only where that shows: if the label has one example,
    /// or if the others would have to be longer than embeddings are.
    ///
    /// # Errors
    ///
    /// [`FewShotError::BadLabel`], [`FewShotError::NoSuchLabel`], [`FewShotError::NotAnExample`];
    /// [`FewShotError::Encode`], [`FewShotError::NoKnownTokens`]. Never panics.
    pub fn forget_example(
        &mut self,
        label: &str,
        text: impl AsRef<[u8]>,
        scratch: &mut [u32],
    ) -> Result<(), FewShotError> {
        self.forget(label, text.as_ref(), scratch)
    }

    fn forget(
        &mut self,
        label: &str,
        text: &[u8],
        scratch: &mut [u32],
    ) -> Result<(), FewShotError> {
        let (at, name) = self.find(label)?;
        let (text, _) = self.embed(text, scratch)?;
        let text = text.ok_or(FewShotError::NoKnownTokens)?;
        let examples = self.examples(at).saturating_sub(1);
        let less = || text.iter().map(|&x| (x as i32).wrapping_neg());
        let slot = self.state.slot(at).ok_or(FewShotError::NoSuchLabel)?;
        let left = slot.sums().zip(less()).map(|(sum, x)| sum.wrapping_add(x));
        if !layout::fits(left, examples) {
            return Err(FewShotError::NotAnExample);
        }
        if examples == 0 {
            self.state.clear(at);
        } else {
            self.state.write(at, &name, examples, less());
        }
        Ok(())
    }

    /// Takes a label and all its examples away.
    ///
    /// # Errors
    ///
    /// [`FewShotError::BadLabel`], [`FewShotError::NoSuchLabel`]. Never panics.
    pub fn forget_label(&mut self, label: &str) -> Result<(), FewShotError> {
        let (at, _) = self.find(label)?;
        self.state.clear(at);
        Ok(())
    }

    /// How well a text matches each label.
    ///
    /// Takes time linear in the text, and in labels × dimensions.
    ///
    /// # Errors
    ///
    /// [`FewShotError::Encode`]. Never panics.
    pub fn classify<'s>(
        &self,
        text: impl AsRef<[u8]>,
        scratch: &'s mut [u32],
    ) -> Result<Matches<'s>, FewShotError> {
        self.matches(text.as_ref(), scratch)
    }

    fn matches<'s>(
        &self,
        text: &[u8],
        scratch: &'s mut [u32],
    ) -> Result<Matches<'s>, FewShotError> {
        let (text, rest) = self.embed(text, scratch)?;
        let (mean, rest) = rest
            .split_at_mut_checked(self.model.dims())
            .unwrap_or_default();
        let matches = rest.as_chunks_mut().0;
        let matches = matches.get_mut(..self.capacity()).unwrap_or_default();
        matches.fill(NOTHING);
        if let Some(text) = text {
            matches::mean_of_means(&self.state, mean);
            let products = Products::new(text, mean);
            for (found, slot) in matches.iter_mut().zip(self.state.slots()) {
                if slot.examples > 0 {
                    *found = matches::score(&slot, text, mean, &products);
                }
            }
        }
        Ok(Matches::new(matches))
    }

    fn find(&self, label: &str) -> Result<(usize, Name), FewShotError> {
        let name = layout::name(label).ok_or(FewShotError::BadLabel)?;
        let at = self.state.find(&name).ok_or(FewShotError::NoSuchLabel)?;
        Ok((at, name))
    }

    fn examples(&self, at: usize) -> u32 {
        self.state.slot(at).map_or(0, |slot| slot.examples)
    }

    /// A text's direction, `None` if it has none, and the rest of the scratch.
    fn embed<'s>(
        &self,
        text: &[u8],
        scratch: &'s mut [u32],
    ) -> Result<(Option<&'s [u32]>, &'s mut [u32]), FewShotError> {
        let needed = self.scratch_len();
        let too_small = Error::ScratchTooSmall {
            needed: saturate(needed),
            found: saturate(scratch.len()),
        };
        let scratch = scratch.get_mut(..needed).ok_or(too_small)?;
        // The embedding is at the beginning of the scratch.
        self.model.encode_bytes(text, scratch)?;
        let (text, rest) = scratch
            .split_at_mut_checked(self.model.dims())
            .ok_or(too_small)?;
        Ok((direction(text).then_some(&*text), rest))
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for FewShot<'_, '_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "FewShot({} of {} labels)",
            self.labels().count(),
            self.capacity()
        );
    }
}
