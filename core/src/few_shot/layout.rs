//! The bytes of a state: prelude, then a slot a label. `FORMAT.md` is the specification.

use super::error::FewShotError;
use crate::bytes::{u16_at, u32_at};
use crate::image::{crc32, saturate};

/// First four bytes of every state.
pub const MAGIC: [u8; 4] = *b"FVFS";
/// Version of the state's format that this crate writes, the only one that it reads.
pub const VERSION: u16 = 1;
/// Length of the prelude: magic, version, reserved, CRC-32 of the rest, CRC-32 of the image, dims, slots.
pub const PRELUDE_LEN: usize = 20;
/// Offset of the CRC-32 in the prelude; it covers everything after it.
pub const CRC_OFFSET: usize = 8;
/// Bytes of a slot before its sums: name and number of examples.
pub const SLOT_HEAD_LEN: usize = NAME_LEN + 4;
/// Most bytes that a label's name may have.
pub const MAX_LABEL_LEN: usize = NAME_LEN - 1;
/// Most labels that a state has slots for.
pub const MAX_LABELS: usize = 1024;
/// Most examples of a label, so that no sum overflows.
pub const MAX_EXAMPLES: u32 = 1 << 14;
/// Fixed point of directions: a length of 1.
pub const ONE: i32 = 1 << 15;
/// What a direction's squares add up to at most: twice what they should, which leaves room for rounding.
pub const MAX_SQUARES: u64 = 1 << 31;

/// Length of the name, then the name, then zeros.
const NAME_LEN: usize = 32;

pub(super) type Name = [u8; NAME_LEN];

/// Bytes of a slot of so many dimensions.
pub const fn slot_len(dims: usize) -> usize {
    SLOT_HEAD_LEN + 4 * dims
}

/// A label's name as it is stored; `None` if it is none.
pub(super) fn name(label: &str) -> Option<Name> {
    let sound = !label.is_empty() && !label.chars().any(char::is_control);
    let mut name = [0; NAME_LEN];
    let (len, text) = name.split_first_mut()?;
    let text = text.get_mut(..label.len())?;
    *len = label.len() as u8;
    for (to, &from) in text.iter_mut().zip(label.as_bytes()) {
        *to = from;
    }
    sound.then_some(name)
}

/// The text of a stored name; `None` if it is no name.
fn label(name: &Name) -> Option<&str> {
    let (&len, text) = name.split_first()?;
    core::str::from_utf8(text.get(..usize::from(len))?).ok()
}

/// A label with its examples, or room for one.
pub(super) struct Slot<'a> {
    name: &'a Name,
    /// 0: there is no label.
    pub examples: u32,
    sums: &'a [[u8; 4]],
}

impl<'a> Slot<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (name, rest) = bytes.split_first_chunk()?;
        let (examples, sums) = rest.split_first_chunk()?;
        Some(Self {
            name,
            examples: u32::from_le_bytes(*examples),
            sums: sums.as_chunks().0,
        })
    }

    pub fn label(&self) -> &'a str {
        label(self.name).unwrap_or("")
    }

    /// The sum of the examples' directions.
    pub fn sums(&self) -> impl Iterator<Item = i32> + use<'a> {
        self.sums.iter().map(|&sum| i32::from_le_bytes(sum))
    }

    fn is_sound(&self) -> bool {
        if self.examples == 0 {
            return self.name.iter().all(|&byte| byte == 0) && self.sums().all(|sum| sum == 0);
        }
        let stored = label(self.name).and_then(name);
        stored.is_some_and(|stored| stored == *self.name)
            && self.examples <= MAX_EXAMPLES
            && fits(self.sums(), self.examples)
    }
}

/// Whether sums can be those of so many directions: they are no longer than these one behind the other.
pub(super) fn fits(sums: impl Iterator<Item = i32>, examples: u32) -> bool {
    let squares = sums.fold(0_u64, |all, sum| {
        let sum = u64::from(sum.unsigned_abs());
        all.saturating_add(sum.wrapping_mul(sum))
    });
    let examples = u64::from(examples.min(MAX_EXAMPLES));
    squares <= examples * examples * MAX_SQUARES
}

/// A state: nothing but sound prelude and slots.
#[derive(Debug)]
pub(super) struct State<'b> {
    bytes: &'b mut [u8],
    dims: u16,
}

impl<'b> State<'b> {
    /// An empty state, with as many slots as the buffer has room for.
    pub fn new(buffer: &'b mut [u8], dims: u16, image: u32) -> Result<Self, FewShotError> {
        let slot_len = slot_len(usize::from(dims));
        let found = saturate(buffer.len());
        let slots = buffer.len().saturating_sub(PRELUDE_LEN) / slot_len;
        let slots = slots.min(MAX_LABELS);
        let bytes = buffer
            .get_mut(..PRELUDE_LEN + slots * slot_len)
            .filter(|_| slots > 0)
            .ok_or(FewShotError::BufferTooSmall {
                needed: saturate(PRELUDE_LEN + slot_len),
                found,
            })?;
        bytes.fill(0);
        let mut rest = &mut *bytes;
        for field in [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            &[0; 6],
            &image.to_le_bytes(),
            &dims.to_le_bytes(),
            &(slots as u16).to_le_bytes(),
        ] {
            let Some((place, after)) = rest.split_at_mut_checked(field.len()) else {
                break;
            };
            for (to, &from) in place.iter_mut().zip(field) {
                *to = from;
            }
            rest = after;
        }
        let mut state = Self { bytes, dims };
        state.seal();
        Ok(state)
    }

