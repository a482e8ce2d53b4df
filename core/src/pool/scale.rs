//! The last step of integer sums: squares, and a float for every sum.
//!
//! Parts without floating point would call a routine twice a dimension for the latter. There the same bits
//! are made with integers.

/// Cortex-M0 and its like: a product of 32 by 32 bits has only its lower 32, and most instructions reach eight
/// registers.
pub(crate) const CORTEX_M0: bool = cfg!(all(target_arch = "arm", not(target_has_atomic = "32")));

/// Whether floats are made of integers: where the compiler would call routines for them, or may.
pub(crate) const SOFT_FLOATS: bool = cfg!(any(
    all(target_arch = "arm", not(target_abi = "eabihf")),
    target_arch = "riscv32"
));

const SIGN: u32 = 1 << 31;

// Small loops, four sums a step: loops stay loops where code is optimised for size. With vectors, what
// the compiler makes of the plain loop is better.

/// Runs a function on every sum.
#[inline(always)]
fn for_each(sums: &mut [u32], mut f: impl FnMut(&mut u32)) {
    if cfg!(feature = "std") {
        return sums.iter_mut().for_each(f);
    }
    let (steps, rest) = sums.as_chunks_mut::<4>();
    for [a, b, c, d] in steps {
        f(a);
        f(b);
        f(c);
        f(d);
    }
    rest.iter_mut().for_each(f);
}

/// Folds all sums.
#[inline(always)]
fn fold<T>(sums: &[u32], start: T, f: impl Fn(T, u32) -> T) -> T {
    if cfg!(feature = "std") {
        return sums.iter().fold(start, |all, &sum| f(all, sum));
    }
    let (steps, rest) = sums.as_chunks::<4>();
    let all = steps
        .iter()
        .fold(start, |all, &[a, b, c, d]| f(f(f(f(all, a), b), c), d));
    rest.iter().fold(all, |all, &sum| f(all, sum))
}

/// The sum of the squares of all sums, each shifted right by `shift`, which leaves at most 24 bits and
/// a sign.
#[cfg_attr(feature = "std", inline(always))]
#[cfg_attr(not(feature = "std"), inline(never))]
pub(super) fn squares(sums: &[u32], shift: u32) -> u64 {
    if CORTEX_M0 {
        squares_of_halves(sums, shift)
    } else {
        squares_whole(sums, shift)
    }
}

#[inline(always)]
fn squares_whole(sums: &[u32], shift: u32) -> u64 {
    let squares = fold(sums, 0, |squares, sum| {
        let kept = i64::from(sum as i32 >> shift);
        squares + kept * kept
    });
    squares as u64
}

/// [`squares_whole`] from products of 12 by 12 bits and their signs, of which 128 fit 32 bits.
fn squares_of_halves(sums: &[u32], shift: u32) -> u64 {
    let mut squares = 0_i64;
    for sums in sums.chunks(128) {
        let (mut high, mut mixed, mut low) = (0_u32, 0_i32, 0_u32);
        for &sum in sums {
            let kept = sum as i32 >> shift;
            let (h, l) = (kept >> 12, kept & 0xFFF);
            high = high.wrapping_add(h.wrapping_mul(h) as u32);
            mixed = mixed.wrapping_add(h.wrapping_mul(l));
            low = low.wrapping_add(l.wrapping_mul(l) as u32);
        }
        squares += (i64::from(high) << 24) + (i64::from(mixed) << 13) + i64::from(low);
    }
    squares as u64
}

/// Turns integer sums into their multiples by a positive `factor`, at most 1, in place, as `f32`
/// bits: each sum is rounded to `f32`, then the product.
#[cfg_attr(feature = "std", inline(always))]
#[cfg_attr(not(feature = "std"), inline(never))]
pub(super) fn scale(sums: &mut [u32], factor: f32) {
    // The soft way knows no subnormal results.
    if !SOFT_FLOATS || factor.to_bits() < f32::MIN_POSITIVE.to_bits() {
        scale_in_floats(sums, factor);
    } else if CORTEX_M0 {
        scale_in_integers(sums, factor, product_of_halves);
    } else {
        scale_in_integers(sums, factor, product);
    }
}

#[inline(always)]
fn scale_in_floats(sums: &mut [u32], factor: f32) {
    for_each(sums, |sum| *sum = (*sum as i32 as f32 * factor).to_bits());
}

