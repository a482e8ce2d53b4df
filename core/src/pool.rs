//! From sums to an embedding: the only floating-point step for integer codecs.

use crate::similarity::sum_of_squares;

/// Bits that a squared term keeps, so that the sum of 4,096 squares fits 64 bits.
const SQUARE_BITS: u32 = 24;

/// Turns integer sums into an embedding of unit length, in place, as `f32` bits.
///
/// All zero stays all zero.
pub(crate) fn normalize_integers(sums: &mut [u32]) {
    let magnitude = |sum: u32| (sum as i32).unsigned_abs();
    let largest = sums.iter().map(|&sum| magnitude(sum)).max().unwrap_or(0);
    if largest == 0 {
        return;
    }
    let shift = (u32::BITS - largest.leading_zeros()).saturating_sub(SQUARE_BITS);
    let mut squares = 0_u64;
    for &sum in sums.iter() {
        let kept = u64::from(magnitude(sum) >> shift);
        squares += kept * kept;
    }
    let length = libm::sqrtf(squares as f32) * (1_u32 << shift) as f32;
    scale_integers(sums, 1.0 / length);
}

/// Turns integer sums into their multiples by `factor`, in place, as `f32` bits.
pub(crate) fn scale_integers(sums: &mut [u32], factor: f32) {
    for sum in sums {
        *sum = (*sum as i32 as f32 * factor).to_bits();
    }
}

/// Scales an embedding to unit length; all zero stays all zero.
pub(crate) fn normalize_floats(sums: &mut [f32]) {
    let squares = sum_of_squares(sums);
    if squares > 0.0 {
        let factor = 1.0 / libm::sqrtf(squares);
        for sum in sums {
            *sum *= factor;
        }
    }
}
