//! Rows of integers with a scale: whole ones, or cut into sub-vectors that codebooks hold.
//!
//! Sums wrap as two's complement, so it does not matter in which order they are made.

use core::sync::atomic::{Ordering, compiler_fence};

use super::{Scales, Values, layout};
use crate::image::ProductQuantizer;
use crate::pool::CORTEX_M0;

// How many rows go together in a loop, and how many dimensions a step takes, is what each architecture's
// registers hold: with more, sums and scales would move to the stack and back.

/// Cortex-M and its like.
const ARM: bool = cfg!(target_arch = "arm");

/// Adds rows of 8-bit integers.
pub(super) fn add_int8(sums: &mut [u32], values: &Values, scales: &Scales) {
    if CORTEX_M0 {
        return if sums.len() < 16 {
            add_in_twos::<1, 8, 8>(sums, values, scales, 0)
        } else {
            add_in_twos::<1, 16, 16>(sums, values, scales, 0)
        };
    }
    match (values, scales) {
        // The last rows of a text.
        ([a, b, ..], &[of_a, of_b, 0, 0]) => {
            add_two::<1, 4, 4>(sums, &[a, b], &[of_a, of_b], 0);
        }
        _ if ARM => add::<1, 2, 2>(sums, values, scales, 0),
        _ => add::<1, 4, 4>(sums, values, scales, 0),
    }
}

/// Adds rows of 4-bit fields, with twice their scales: a field `q` stands for 2 `q` - 15.
pub(super) fn add_int4(sums: &mut [u32], values: &Values, scales: &Scales) {
    if ARM && !CORTEX_M0 {
        add_in_twos::<2, 2, 1>(sums, values, scales, layout::INT4_MAX);
    } else {
        let less = too_much(scales, layout::INT4_MAX);
        add::<2, 4, 2>(sums, values, scales, less);
    }
}

/// Adds rows of 2-bit fields, with twice their scales: a field `q` stands for 2 `q` - 3.
pub(super) fn add_int2(sums: &mut [u32], values: &Values, scales: &Scales) {
    if ARM && !CORTEX_M0 {
        add_in_twos::<4, 4, 1>(sums, values, scales, layout::INT2_MAX);
    } else {
        let less = too_much(scales, layout::INT2_MAX);
        add::<4, 4, 1>(sums, values, scales, less);
    }
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
    let entry = |codes, at: usize| {
        let entry = at * step + pq.code(codes, at) * sub_dims;
        codebooks.get(entry..).unwrap_or(&[])
    };
    let [a, b, c, d] = *values;
    for (at, sums) in sums.chunks_mut(sub_dims).enumerate() {
        let entries = [entry(a, at), entry(b, at), entry(c, at), entry(d, at)];
        if ARM {
            // A call costs less than a loop that shares its registers with this one.
            add_int8(sums, &entries, scales);
        } else {
            add_inline::<1, 4, 4>(sums, &entries, scales, 0);
        }
    }
}

/// Adds the values of four rows, `PER_BYTE` a byte, each times its scale, and takes off `less`: `DIMS`
/// dimensions of `BYTES` bytes a step.
#[inline(never)]
fn add<const PER_BYTE: usize, const DIMS: usize, const BYTES: usize>(
    sums: &mut [u32],
    values: &Values,
    scales: &Scales,
    less: u32,
) {
    add_inline::<PER_BYTE, DIMS, BYTES>(sums, values, scales, less);
}