/// [`scale_in_floats`] for a normal factor.
#[inline(always)]
fn scale_in_integers(sums: &mut [u32], factor: f32, product: impl Fn(u32, u32) -> (u32, u32)) {
    let magnitudes = fold(sums, 0, |all, sum| all | (sum as i32).unsigned_abs());
    let common = magnitudes.leading_zeros() & 31;
    // Mantissas have their leading one in bit 31, and their low 8 bits clear. The product of two
    // then has its leading one in bit 30 or 31 of the upper half.
    let mantissa = factor.to_bits() << 8 | SIGN;
    let largest = (factor.to_bits() >> 23) + 31 - common;
    for word in sums {
        let mut sum = (*word as i32).unsigned_abs() << common;
        if sum == 0 {
            continue;
        }
        let mut exponent = largest;
        // A loop, since these parts may lack an instruction for it and most sums are near the
        // largest.
        while sum & SIGN == 0 {
            exponent -= 1;
            sum <<= 1;
        }
        if sum & 0xFF != 0 {
            sum = round(sum) << 8;
            if sum == 0 {
                sum = SIGN;
                exponent += 1;
            }
        }
        let (mut upper, mut lower) = product(sum, mantissa);
        if upper & SIGN == 0 {
            upper = upper << 1 | lower >> 31;
            lower <<= 1;
            exponent -= 1;
        }
        // What is below only says whether it is more than a half that is dropped.
        let rounded = round(upper | u32::from(lower != 0));
        // The leading one adds one to the exponent, and so does a carry out of rounding.
        *word = *word & SIGN | (exponent << 23).wrapping_add(rounded);
    }
}

/// The upper 24 bits, rounded to nearest, a half to even.
#[inline(always)]
fn round(bits: u32) -> u32 {
    let kept = bits >> 8;
    kept + (((bits & 0xFF) + (kept & 1) + 0x7F) >> 8)
}

/// The upper and the lower half of a product.
#[inline(always)]
fn product(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// [`product`] of numbers whose low 8 bits are clear.
#[inline(always)]
fn product_of_halves(a: u32, b: u32) -> (u32, u32) {
    // 8 and 16 bits of each, so that all that is added up fits 32 bits.
    let (a_high, a_low) = (a >> 24, a >> 8 & 0xFFFF);
    let (b_high, b_low) = (b >> 24, b >> 8 & 0xFFFF);
    let low = a_low.wrapping_mul(b_low);
    let upper = (a_high.wrapping_mul(b_high) << 16)
        .wrapping_add(a_high.wrapping_mul(b_low))
        .wrapping_add(a_low.wrapping_mul(b_high))
        .wrapping_add(low >> 16);
    (upper, low << 16)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn random(state: &mut u64) -> u32 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 32) as u32
    }

    /// Sums with ties and carries in rounding, and random ones of every length.
    fn sums(state: &mut u64) -> Vec<u32> {
        let mut sums = Vec::new();
        for bit in 0..32 {
            let power = 1_u32 << bit;
            for near in [0, 1, 2, 3, 0x7F, 0x80, 0x81, 0xBF, 0xC0, 0x100, 0x180] {
                sums.extend([power.wrapping_add(near), power.wrapping_sub(near)]);
            }
            sums.extend((0..100).map(|_| random(state) >> bit));
        }
        let negative: Vec<u32> = sums.iter().map(|sum| sum.wrapping_neg()).collect();
        sums.extend(negative);
        sums
    }

    #[test]
    fn integers_make_the_bits_of_floats() {
        let mut state = 0x2545_F491_4F6C_DD1D;
        for round in 0..300_u32 {
            let factor = match round {
                0 => 1.0,
                1 => f32::MIN_POSITIVE,
                2 => 1.0_f32.next_down(),
                3 => f32::MIN_POSITIVE.next_up(),
                4 => 1.0 / 3.0,
                _ => f32::from_bits(random(&mut state) % (126 << 23) + (1 << 23)),
            };
            let sums = sums(&mut state);
            // In groups, since what the largest one is decides how all are shifted.
            for sums in sums.chunks(37) {
                let mut expected = sums.to_vec();
                scale_in_floats(&mut expected, factor);
                let mut whole = sums.to_vec();
                scale_in_integers(&mut whole, factor, product);
                assert_eq!(whole, expected, "{sums:?} {factor}");
                let mut halves = sums.to_vec();
                scale_in_integers(&mut halves, factor, product_of_halves);
                assert_eq!(halves, expected, "{sums:?} {factor}");
            }
        }
    }

    #[test]
    fn squares_of_halves_are_squares() {
        let mut state = 0x2545_F491_4F6C_DD1D;
        for dims in [0, 1, 255, 256, 257, 4096] {
            for shift in 0..=7 {
                // 24 bits and a sign are left: from the lowest to the highest, both included.
                let lowest = i32::MIN >> (7 - shift);
                let mut sums: Vec<u32> = (0..dims)
                    .map(|_| (random(&mut state) as i32 >> (7 - shift)) as u32)
                    .collect();
                assert_eq!(squares_of_halves(&sums, shift), squares_whole(&sums, shift));
                for sum in [lowest, lowest + 1, !lowest, 0xFFF << shift, -1] {
                    sums.fill(sum as u32);
                    assert_eq!(squares_of_halves(&sums, shift), squares_whole(&sums, shift));
                }
            }
        }
    }
}
