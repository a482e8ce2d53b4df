//! Rows of floats. Each sum adds its tokens in text order, so that it rounds the same everywhere.

use crate::pool::SOFT_FLOATS;

#[inline(always)]
pub(super) fn add_f32(sums: &mut [u32], rows: &[&[u8]]) {
    for row in rows {
        for (sum, &value) in sums.iter_mut().zip(row.as_chunks().0) {
            *sum = (f32::from_bits(*sum) + f32::from_le_bytes(value)).to_bits();
        }
    }
}

#[inline(always)]
pub(super) fn add_f16(sums: &mut [u32], rows: &[&[u8]]) {
    for row in rows {
        for (sum, &value) in sums.iter_mut().zip(row.as_chunks().0) {
            *sum = (f32::from_bits(*sum) + widen(u16::from_le_bytes(value))).to_bits();
        }
    }
}

/// A finite IEEE half in 32 bits.
#[inline(always)]
fn widen(half: u16) -> f32 {
    if SOFT_FLOATS {
        half::f16::from_bits(half).to_f32()
    } else {
        widen_by_product(half)
    }
}

/// [`widen`] by a product that is exact: mantissa and exponent move to where they belong in an
/// `f32`, whose exponents begin 112 lower.
#[inline(always)]
fn widen_by_product(half: u16) -> f32 {
    const TWO_TO_112: f32 = f32::from_bits((127 + 112) << 23);
    // Shifted with its sign, which is cleared from all bits but the highest.
    let bits = (i32::from(half as i16) << 13) as u32 & 0x8FFF_FFFF;
    f32::from_bits(bits) * TWO_TO_112
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_is_widened_exactly() {
        for bits in 0..=u16::MAX {
            let half = half::f16::from_bits(bits);
            if half.is_finite() {
                let expected = half.to_f32().to_bits();
                assert_eq!(widen_by_product(bits).to_bits(), expected, "{bits:#x}");
            }
        }
    }
}
