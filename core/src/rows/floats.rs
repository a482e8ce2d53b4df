//! Rows of floats. Each sum adds its tokens in text order, so that it rounds the same everywhere.

use crate::pool::SOFT_FLOATS;

/// Dimensions whose sums stay in registers, where there are vectors, while all rows are added.
const UNIT: usize = if cfg!(feature = "std") { 64 } else { 1 };

#[inline(always)]
pub(super) fn add_f32(sums: &mut [u32], rows: &[&[u8]]) {
    add(sums, rows, f32::from_le_bytes);
}

#[inline(always)]
pub(super) fn add_f16(sums: &mut [u32], rows: &[&[u8]]) {
    add(sums, rows, |half| widen(u16::from_le_bytes(half)));
}

#[inline(always)]
fn add<const LEN: usize>(sums: &mut [u32], rows: &[&[u8]], value: impl Fn([u8; LEN]) -> f32) {
    let add = |sum: &mut u32, stored: &[u8; LEN]| {
        *sum = (f32::from_bits(*sum) + value(*stored)).to_bits();
    };
    let mut done = 0;
    if UNIT > 1 {
        for (at, unit) in sums.as_chunks_mut::<UNIT>().0.iter_mut().enumerate() {
            let mut in_registers = *unit;
            for row in rows {
                if let Some(row) = row.as_chunks::<LEN>().0.as_chunks::<UNIT>().0.get(at) {
                    in_registers
                        .iter_mut()
                        .zip(row)
                        .for_each(|(sum, stored)| add(sum, stored));
                }
            }
            *unit = in_registers;
            done += UNIT;
        }
    }
    let rest = sums.get_mut(done..).unwrap_or(&mut []);
    for row in rows {
        let stored = row.as_chunks::<LEN>().0.get(done..).unwrap_or(&[]);
        rest.iter_mut()
            .zip(stored)
            .for_each(|(sum, stored)| add(sum, stored));
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
