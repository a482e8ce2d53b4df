//! Row codecs: from a token's stored row to a sum, or to its vector.

use half::f16;

use crate::bytes::u16_at;
use crate::error::{Error, Part};
use crate::image::{Codec, Header, MAX_VALUE};

/// The rows of an image, checked by [`Rows::new`].
///
/// Sums live in `u32` words: two's complement integers for integer codecs, `f32` bits for others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    bytes: &'a [u8],
    codec: Codec,
    row_len: usize,
    unit: f32,
}

impl<'a> Rows<'a> {
    /// Checks a section: its length, and that no sum over `max_tokens` rows can overflow.
    pub(crate) fn new(section: &'a [u8], header: &Header<'_>) -> Result<Self, Error> {
        let row_len = header.codec.row_len(usize::from(header.dims));
        let rows = Self {
            bytes: section,
            codec: header.codec,
            row_len,
            unit: header.pooling.unit,
        };
        let expected = row_len as u64 * u64::from(header.token_count);
        if section.len() as u64 == expected && rows.is_sound(header.pooling.max_tokens) {
            Ok(rows)
        } else {
            Err(Error::Damaged(Part::Rows))
        }
    }

    fn is_sound(&self, max_tokens: u32) -> bool {
        match self.codec {
            Codec::F32 => self.bytes.as_chunks::<4>().0.iter().all(|&value| {
                // Comparing bits: non-finite values have the largest.
                u32::from_le_bytes(value) & 0x7FFF_FFFF <= MAX_VALUE.to_bits()
            }),
            Codec::F16 => self
                .bytes
                .as_chunks::<2>()
                .0
                .iter()
                .all(|&value| u16::from_le_bytes(value) & 0x7C00 != 0x7C00),
            Codec::Int8 => {
                let scale = self
                    .bytes
                    .chunks(self.row_len.max(1))
                    .map(|row| u16_at(row, 0))
                    .max();
                let largest = u64::from(scale.unwrap_or(0)) * 128;
                largest.saturating_mul(u64::from(max_tokens)) <= i32::MAX as u64
            }
        }
    }

    fn row(&self, id: u32) -> &'a [u8] {
        // Checked: ids come from the caller too, and `usize` may have 32 bits.
        (id as usize)
            .checked_mul(self.row_len)
            .and_then(|at| self.bytes.get(at..)?.get(..self.row_len))
            .unwrap_or(&[])
    }

    /// Whether sums are integers.
    pub(crate) const fn sums_integers(&self) -> bool {
        matches!(self.codec, Codec::Int8)
    }

    /// Adds a token's row to `sums`.
    #[inline]
    pub(crate) fn add(&self, id: u32, sums: &mut [u32]) {
        let row = self.row(id);
        let add_f32 = |sum: &mut u32, value: f32| *sum = (f32::from_bits(*sum) + value).to_bits();
        match self.codec {
            Codec::F32 => {
                for (sum, &value) in sums.iter_mut().zip(row.as_chunks::<4>().0) {
                    add_f32(sum, f32::from_le_bytes(value));
                }
            }
            Codec::F16 => {
                for (sum, &value) in sums.iter_mut().zip(row.as_chunks::<2>().0) {
                    add_f32(sum, f16::from_le_bytes(value).to_f32());
                }
            }
            Codec::Int8 => {
                let scale = i32::from(u16_at(row, 0));
                for (sum, &value) in sums.iter_mut().zip(row.get(2..).unwrap_or(&[])) {
                    let product = scale.wrapping_mul(i32::from(value as i8));
                    *sum = sum.wrapping_add_signed(product);
                }
            }
        }
    }

    /// Writes a token's vector to `out`, as `f32` bits.
    pub(crate) fn vector(&self, id: u32, out: &mut [u32]) {
        out.fill(0);
        self.add(id, out);
        if self.sums_integers() {
            for word in out {
                *word = (*word as i32 as f32 * self.unit).to_bits();
            }
        }
    }
}
