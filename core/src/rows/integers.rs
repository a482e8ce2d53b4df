//! Rows of integers with a scale: whole ones, or cut into sub-vectors that codebooks hold.
//!
//! Sums wrap as two's complement, so it does not matter in which order they are made.

use super::{GROUP, layout};
use crate::image::ProductQuantizer;

/// Values of a group of rows, packed, and what each row's are multiplied by.
struct Group<'a> {
    values: [&'a [u8]; GROUP],
    scales: [i32; GROUP],
}

impl<'a> Group<'a> {
    /// The group of at most [`GROUP`] rows of a scale of `SCALE_LEN` bytes, and values. Rows that
    /// are not there are the first, zero times.
    #[inline]
    fn new<const SCALE_LEN: usize>(rows: &[&'a [u8]]) -> Self {
        let first = rows.first().and_then(|row| row.get(SCALE_LEN..));
        let mut values = [first.unwrap_or(&[]); GROUP];
        let mut scales = [0; GROUP];
        for ((values, scale), row) in values.iter_mut().zip(&mut scales).zip(rows) {
            if let Some((head, rest)) = row.split_first_chunk::<SCALE_LEN>() {
                *values = rest;
                *scale = match *head.as_slice() {
                    [byte] => layout::scale(byte) as i32,
                    [low, high] => i32::from(u16::from_le_bytes([low, high])),
                    _ => 0,
                };
            }
        }
        Self { values, scales }
    }
}

/// Adds rows of a 16-bit scale and 8-bit integers.
pub(super) fn add_int8(sums: &mut [u32], rows: &[&[u8]]) {
    let group = Group::new::<2>(rows);
    add::<1, STEP>(sums, &group.values, &group.scales, 0);
}

/// Adds rows of a scale and 4-bit fields: a field `q` stands for 2 `q` - 15.
pub(super) fn add_int4(sums: &mut [u32], rows: &[&[u8]]) {
    let mut group = Group::new::<1>(rows);
    let less = twice(&mut group.scales, layout::INT4_MAX);
    add::<2, { STEP / 2 }>(sums, &group.values, &group.scales, less);
}

/// Adds rows of a scale and 2-bit fields: a field `q` stands for 2 `q` - 3.
pub(super) fn add_int2(sums: &mut [u32], rows: &[&[u8]]) {
    let mut group = Group::new::<1>(rows);
    let less = twice(&mut group.scales, layout::INT2_MAX);
    add::<4, { STEP / 4 }>(sums, &group.values, &group.scales, less);
}

/// Doubles scales, for fields `q` that stand for 2 `q` - `most`; what is then too much in a sum.
fn twice(scales: &mut [i32; GROUP], most: u32) -> u32 {
    let mut less = 0_u32;
    for scale in scales {
        less = less.wrapping_add((*scale as u32).wrapping_mul(most));
        *scale <<= 1;
    }
    less
}

/// Adds the codebook entries that rows of an 8-bit scale and codes name.
pub(super) fn add_sub_vectors(
    sums: &mut [u32],
    rows: &[&[u8]],
    pq: ProductQuantizer,
    codebooks: &[u8],
) {
    let group = Group::new::<1>(rows);
    let sub_dims = usize::from(pq.sub_dims).max(1);
    let step = if pq.shared { 0 } else { pq.codebook_len() };
    let mut codebook = codebooks;
    for (at, sums) in sums.chunks_mut(sub_dims).enumerate() {
        let entries = group.values.map(|codes| {
            let code = if pq.code_bits == 4 {
                codes
                    .get(at / 2)
                    .map_or(0, |pair| pair >> (at % 2 * 4) & 15)
            } else {
                codes.get(at).copied().unwrap_or(0)
            };
            codebook.get(usize::from(code) * sub_dims..).unwrap_or(&[])
        });
        add::<1, STEP>(sums, &entries, &group.scales, 0);
        codebook = codebook.get(step..).unwrap_or(&[]);
    }
}

/// Dimensions a step of [`add`].
const STEP: usize = 8;

/// Adds the values of four rows, `PER_BYTE` a byte, each times its scale, and takes off `less`.
#[inline(never)]
fn add<const PER_BYTE: usize, const STEP_LEN: usize>(
    sums: &mut [u32],
    values: &[&[u8]; GROUP],
    scales: &[i32; GROUP],
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