    /// Proves that a buffer begins with a state for an image.
    ///
    /// In this order: magic and version, before anything whose place a version may change; the image, since
    /// another one's state is none the less sound; length and checksum; then every slot on its own, and at last that no
    /// two have the same name.
    pub fn restore(buffer: &'b mut [u8], dims: u16, image: u32) -> Result<Self, FewShotError> {
        if !buffer.starts_with(&MAGIC) {
            return Err(FewShotError::NotAState);
        }
        let found = saturate(buffer.len());
        let too_small = |needed: usize| FewShotError::BufferTooSmall {
            needed: saturate(needed),
            found,
        };
        if buffer.len() < PRELUDE_LEN {
            return Err(too_small(PRELUDE_LEN));
        }
        let version = u16_at(buffer, 4);
        if version != VERSION {
            return Err(FewShotError::UnsupportedVersion {
                found: version,
                supported: VERSION,
            });
        }
        let needed = u32_at(buffer, 12);
        if needed != image || u16_at(buffer, 16) != dims {
            return Err(FewShotError::OtherModel {
                needed,
                found: image,
            });
        }
        let slots = usize::from(u16_at(buffer, 18));
        let len = PRELUDE_LEN + slots * slot_len(usize::from(dims));
        let bytes = buffer.get_mut(..len).ok_or(too_small(len))?;
        let state = Self { bytes, dims };
        let stored = u32_at(state.bytes, CRC_OFFSET);
        let computed = state.checksum();
        // A fuzzer cannot guess a checksum; without this it would never get past the door.
        if stored != computed && !cfg!(fuzzing) {
            return Err(FewShotError::Checksum { stored, computed });
        }
        let sound = (1..=MAX_LABELS).contains(&slots)
            && state.slots().all(|slot| slot.is_sound())
            && state.names_differ();
        if sound {
            Ok(state)
        } else {
            Err(FewShotError::Damaged)
        }
    }

    fn names_differ(&self) -> bool {
        self.slots().enumerate().all(|(at, slot)| {
            let mut before = self.slots().take(at);
            slot.examples == 0 || !before.any(|other| other.name == slot.name)
        })
    }

    fn checksum(&self) -> u32 {
        crc32(self.bytes.get(CRC_OFFSET + 4..).unwrap_or(&[]))
    }

    /// Brings the checksum up to date.
    pub fn seal(&mut self) {
        let crc = self.checksum().to_le_bytes();
        if let Some(place) = self
            .bytes
            .get_mut(CRC_OFFSET..)
            .and_then(|b| b.first_chunk_mut())
        {
            *place = crc;
        }
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Slots, those without a label included.
    pub fn capacity(&self) -> usize {
        usize::from(u16_at(self.bytes, 18))
    }

    pub fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        let slots = self.bytes.get(PRELUDE_LEN..).unwrap_or(&[]);
        slots
            .chunks_exact(slot_len(usize::from(self.dims)))
            .filter_map(Slot::new)
    }

    /// The number of a label's slot.
    pub fn find(&self, name: &Name) -> Option<usize> {
        self.slots()
            .position(|slot| slot.examples > 0 && slot.name == name)
    }

    pub fn slot(&self, at: usize) -> Option<Slot<'_>> {
        self.slots().nth(at)
    }

    /// Writes what a slot's name and number of examples are, and adds to its sums.
    pub fn write(
        &mut self,
        at: usize,
        name: &Name,
        examples: u32,
        mut add: impl Iterator<Item = i32>,
    ) {
        let slots = self.bytes.get_mut(PRELUDE_LEN..).unwrap_or(&mut []);
        let slot = slots
            .chunks_exact_mut(slot_len(usize::from(self.dims)))
            .nth(at);
        let Some((place, rest)) = slot.and_then(|slot| slot.split_first_chunk_mut()) else {
            return;
        };
        *place = *name;
        let Some((place, sums)) = rest.split_first_chunk_mut() else {
            return;
        };
        *place = examples.to_le_bytes();
        for sum in sums.as_chunks_mut().0 {
            let more = add.next().unwrap_or(0);
            *sum = i32::from_le_bytes(*sum).wrapping_add(more).to_le_bytes();
        }
    }

    /// Empties a slot.
    pub fn clear(&mut self, at: usize) {
        let slots = self.bytes.get_mut(PRELUDE_LEN..).unwrap_or(&mut []);
        let slot = slots
            .chunks_exact_mut(slot_len(usize::from(self.dims)))
            .nth(at);
        if let Some(slot) = slot {
            slot.fill(0);
        }
    }
}