#[inline(always)]
fn add_inline<const PER_BYTE: usize, const DIMS: usize, const BYTES: usize>(
    sums: &mut [u32],
    values: &Values,
    scales: &Scales,
    less: u32,
) {
    let [a, b, c, d] = *values;
    let [of_a, of_b, of_c, of_d] = *scales;
    let (steps, rest) = sums.as_chunks_mut::<DIMS>();
    let done = steps.len() * BYTES;
    let rows = a.as_chunks::<BYTES>().0.iter();
    let rows = rows.zip(b.as_chunks::<BYTES>().0);
    let rows = rows.zip(c.as_chunks::<BYTES>().0);
    let rows = rows.zip(d.as_chunks::<BYTES>().0);
    for (sums, (((a, b), c), d)) in steps.iter_mut().zip(rows) {
        written_out(sums, |sum, at| {
            *sum = sum
                .wrapping_sub(less)
                .wrapping_add(scaled::<PER_BYTE>(a, at, of_a))
                .wrapping_add(scaled::<PER_BYTE>(b, at, of_b))
                .wrapping_add(scaled::<PER_BYTE>(c, at, of_c))
                .wrapping_add(scaled::<PER_BYTE>(d, at, of_d));
            if ARM && !CORTEX_M0 {
                // One sum after the other: the registers do not hold two. It is no instruction.
                compiler_fence(Ordering::SeqCst);
            }
        });
    }
    if !rest.is_empty() {
        add_rest(PER_BYTE, rest, done, values, scales, less);
    }
}

/// [`add`], two rows at a time; what is taken off is what fields of at most `most` add too much.
fn add_in_twos<const PER_BYTE: usize, const DIMS: usize, const BYTES: usize>(
    sums: &mut [u32],
    values: &Values,
    scales: &Scales,
    most: u32,
) {
    for (values, scales) in values.as_chunks().0.iter().zip(scales.as_chunks().0) {
        // At the end of a text there may be one row or two.
        if *scales == [0, 0] {
            continue;
        }
        add_two::<PER_BYTE, DIMS, BYTES>(sums, values, scales, too_much(scales, most));
    }
}

/// [`add`] for two rows.
#[inline(never)]
fn add_two<const PER_BYTE: usize, const DIMS: usize, const BYTES: usize>(
    sums: &mut [u32],
    values: &[&[u8]; 2],
    scales: &[i32; 2],
    less: u32,
) {
    let [a, b] = *values;
    let [of_a, of_b] = *scales;
    let (steps, rest) = sums.as_chunks_mut::<DIMS>();
    let done = steps.len() * BYTES;
    let rows = a.as_chunks::<BYTES>().0.iter();
    let rows = rows.zip(b.as_chunks::<BYTES>().0);
    for (sums, (a, b)) in steps.iter_mut().zip(rows) {
        written_out(sums, |sum, at| {
            *sum = sum
                .wrapping_sub(less)
                .wrapping_add(scaled::<PER_BYTE>(a, at, of_a))
                .wrapping_add(scaled::<PER_BYTE>(b, at, of_b));
        });
    }
    if !rest.is_empty() {
        add_rest(PER_BYTE, rest, done, values, scales, less);
    }
}

/// Calls `f` with each of 2, 4, 8 or 16 sums and its place. Loops stay loops where code is optimised for
/// size, and here time is spent.
#[inline(always)]
fn written_out(sums: &mut [u32], f: impl Fn(&mut u32, usize)) {
    let two = |[a, b]: &mut [u32; 2], from| {
        f(a, from);
        f(b, from + 1);
    };
    match sums.as_chunks_mut().0 {
        [a] => two(a, 0),
        [a, b] => {
            two(a, 0);
            two(b, 2);
        }
        [a, b, c, d] => {
            two(a, 0);
            two(b, 2);
            two(c, 4);
            two(d, 6);
        }
        [a, b, c, d, e, g, h, i] => {
            two(a, 0);
            two(b, 2);
            two(c, 4);
            two(d, 6);
            two(e, 8);
            two(g, 10);
            two(h, 12);
            two(i, 14);
        }
        _ => {}
    }
}

/// What [`add`] leaves: dimensions whose values begin at a byte.
#[inline(never)]
fn add_rest(
    per_byte: usize,
    sums: &mut [u32],
    from: usize,
    values: &[&[u8]],
    scales: &[i32],
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
