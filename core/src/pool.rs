//! From token ids to an embedding: adds up rows, then scales the sums. For integer codecs that is
//! the only floating-point step.

use crate::image::Pooling;
use crate::rows::{GROUP, Rows};
use crate::similarity::sum_of_squares;

mod scale;

/// Bits that a squared term keeps, so that the sum of 4,096 squares fits 64 bits.
const SQUARE_BITS: u32 = 24;

/// A text's sum of rows, some of which may still wait to be added.
pub(crate) struct Pool<'r, 's> {
    rows: &'r Rows<'r>,
    sums: &'s mut [u32],
    /// Rows that wait until there is a group of them.
    values: [&'r [u8]; GROUP],
    scales: [i32; GROUP],
    waiting: usize,
    /// Tokens added, those that wait included.
    count: u32,
}

impl<'r, 's> Pool<'r, 's> {
    /// An empty sum, in `sums`: a word a dimension.
    pub(crate) fn new(rows: &'r Rows<'r>, sums: &'s mut [u32]) -> Self {
        sums.fill(0);
        Self {
            rows,
            sums,
            values: [&[]; GROUP],
            scales: [0; GROUP],
            waiting: 0,
            count: 0,
        }
    }

    /// Adds a token.
    pub(crate) fn add(&mut self, id: u32) {
        if let Some(values) = self.values.get_mut(self.waiting)
            && let Some(scale) = self.scales.get_mut(self.waiting)
        {
            (*values, *scale) = self.rows.get(id);
            self.waiting += 1;
        }
        self.count += 1;
        if self.waiting == GROUP {
            self.add_waiting();
        }
    }

    fn add_waiting(&mut self) {
        let values = self.values.get(..self.waiting).unwrap_or(&[]);
        let scales = self.scales.get(..self.waiting).unwrap_or(&[]);
        self.rows.add(values, scales, self.sums);
        self.waiting = 0;
    }

    /// The embedding.
    pub(crate) fn finish(mut self, pooling: &Pooling) -> &'s [f32] {
        self.add_waiting();
        let mean = 1.0 / self.count.max(1) as f32;
        let sums = self.sums;
        if self.rows.sums_integers() {
            if pooling.normalize {
                normalize_integers(sums);
            } else {
                scale::scale(sums, scale::magnitude_bits(sums), pooling.unit * mean);
            }
        } else {
            let sums = bytemuck::cast_slice_mut(sums);
            if pooling.normalize {
                normalize_floats(sums);
            } else {
                sums.iter_mut().for_each(|sum| *sum *= mean);
            }
        }
        bytemuck::cast_slice(sums)
    }
}

/// Turns integer sums into an embedding of unit length, in place, as `f32` bits.
///
/// All zero stays all zero.
fn normalize_integers(sums: &mut [u32]) {
    let bits = scale::magnitude_bits(sums);
    if bits == 0 {
        return;
    }
    let shift = (u32::BITS - bits.leading_zeros()).saturating_sub(SQUARE_BITS);
    let squares = scale::squares(sums, shift);
    let length = libm::sqrtf(squares as f32) * (1_u32 << shift) as f32;
    scale::scale(sums, bits, 1.0 / length);
}

/// Scales an embedding to unit length; all zero stays all zero.
fn normalize_floats(sums: &mut [f32]) {
    let squares = sum_of_squares(sums);
    if squares > 0.0 {
        let factor = 1.0 / libm::sqrtf(squares);
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
}
