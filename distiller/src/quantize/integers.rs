//! `int4` and `int2`: a scale and small odd integers.

use rayon::prelude::*;

use super::{Quantized, Scales, Table};

/// The steps that are tried for a row, as shares of the one at which its largest value is just
/// reached. A row of Gaussian values is best served with about 0.45 of it in 4 bits and with a
/// third in 2 (Max, "Quantizing for minimum distortion", 1960).
const SHARES: std::ops::RangeInclusive<f32> = 0.2..=1.0;

/// Quantises rows to odd integers from -`most` to `most`, `PER_BYTE` a byte.
pub(super) fn quantize<const PER_BYTE: usize>(
    table: Table<'_>,
    most: u32,
    max_tokens: u32,
) -> Quantized {
    let scales = Scales::new(most, max_tokens);
    let most = most as f32;
    let reach = |row: &[f32]| row.iter().fold(0.0_f32, |m, v| m.max(v.abs())) / most;
    let unit = scales.unit(table.rows().map(reach).fold(0.0, f32::max));
    let rows = table
        .values
        .par_chunks_exact(table.dims)
        .flat_map_iter(|row| {
            let full = reach(row) / unit;
            let (low, high) = (full * SHARES.start(), full * SHARES.end());
            let tried = scales.nearest(low)..=scales.nearest(high);
            let error = |&byte: &u8| squared_error(row, scales.0[usize::from(byte)] * unit, most);
            let best = tried.min_by(|a, b| error(a).total_cmp(&error(b)));
            let byte = best.unwrap_or(0);
            let scale = scales.0[usize::from(byte)] * unit;
            let packed = row.chunks(PER_BYTE).map(move |values| {
                values.iter().rev().fold(0_u8, |packed, &value| {
                    // Field q stands for the odd integer 2q - most.
                    let field = ((odd(value, scale, most) + most) / 2.0) as u8;
                    (packed << (8 / PER_BYTE)) | field
                })
            });
            std::iter::once(byte).chain(packed)
        })
        .collect();
    Quantized {
        rows,
        codebooks: Vec::new(),
        unit,
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
