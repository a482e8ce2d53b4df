//! Row codecs: from a token's stored row to a sum, or to its vector.

use crate::bytes::u16_at;
use crate::error::{Error, Part};
use crate::image::{Codec, Header, MAX_VALUE};

mod floats;
mod integers;
#[cfg(feature = "std")]
mod simd;

#[cfg(feature = "std")]
pub(crate) use simd::{Adder, Plain, vectorize};

/// Rows that are added in one pass over the sums: each sum is then loaded and stored once for all
/// of them, and the registers of every part hold what that takes.
pub(crate) const GROUP: usize = 4;

/// Rows of a text that wait until they are added together: with vectors, so many that sums stay
/// in registers for long.
pub(crate) const WAITING: usize = if cfg!(feature = "std") { 32 } else { GROUP };

/// A group's values, as they are stored.
type Values<'a> = [&'a [u8]; GROUP];
/// What each row's values are multiplied by.
type Scales = [i32; GROUP];

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
    /// What rows are added with.
    #[cfg(feature = "std")]
    arch: Option<pulp::Arch>,
}

impl<'a> Rows<'a> {
    /// Checks the sections: their lengths for `count` rows, and that no sum over `most` of them can overflow.
    pub(crate) fn new(
        section: &'a [u8],
        codebooks: &'a [u8],
        header: &Header<'_>,
        count: u32,
        most: u64,
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
            #[cfg(feature = "std")]
            arch: Some(pulp::Arch::new()),
        };
        let expected = row_len as u64 * u64::from(count);
        if section.len() as u64 != expected || !rows.is_finite() {
            return Err(Error::Damaged(Part::Rows));
        }
        let largest_scale = rows.largest_scale();
        let largest_value = match rows.codec {
            Codec::F32 | Codec::F16 => 0,
            Codec::Int8 | Codec::Pq(_) => 128,
            Codec::Int4 => layout::INT4_MAX,
            Codec::Int2 => layout::INT2_MAX,
        };
        let largest = u64::from(largest_scale) * u64::from(largest_value);
        if largest.saturating_mul(most) > i32::MAX as u64 {
            return Err(Error::Damaged(Part::Rows));
        }
        #[cfg(feature = "std")]
        if rows.codec == Codec::Int8 && largest_scale > simd::LARGEST_SCALE {
            return Ok(Self { arch: None, ..rows });
        }
        Ok(rows)
    }

    /// Whether floats are, and none is so large that a sum is not; integers are.
    fn is_finite(&self) -> bool {
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
            _ => true,
        }
    }

    /// The largest scale of all rows; 0 for floats, which have none.
    fn largest_scale(&self) -> u32 {
        let rows = self.bytes.chunks(self.row_len.max(1));
        let largest = match self.codec {
            Codec::F32 | Codec::F16 => None,
            Codec::Int8 => rows.map(|row| u32::from(u16_at(row, 0))).max(),
            _ => rows
                .map(|row| row.first().map_or(0, |&byte| layout::scale(byte)))
                .max(),
        };
        largest.unwrap_or(0)
    }

    fn row(&self, id: u32) -> &'a [u8] {
        // Checked: ids come from the caller too, and `usize` may have 32 bits.
        (id as usize)
            .checked_mul(self.row_len)
            .and_then(|at| self.bytes.get(at..)?.get(..self.row_len))
            .unwrap_or(&[])
    }

    /// Has the machine fetch a row that is read soon, or the most of a long one.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn prefetch(&self, id: u32) {
        let at = (id as usize).wrapping_mul(self.row_len);
        // Lines of 64 bytes, written out: loops stay loops where they are short.
        for line in [0, 64, 128, 192, 256] {
            let line = self.row_len.min(line);
            prefetch_index::prefetch_index(self.bytes, at.wrapping_add(line));
        }
    }

    /// Whether sums are integers.
    pub(crate) const fn sums_integers(&self) -> bool {
        !matches!(self.codec, Codec::F32 | Codec::F16)
    }

    /// Bits that the magnitudes of sums have at most, for a sum of scales as [`get`](Self::get) gives them;
    /// `None` if sums are floats.
    #[inline]
    pub(crate) const fn sum_bits(&self, scale: u32) -> Option<u32> {
        let of_value = match self.codec {
            Codec::F32 | Codec::F16 => return None,
            Codec::Int8 | Codec::Pq(_) => 7,
            // At most 15, and 3, with half the scale.
            Codec::Int4 => 3,
            Codec::Int2 => 1,
        };
        Some(u32::BITS - scale.leading_zeros() + of_value)
    }

    /// A token's values as they are stored, and what they are multiplied by: for packed codecs
    /// twice the scale, for floats nothing.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> (&'a [u8], i32) {
        if self.codec == Codec::Int8 {
            return self.get_int8(id);
        }
        let row = self.row(id);
        if !self.sums_integers() {
            return (row, 0);
        }
        let Some((&scale, values)) = row.split_first() else {
            return (&[], 0);
        };
        let scale = layout::scale(scale) as i32;
        match self.codec {
            Codec::Pq(_) => (values, scale),
            _ => (values, scale << 1),
        }
    }

    /// [`get`](Self::get) for 8-bit integers.
    #[inline(always)]
    fn get_int8(&self, id: u32) -> (&'a [u8], i32) {
        match self.row(id).split_first_chunk() {
            Some((&scale, values)) => (values, i32::from(u16::from_le_bytes(scale))),
            None => (&[], 0),
        }
    }

    /// Adds the rows of any number of tokens to `sums`; the sum of their scales.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn add_tokens(&self, adder: impl Adder, ids: &[u32], sums: &mut [u32]) -> u32 {
        let (units, rest) = sums.as_chunks_mut();
        if self.codec == Codec::Int8 && self.arch.is_some() && rest.is_empty() {
            let rows = ids.iter().map(|&id| self.get_int8(id));
            simd::add_rows(adder, units, rows.clone());
            return rows.fold(0, |all, (_, scale)| all.wrapping_add(scale as u32));
        }
        self.add_tokens_aside(ids, sums)
    }

    /// [`add_tokens`](Self::add_tokens) where the caller has no vectors.
    #[cfg(feature = "std")]
    pub(crate) fn add_tokens_aside(&self, ids: &[u32], sums: &mut [u32]) -> u32 {
        let mut all = 0_u32;
        for ids in ids.chunks(WAITING) {
            let mut values: [&[u8]; WAITING] = [&[]; WAITING];
            let mut scales = [0; WAITING];
            for ((values, scale), &id) in values.iter_mut().zip(&mut scales).zip(ids) {
                (*values, *scale) = self.get(id);
                all = all.wrapping_add(*scale as u32);
            }
            if let Some(values) = values.get(..ids.len())
                && let Some(scales) = scales.get(..ids.len())
            {
                self.add(values, scales, sums);
            }
        }
        all
    }

    /// Adds at most [`WAITING`] rows to `sums`, in this order: their values and scales as
    /// [`get`](Self::get) gives them.
    pub(crate) fn add(&self, values: &[&[u8]], scales: &[i32], sums: &mut [u32]) {
        #[cfg(feature = "std")]
        if let Some(arch) = self.arch {
            return self.add_wide(arch, values, scales, sums);
        }
        self.add_narrow(values, scales, sums);
    }

    /// [`add`](Self::add) with vectors where there is a way.
    #[cfg(feature = "std")]
    fn add_wide(&self, arch: pulp::Arch, values: &[&[u8]], scales: &[i32], sums: &mut [u32]) {
        let (units, rest) = sums.as_chunks_mut::<{ simd::UNIT }>();
        let done = units.len() * simd::UNIT;
        let per_byte = match self.codec {
            Codec::Int8 => {
                simd::add_int8(arch, units, values, scales);
                1
            }
            Codec::Int4 => {
                let less = integers::too_much(scales, layout::INT4_MAX);
                simd::add_packed::<2, { simd::UNIT / 2 }>(arch, units, values, scales, less);
                2
            }
            Codec::Int2 => {
                let less = integers::too_much(scales, layout::INT2_MAX);
                simd::add_packed::<4, { simd::UNIT / 4 }>(arch, units, values, scales, less);
                4
            }
            Codec::Pq(pq) if usize::from(pq.sub_dims).is_multiple_of(simd::SUB_UNIT) => {
                return simd::add_sub_vectors(arch, sums, values, scales, pq, self.codebooks);
            }
            Codec::Pq(_) => return self.add_narrow(values, scales, sums),
            Codec::F32 => {
                return vectorize(
                    arch,
                    #[inline(always)]
                    || floats::add_f32(sums, values),
                );
            }
            Codec::F16 => {
                return vectorize(
                    arch,
                    #[inline(always)]
                    || floats::add_f16(sums, values),
                );
            }
        };
        if !rest.is_empty() {
            let mut tails: [&[u8]; WAITING] = [&[]; WAITING];
            for (tail, values) in tails.iter_mut().zip(values) {
                *tail = values.get(done / per_byte..).unwrap_or(&[]);
            }
            let tails = tails.get(..values.len()).unwrap_or(&[]);
            self.add_narrow(tails, scales, rest);
        }
    }

    /// [`add`](Self::add) in groups.
    fn add_narrow(&self, mut values: &[&[u8]], mut scales: &[i32], sums: &mut [u32]) {
        match self.codec {
            Codec::F32 => return floats::add_f32(sums, values),
            Codec::F16 => return floats::add_f16(sums, values),
            _ => {}
        }
        while let Some((group, rest)) = values.split_first_chunk::<GROUP>()
            && let Some((of_group, rest_of_scales)) = scales.split_first_chunk::<GROUP>()
        {
            self.add_group(sums, group, of_group);
            (values, scales) = (rest, rest_of_scales);
        }
        if let Some(first) = values.first() {
            // Rows that are not there are the first, zero times.
            let mut group = [*first; GROUP];
            let mut of_group = [0; GROUP];
            for (to, from) in group.iter_mut().zip(values) {
                *to = from;
            }
            for (to, from) in of_group.iter_mut().zip(scales) {
                *to = *from;
            }
            self.add_group(sums, &group, &of_group);
        }
    }

    fn add_group(&self, sums: &mut [u32], values: &Values, scales: &Scales) {
        match self.codec {
            Codec::Int8 => integers::add_int8(sums, values, scales),
            Codec::Int4 => integers::add_int4(sums, values, scales),
            Codec::Int2 => integers::add_int2(sums, values, scales),
            Codec::Pq(pq) => {
                integers::add_sub_vectors(sums, values, scales, pq, self.codebooks);
            }
            Codec::F32 | Codec::F16 => {}
        }
    }

    /// What rows are added with, and sums scaled.
    #[cfg(feature = "std")]
    pub(crate) fn arch(&self) -> Option<pulp::Arch> {
        self.arch
    }

    /// The same with the next narrower vectors, without any at last; `None` after that.
    #[cfg(feature = "std")]
    pub(crate) fn narrower(mut self) -> Option<Self> {
        self.arch = match self.arch? {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V4(_) => pulp::x86::V3::try_new().map(pulp::Arch::V3),
            _ => None,
        };
        Some(self)
    }

    /// Writes a token's vector to `out`, as `f32` bits.
    pub(crate) fn vector(&self, id: u32, out: &mut [u32]) {
        out.fill(0);
        let (values, scale) = self.get(id);
        self.add(&[values], &[scale], out);
        if self.sums_integers() {
            for word in out {
                *word = (*word as i32 as f32 * self.unit).to_bits();
            }
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests;
