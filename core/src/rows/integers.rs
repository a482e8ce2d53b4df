//! Rows of integers with a scale: whole ones, or cut into sub-vectors that codebooks hold.
//!
//! Sums wrap as two's complement, so it does not matter in which order they are made.

use super::{Scales, Values, layout};
use crate::image::ProductQuantizer;

/// Adds rows of 8-bit integers.
pub(super) fn add_int8(sums: &mut [u32], values: &Values, scales: &Scales) {
    add::<1, STEP>(sums, values, scales, 0);
}

/// Adds rows of 4-bit fields, with twice their scales: a field `q` stands for 2 `q` - 15.
pub(super) fn add_int4(sums: &mut [u32], values: &Values, scales: &Scales) {
    let less = half_the_sum(scales).wrapping_mul(layout::INT4_MAX);
    add::<2, { STEP / 2 }>(sums, values, scales, less);
}

/// Adds rows of 2-bit fields, with twice their scales: a field `q` stands for 2 `q` - 3.
pub(super) fn add_int2(sums: &mut [u32], values: &Values, scales: &Scales) {
    let less = half_the_sum(scales).wrapping_mul(layout::INT2_MAX);
    add::<4, { STEP / 4 }>(sums, values, scales, less);
}

fn half_the_sum(scales: &Scales) -> u32 {
    let [a, b, c, d] = scales.map(|scale| scale as u32 / 2);
    a.wrapping_add(b).wrapping_add(c).wrapping_add(d)
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
    let mut codebook = codebooks;
    for (at, sums) in sums.chunks_mut(sub_dims).enumerate() {
        let entries = values.map(|codes| {
            let code = if pq.code_bits == 4 {
                codes
                    .get(at / 2)
                    .map_or(0, |pair| pair >> (at % 2 * 4) & 15)
            } else {
                codes.get(at).copied().unwrap_or(0)
            };
            codebook.get(usize::from(code) * sub_dims..).unwrap_or(&[])
        });
        add::<1, STEP>(sums, &entries, scales, 0);
        codebook = codebook.get(step..).unwrap_or(&[]);
    }
}

/// Dimensions a step of [`add`].
const STEP: usize = 8;

/// Adds the values of four rows, `PER_BYTE` a byte, each times its scale, and takes off `less`.
#[inline(never)]
fn add<const PER_BYTE: usize, const STEP_LEN: usize>(
    sums: &mut [u32],
    values: &Values,
    scales: &Scales,
    less: u32,
) {
    let [a, b, c, d] = *values;
    let [of_a, of_b, of_c, of_d] = *scales;
    let (steps, rest) = sums.as_chunks_mut::<STEP>();
    let done = steps.len() * STEP_LEN;
    let rows = a.as_chunks::<STEP_LEN>().0.iter();
    let rows = rows.zip(b.as_chunks::<STEP_LEN>().0);
    let rows = rows.zip(c.as_chunks::<STEP_LEN>().0);
    let rows = rows.zip(d.as_chunks::<STEP_LEN>().0);
    for (sums, (((a, b), c), d)) in steps.iter_mut().zip(rows) {
        // Written out: loops stay loops where code is optimised for size, and here time is spent.
        macro_rules! add {
            ($($at:literal)*) => {
                $(
                    sums[$at] = sums[$at]
                        .wrapping_sub(less)
                        .wrapping_add(scaled::<PER_BYTE>(a, $at, of_a))
                        .wrapping_add(scaled::<PER_BYTE>(b, $at, of_b))
                        .wrapping_add(scaled::<PER_BYTE>(c, $at, of_c))
                        .wrapping_add(scaled::<PER_BYTE>(d, $at, of_d));
                )*
            };
        }
        add!(0 1 2 3 4 5 6 7);
    }
    for (at, sum) in rest.iter_mut().enumerate() {
        *sum = sum.wrapping_sub(less);
        for (values, scale) in values.iter().zip(scales) {
            let values = values.get(done..).unwrap_or(&[]);
            *sum = sum.wrapping_add(scaled::<PER_BYTE>(values, at, *scale));
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
