//! Rows of integers with a scale: whole ones, or cut into sub-vectors that codebooks hold.
//!
//! Sums wrap as two's complement, so it does not matter in which order they are made.

use super::{GROUP, Scales, Values, layout};
use crate::image::ProductQuantizer;

/// Dimensions a step of the loops that add rows, and a divisor of most sub-vectors' dimensions. More would
/// be faster, for hundreds of bytes of code.
const STEP: usize = 4;

/// Adds rows of 8-bit integers.
pub(super) fn add_int8(sums: &mut [u32], values: &Values, scales: &Scales) {
    add::<1, STEP>(sums, values, scales, 0);
}

/// Adds rows of 4-bit fields, with twice their scales: a field `q` stands for 2 `q` - 15.
pub(super) fn add_int4(sums: &mut [u32], values: &Values, scales: &Scales) {
    let less = too_much(scales, layout::INT4_MAX);
    add::<2, { STEP / 2 }>(sums, values, scales, less);
}

/// Adds rows of 2-bit fields, with twice their scales: a field `q` stands for 2 `q` - 3.
pub(super) fn add_int2(sums: &mut [u32], values: &Values, scales: &Scales) {
    let less = too_much(scales, layout::INT2_MAX);
    add::<4, { STEP / 4 }>(sums, values, scales, less);
}

/// What fields `q` that stand for 2 `q` - `most` add too much, with twice their scales.
#[inline(always)]
pub(super) fn too_much(scales: &[i32], most: u32) -> u32 {
    let sum = scales
        .iter()
        .fold(0_u32, |sum, &scale| sum.wrapping_add(scale as u32 / 2));
    sum.wrapping_mul(most)
}

/// Adds the codebook entries that rows of codes name.
pub(super) fn add_sub_vectors(
    sums: &mut [u32],
    values: &Values,
    scales: &Scales,
    pq: ProductQuantizer,
    codebooks: &[u8],
) {
    let sub_dims = usize::from(pq.sub_dims).max(1);
    let step = if pq.shared { 0 } else { pq.codebook_len() };
    if !sub_dims.is_multiple_of(STEP) {
        for (at, sums) in sums.chunks_mut(sub_dims).enumerate() {
            let entry = |codes| {
                let entry = at * step + pq.code(codes, at) * sub_dims;
                codebooks.get(entry..).unwrap_or(&[])
            };
            let [a, b, c, d] = values;
            let entries = [entry(a), entry(b), entry(c), entry(d)];
            add_rest(1, sums, 0, &entries, scales, 0);
        }
        return;
    }
    // All in steps from here.
    let entries = codebooks.as_chunks::<STEP>().0;
    let steps = sub_dims / STEP;
    let sums = sums.as_chunks_mut::<STEP>().0;
    for (at, sums) in sums.chunks_mut(steps).enumerate() {
        let codebook = at * (step / STEP);
        let entry = |codes| codebook + pq.code(codes, at) * steps;
        let [a, b, c, d] = values;
        let (mut a, mut b, mut c, mut d) = (entry(a), entry(b), entry(c), entry(d));
        for sums in sums {
            if let (Some(a), Some(b), Some(c), Some(d)) = (
                entries.get(a),
                entries.get(b),
                entries.get(c),
                entries.get(d),
            ) {
                add_step::<1, STEP>(sums, [a, b, c, d], scales, 0);
            }
            (a, b, c, d) = (a + 1, b + 1, c + 1, d + 1);
        }
    }
}

/// Adds the values of four rows, `PER_BYTE` a byte, each times its scale, and takes off `less`.
#[inline(never)]
fn add<const PER_BYTE: usize, const STEP_LEN: usize>(
    sums: &mut [u32],
    values: &Values,
    scales: &Scales,
    less: u32,
) {
    let [a, b, c, d] = *values;
    let (steps, rest) = sums.as_chunks_mut::<STEP>();
    let done = steps.len() * STEP_LEN;
    let rows = a.as_chunks::<STEP_LEN>().0.iter();
    let rows = rows.zip(b.as_chunks::<STEP_LEN>().0);
    let rows = rows.zip(c.as_chunks::<STEP_LEN>().0);
    let rows = rows.zip(d.as_chunks::<STEP_LEN>().0);
    for (sums, (((a, b), c), d)) in steps.iter_mut().zip(rows) {
        add_step::<PER_BYTE, STEP_LEN>(sums, [a, b, c, d], scales, less);
    }
    if !rest.is_empty() {
        add_rest(PER_BYTE, rest, done, values, scales, less);
    }
}

/// A step of [`add`].
#[inline(always)]
fn add_step<const PER_BYTE: usize, const STEP_LEN: usize>(
    sums: &mut [u32; STEP],
    [a, b, c, d]: [&[u8; STEP_LEN]; GROUP],
    [of_a, of_b, of_c, of_d]: &Scales,
    less: u32,
) {
    // Written out: loops stay loops where code is optimised for size, and here time is spent.
    let add = |sum: &mut u32, at| {
        *sum = sum
            .wrapping_sub(less)
            .wrapping_add(scaled::<PER_BYTE>(a, at, *of_a))
            .wrapping_add(scaled::<PER_BYTE>(b, at, *of_b))
            .wrapping_add(scaled::<PER_BYTE>(c, at, *of_c))
            .wrapping_add(scaled::<PER_BYTE>(d, at, *of_d));
    };
    let [first, second, third, fourth] = sums;
    add(first, 0);
    add(second, 1);
    add(third, 2);
    add(fourth, 3);
}

/// What [`add`] leaves: dimensions whose values begin at a byte.
#[inline(never)]
fn add_rest(
    per_byte: usize,
    sums: &mut [u32],
    from: usize,
    values: &Values,
    scales: &Scales,
    less: u32,
) {
    for sum in sums.iter_mut() {
        *sum = sum.wrapping_sub(less);
    }
    for (values, &scale) in values.iter().zip(scales) {
        let bytes = values.get(from..).unwrap_or(&[]);
        for (sums, &byte) in sums.chunks_mut(per_byte.max(1)).zip(bytes) {
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum = sum.wrapping_add(match per_byte {
                    1 => scaled::<1>(&[byte], 0, scale),
                    2 => scaled::<2>(&[byte], at, scale),
                    _ => scaled::<4>(&[byte], at, scale),
                });
            }
        }
    }
}

/// The value of the dimension `at`, the first lowest in its byte, times `scale`.
#[inline(always)]
fn scaled<const PER_BYTE: usize>(values: &[u8], at: usize, scale: i32) -> u32 {
    let byte = values.get(at / PER_BYTE).copied().unwrap_or(0);
    let value = match PER_BYTE {
        1 => i32::from(byte as i8),
        2 => i32::from(byte >> (at % 2 * 4) & 15),
        _ => i32::from(byte >> (at % 4 * 2) & 3),
    };
    scale.wrapping_mul(value) as u32
}
