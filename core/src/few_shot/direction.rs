//! An embedding's direction in integers, which sums of examples are made of.

use super::layout::{MAX_SQUARES, ONE};
use crate::similarity::sqrt;

/// Exponent of an `f32` from 1 to 2, as its bits have it.
const EXPONENT_OF_ONE: u32 = 127;
const MANTISSA_BITS: u32 = 23;

/// Turns an embedding, as `f32` bits, into its direction, in place: components × 2^15, rounded to nearest, a half
/// away from zero. Squares add up to 2^30 but for rounding, and to [`MAX_SQUARES`] at most.
///
/// `false`, and no direction, if all components are zero or next to it.
pub(super) fn direction(words: &mut [u32]) -> bool {
    let squares = squares(words.iter().map(|&word| fixed(word, EXPONENT_OF_ONE)));
    if (MAX_SQUARES / 4..=MAX_SQUARES).contains(&squares) {
        let round = |word: &mut u32| *word = fixed(*word, EXPONENT_OF_ONE) as u32;
        words.iter_mut().for_each(round);
        return true;
    }
    scale(words)
}

/// [`direction`] for an embedding of any length.
fn scale(words: &mut [u32]) -> bool {
    let exponents = words.iter().map(|&word| exponent(word));
    let largest = exponents.max().unwrap_or(0);
    // Subnormal numbers have 0, infinities and what is no number 255.
    if !(1..=254).contains(&largest) {
        return false;
    }
    let round = |word: &mut u32| *word = fixed(*word, largest) as u32;
    words.iter_mut().for_each(round);
    // The largest has 15 or 16 bits, so the squares are above 0 and below 2^44.
    let length = sqrt(squares(words.iter().map(|&word| word as i32)) as f32);
    let factor = ONE as f32 / length;
    for word in words {
        let component = *word as i32 as f32 * factor;
        *word = fixed(component.to_bits(), EXPONENT_OF_ONE + 15) as u32;
    }
    true
}

fn exponent(bits: u32) -> u32 {
    bits >> MANTISSA_BITS & 0xFF
}

/// A float × 2^15 / 2^(largest - 127), rounded to nearest, a half away from zero; something from 2^15 to 2^16 if its
/// exponent is above `largest`.
fn fixed(bits: u32, largest: u32) -> i32 {
    let (float, mantissa) = (
        exponent(bits),
        bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS,
    );
    let shift = (largest + 8).saturating_sub(float).max(8);
    // Zero, subnormal, or rounded to zero.
    if float == 0 || shift > MANTISSA_BITS + 1 {
        return 0;
    }
    let magnitude = (mantissa + (1 << (shift - 1))) >> shift;
    if bits >> 31 == 0 {
        magnitude as i32
    } else {
        -(magnitude as i32)
    }
}

fn squares(values: impl Iterator<Item = i32>) -> u64 {
    let squares = values.map(|value| u64::from(value.unsigned_abs()).pow(2));
    squares.fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn unit_vectors_are_rounded_to_nearest() {
        let mut words = bits(&[
            0.6,
            -0.8,
            1.5 / 32768.0,
            -0.5 / 32768.0,
            0.49 / 32768.0,
            0.0,
        ]);
        assert!(direction(&mut words));
        let components: Vec<i32> = words.iter().map(|&word| word as i32).collect();
        assert_eq!(components, [19661, -26214, 2, -1, 0, 0]);
    }

    #[test]
    fn any_length_gives_the_same_direction() {
        for length in [1e-37, 1e-20, 0.1, 3.0, 1e20, 1e38_f32] {
            let mut words = bits(&[0.6 * length, -0.8 * length, 0.0, 1e-9 * length]);
            assert!(direction(&mut words), "{length}");
            let (x, y) = (words[0] as i32, words[1] as i32);
            assert!(
                x.abs_diff(19661) <= 1 && y.abs_diff(-26214) <= 1,
                "{length}: {x} {y}"
            );
            assert_eq!(words[2..], [0, 0]);
        }
    }

    #[test]
    fn squares_stay_within_their_bound() {
        let mut state = 1_u32;
        for round in 0..2000 {
            let mut words: Vec<u32> = (0..1 + round % 300)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state
                })
                .collect();
            if direction(&mut words) {
                let squares = squares(words.iter().map(|&word| word as i32));
                assert!(
                    (MAX_SQUARES / 4..=MAX_SQUARES).contains(&squares),
                    "{squares}"
                );
            }
        }
        for nowhere in [
            bits(&[]),
            bits(&[0.0, -0.0]),
            bits(&[1e-40]),
            bits(&[f32::NAN, 1.0]),
        ] {
            assert!(!direction(&mut nowhere.clone()));
        }
    }
}
