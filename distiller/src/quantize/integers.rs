//! `int8`, `int4` and `int2`: a scale and integers, for the last two small odd ones.

use rayon::prelude::*;

use super::{Quantized, Scales, Table};

/// The steps that are tried for a row, as shares of the one at which its largest value is just
/// reached. A row of Gaussian values is best served with about 0.45 of it in 4 bits and with a
/// third in 2 (Max, "Quantizing for minimum distortion", 1960).
const SHARES: std::ops::RangeInclusive<f32> = 0.2..=1.0;

/// The largest magnitude of a row's values.
pub(crate) fn largest(row: &[f32]) -> f32 {
    row.iter().fold(0.0_f32, |m, v| m.max(v.abs()))
}

/// How the rows of a table become 8-bit integers.
#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    largest_scale: f32,
    pub(crate) unit: f32,
}

impl Bytes {
    /// `largest_step` is the largest [`step`](Self::step) of all rows, of which `most_rows` can be added up.
    pub(crate) fn new(largest_step: f32, most_rows: u32) -> Self {
        // What the image's reader proves: scale * 128 * rows fits 31 bits. Vectors on hosts multiply by
        // signed scales of 16 bits.
        let most = i32::MAX as u32 / 128 / most_rows.max(1);
        let largest_scale = most.clamp(1, i16::MAX as u32) as f32;
        let unit = if largest_step > 0.0 {
            largest_step / largest_scale
        } else {
            1.0
        };
        Self {
            largest_scale,
            unit,
        }
    }

    /// The distance of neighbouring values in a row: its largest value is 127 steps away from 0.
    pub(crate) fn step(row: &[f32]) -> f32 {
        largest(row) / 127.0
    }

    /// The smallest integer scale at which 127 steps fit 8 bits.
    pub(crate) fn scale(&self, step: f32) -> f32 {
        (step / self.unit).ceil().clamp(1.0, self.largest_scale)
    }

    /// The nearest integer to a value at a scale.
    pub(crate) fn integer(&self, value: f32, scale: f32) -> i8 {
        (value / (scale * self.unit)).round().clamp(-127.0, 127.0) as i8
    }
}

/// How the rows of a table become odd integers.
#[derive(Clone, Debug)]
pub(super) struct Odds {
    scales: Scales,
    most: f32,
    pub(super) unit: f32,
}

impl Odds {
    /// Odd integers from -`most` to `most`, for rows of which `largest` is the largest magnitude and `most_rows` can be
    /// added up.
    pub(super) fn new(most: u32, largest: f32, most_rows: u32) -> Self {
        let scales = Scales::new(most, most_rows);
        let most = most as f32;
        let unit = scales.unit(largest / most);
        Self { scales, most, unit }
    }

    /// The byte of the scale at which the integers come nearest to a row.
    fn byte(&self, row: &[f32]) -> u8 {
        let full = largest(row) / self.most / self.unit;
        let (low, high) = (full * SHARES.start(), full * SHARES.end());
        let tried = self.scales.nearest(low)..=self.scales.nearest(high);
        let error = |&byte: &u8| squared_error(row, self.step(byte), self.most);
        let best = tried.min_by(|a, b| error(a).total_cmp(&error(b)));
        best.unwrap_or(0)
    }

    /// What 1 stands for at the scale of a byte.
    fn step(&self, byte: u8) -> f32 {
        self.scales.0[usize::from(byte)] * self.unit
    }

    /// Writes a row's integers; their scale.
    pub(super) fn quantize(&self, row: &[f32], integers: &mut [i8]) -> u32 {
        let byte = self.byte(row);
        let step = self.step(byte);
        for (integer, &value) in integers.iter_mut().zip(row) {
            *integer = odd(value, step, self.most) as i8;
        }
        self.scales.0[usize::from(byte)] as u32
    }
}

/// Quantises rows to odd integers from -`most` to `most`, `PER_BYTE` a byte.
pub(super) fn quantize<const PER_BYTE: usize>(
    table: Table<'_>,
    most: u32,
    most_rows: u32,
) -> Quantized {
    let odds = Odds::new(most, largest(table.values), most_rows);
    let most = odds.most;
    let rows = table
        .values
        .par_chunks_exact(table.dims)
        .flat_map_iter(|row| {
            let byte = odds.byte(row);
            let step = odds.step(byte);
            let packed = row.chunks(PER_BYTE).map(move |values| {
                values.iter().rev().fold(0_u8, |packed, &value| {
                    // Field q stands for the odd integer 2q - most.
                    let field = ((odd(value, step, most) + most) / 2.0) as u8;
                    (packed << (8 / PER_BYTE)) | field
                })
            });
            std::iter::once(byte).chain(packed)
        })
        .collect();
    Quantized {
        rows,
        codebooks: Vec::new(),
        unit: odds.unit,
    }
}

/// The odd integer between -`most` and `most` that is nearest to `value / scale`.
fn odd(value: f32, scale: f32, most: f32) -> f32 {
    let quotient = if scale > 0.0 { value / scale } else { 0.0 };
    ((quotient / 2.0).floor() * 2.0 + 1.0).clamp(-most, most)
}

fn squared_error(row: &[f32], scale: f32, most: f32) -> f32 {
    row.iter()
        .map(|&value| (value - scale * odd(value, scale, most)).powi(2))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_integers_are_the_nearest() {
        let nearest: Vec<f32> = [-9.0, -2.1, -1.9, -0.1, 0.1, 1.9, 2.1, 9.0]
            .map(|value| odd(value, 1.0, 3.0))
            .to_vec();
        assert_eq!(nearest, [-3.0, -3.0, -1.0, -1.0, 1.0, 1.0, 3.0, 3.0]);
    }

    #[test]
    fn rows_are_packed_lowest_first() {
        let values = [3.0, -3.0, 1.0, -1.0, 3.0];
        let table = Table {
            values: &values,
            dims: 5,
        };
        let quantized = quantize::<4>(table, 3, 512);
        assert_eq!(quantized.rows[1..], [0b01_10_00_11, 0b11]);
        let zero = Table {
            values: &[0.0; 4],
            dims: 4,
        };
        assert_eq!(quantize::<4>(zero, 3, 512).rows[0], 0, "scale 0");
    }
}
