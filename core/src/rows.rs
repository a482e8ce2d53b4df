//! Row codecs: from a token's stored row to a sum, or to its vector.

use half::f16;

use crate::bytes::u16_at;
use crate::error::{Error, Part};
use crate::image::{Codec, Header, MAX_VALUE, ProductQuantizer};

/// Layout of the section, shared with the writer.
pub mod layout {
    /// The scale that a row's first byte stands for, for codecs whose scale has 8 bits: 0, or
    /// from 17 to 1,015,808 in steps of 3 to 6 %.
    #[inline]
    pub const fn scale(byte: u8) -> u32 {
        match byte {
            0 => 0,
            _ => (16 + (byte & 15) as u32) << (byte >> 4),
        }
    }

    /// Largest magnitude of a value that a scale is multiplied by, in `int4` rows.
    pub const INT4_MAX: u32 = 15;
    /// The same in `int2` rows.
    pub const INT2_MAX: u32 = 3;
}

/// The rows of an image, checked by [`Rows::new`].
///
/// Sums live in `u32` words: two's complement integers for integer codecs, `f32` bits for others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    bytes: &'a [u8],
    codebooks: &'a [u8],
    codec: Codec,
    row_len: usize,
    unit: f32,
}

impl<'a> Rows<'a> {
    /// Checks the sections: their lengths, and that no sum over `max_tokens` rows can overflow.
    pub(crate) fn new(
        section: &'a [u8],
        codebooks: &'a [u8],
        header: &Header<'_>,
    ) -> Result<Self, Error> {
        let dims = usize::from(header.dims);
        if let Codec::Pq(pq) = header.codec
            && codebooks.len() != pq.codebooks(dims) * pq.codebook_len()
        {
            return Err(Error::Damaged(Part::Codebooks));
        }
        let row_len = header.codec.row_len(dims);
        let rows = Self {
            bytes: section,
            codebooks,
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
        let largest = match self.codec {
            Codec::F32 => {
                return self.bytes.as_chunks::<4>().0.iter().all(|&value| {
                    // Comparing bits: non-finite values have the largest.
                    u32::from_le_bytes(value) & 0x7FFF_FFFF <= MAX_VALUE.to_bits()
                });
            }
            Codec::F16 => {
                return self
                    .bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .all(|&value| u16::from_le_bytes(value) & 0x7C00 != 0x7C00);
            }
            Codec::Int8 => self.largest(|row| u32::from(u16_at(row, 0))) * 128,
            Codec::Int4 => self.largest(row_scale) * u64::from(layout::INT4_MAX),
            Codec::Int2 => self.largest(row_scale) * u64::from(layout::INT2_MAX),
            Codec::Pq(_) => self.largest(row_scale) * 128,
        };
        largest.saturating_mul(u64::from(max_tokens)) <= i32::MAX as u64
    }

    /// The largest scale of all rows.
    fn largest(&self, scale: impl Fn(&[u8]) -> u32) -> u64 {
        let rows = self.bytes.chunks(self.row_len.max(1));
        u64::from(rows.map(scale).max().unwrap_or(0))
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
        !matches!(self.codec, Codec::F32 | Codec::F16)
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
                add_scaled(sums, row.get(2..).unwrap_or(&[]), scale);
            }
            Codec::Int4 => add_packed::<2, 15>(sums, row),
            Codec::Int2 => add_packed::<4, 3>(sums, row),
            Codec::Pq(pq) => self.add_sub_vectors(pq, row, sums),
        }
    }

    /// Adds the rows of tokens to `sums`, in order.
    #[cfg(feature = "std")]
    pub(crate) fn add_all(&self, ids: &[u32], sums: &mut [u32]) {
        for &id in ids {
            self.add(id, sums);
        }
    }

    /// Adds the codebook entries that a row's codes name.
    fn add_sub_vectors(&self, pq: ProductQuantizer, row: &[u8], sums: &mut [u32]) {
        let Some((&scale, codes)) = row.split_first() else {
            return;
        };
        let scale = layout::scale(scale) as i32;
        let sub_dims = usize::from(pq.sub_dims).max(1);
        let step = if pq.shared { 0 } else { pq.codebook_len() };
        let mut codebook = 0;
        for (at, sums) in sums.chunks_mut(sub_dims).enumerate() {
            let code = if pq.code_bits == 4 {
                codes
                    .get(at / 2)
                    .map_or(0, |pair| pair >> (at % 2 * 4) & 15)
            } else {
                codes.get(at).copied().unwrap_or(0)
            };
            let entry = codebook + usize::from(code) * sub_dims;
            add_scaled(sums, self.codebooks.get(entry..).unwrap_or(&[]), scale);
            codebook += step;
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

fn row_scale(row: &[u8]) -> u32 {
    row.first().map_or(0, |&byte| layout::scale(byte))
}

/// Adds 8-bit integers, each times `scale`.
#[inline]
fn add_scaled(sums: &mut [u32], values: &[u8], scale: i32) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum = sum.wrapping_add_signed(scale.wrapping_mul(i32::from(value as i8)));
    }
}

/// Adds a row of a scale and odd integers from -`MOST` to `MOST`, `PER_BYTE` a byte, the first
/// lowest.
#[inline]
fn add_packed<const PER_BYTE: usize, const MOST: i32>(sums: &mut [u32], row: &[u8]) {
    let Some((&scale, packed)) = row.split_first() else {
        return;
    };
    let scale = layout::scale(scale) as i32;
    // A field `q` stands for 2q - MOST.
    let (twice, least) = (scale << 1, scale.wrapping_mul(MOST));
    for (sums, &byte) in sums.chunks_mut(PER_BYTE).zip(packed) {
        let mut fields = i32::from(byte);
        for sum in sums {
            let field = fields & MOST;
            *sum = sum.wrapping_add_signed(twice.wrapping_mul(field).wrapping_sub(least));
            fields >>= 8 / PER_BYTE;
        }
    }
}
