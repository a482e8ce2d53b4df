//! From token ids to an embedding: adds up rows, then scales the sums. For integer codecs that is
//! the only floating-point step.

use crate::image::Pooling;
use crate::rows::{Rows, WAITING};
use crate::similarity::{sqrt, sum_of_squares};

mod scale;

pub(crate) use scale::{CORTEX_M0, SOFT_FLOATS};

/// Bits that a squared term keeps, beside its sign, so that the sum of 4,096 squares fits 64 bits.
const SQUARE_BITS: u32 = 24;

/// What squares add up to at least, unless all their bits are kept: a length of 22 bits.
const ENOUGH: u64 = 1 << 44;

/// A text's sum of rows, some of which may still wait to be added.
pub(crate) struct Pool<'r, 's> {
    rows: &'r Rows<'r>,
    sums: &'s mut [u32],
    /// Rows that wait until there are so many.
    values: [&'r [u8]; WAITING],
    scales: [i32; WAITING],
    waiting: usize,
    /// Tokens added, those that wait included.
    count: u32,
    /// The sum of their scales.
    scale: u32,
}

impl<'r, 's> Pool<'r, 's> {
    /// An empty sum, in `sums`: a word a dimension.
    pub(crate) fn new(rows: &'r Rows<'r>, sums: &'s mut [u32]) -> Self {
        sums.fill(0);
        Self {
            rows,
            sums,
            values: [&[]; WAITING],
            scales: [0; WAITING],
            waiting: 0,
            count: 0,
            scale: 0,
        }
    }

    /// Adds a token.
    pub(crate) fn add(&mut self, id: u32) {
        if let Some(values) = self.values.get_mut(self.waiting)
            && let Some(scale) = self.scales.get_mut(self.waiting)
        {
            (*values, *scale) = self.rows.get(id);
            self.scale = self.scale.wrapping_add(*scale as u32);
            self.waiting += 1;
        }
        self.count += 1;
        if self.waiting == WAITING {
            self.add_waiting();
        }
    }

    fn add_waiting(&mut self) {
        let values = self.values.get(..self.waiting).unwrap_or(&[]);
        let scales = self.scales.get(..self.waiting).unwrap_or(&[]);
        self.rows.add(values, scales, self.sums);
        self.waiting = 0;
    }

    /// What [`finish`](Self::finish) would scale integer sums by, which stay as they are, and the number of rows.
    #[cfg(feature = "classify")]
    pub(crate) fn factor(mut self, pooling: &Pooling) -> (f32, u32) {
        self.add_waiting();
        let bits = self.rows.sum_bits(self.scale).unwrap_or(0);
        (factor(self.sums, bits, self.count, pooling), self.count)
    }

    /// The embedding.
    #[inline]
    pub(crate) fn finish(mut self, pooling: &Pooling) -> &'s [f32] {
        self.add_waiting();
        let (sums, count) = (self.sums, self.count);
        let bits = self.rows.sum_bits(self.scale);
        #[cfg(feature = "std")]
        if let Some(arch) = self.rows.arch() {
            crate::rows::vectorize(
                arch,
                #[inline(always)]
                || finish(sums, bits, count, pooling),
            );
            return bytemuck::cast_slice(sums);
        }
        finish(sums, bits, count, pooling);
        bytemuck::cast_slice(sums)
    }
}

/// Turns the sums of `count` rows into an embedding, in place. Integers have at most so many `bits`, beside
/// their signs; floats have none.
#[inline(always)]
pub(crate) fn finish(sums: &mut [u32], bits: Option<u32>, count: u32, pooling: &Pooling) {
    if let Some(bits) = bits {
        scale::scale(sums, factor(sums, bits, count, pooling));
    } else {
        let mean = mean(count);
        let sums = bytemuck::cast_slice_mut(sums);
        if pooling.normalize {
            normalize_floats(sums);
        } else {
            sums.iter_mut().for_each(|sum| *sum *= mean);
        }
    }
}

#[inline(always)]
fn mean(count: u32) -> f32 {
    1.0 / count.max(1) as f32
}

/// What integer sums of `count` rows, of at most `bits` bits, are scaled by; 0 if all are 0.
#[inline(always)]
fn factor(sums: &[u32], bits: u32, count: u32, pooling: &Pooling) -> f32 {
    if pooling.normalize {
        factor_of_length(sums, bits)
    } else {
        pooling.unit * mean(count)
    }
}

/// What integer sums of at most `bits` bits are scaled by to have unit length; 0 if all are 0.
#[inline(always)]
fn factor_of_length(sums: &[u32], bits: u32) -> f32 {
    let mut shift = bits.saturating_sub(SQUARE_BITS);
    let mut squares = scale::squares(sums, shift);
    // Rows that cancel one another out. No sum has more than 22 bits left, so two more fit.
    while shift > 0 && squares < ENOUGH {
        shift = shift.saturating_sub(2);
        squares = scale::squares(sums, shift);
    }
    if squares == 0 {
        return 0.0;
    }
    let length = sqrt(squares as f32) * (1_u32 << shift) as f32;
    1.0 / length
}

/// Scales an embedding to unit length; all zero stays all zero.
#[inline(always)]
fn normalize_floats(sums: &mut [f32]) {
    let squares = sum_of_squares(sums);
    if squares > 0.0 {
        let factor = 1.0 / sqrt(squares);
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
}
