//! Rows of floats. Each sum adds its tokens in text order, so that it rounds the same everywhere.

use half::f16;

pub(super) fn add_f32(sums: &mut [u32], rows: &[&[u8]]) {
    for row in rows {
        for (sum, &value) in sums.iter_mut().zip(row.as_chunks().0) {
            *sum = (f32::from_bits(*sum) + f32::from_le_bytes(value)).to_bits();
        }
    }
}

pub(super) fn add_f16(sums: &mut [u32], rows: &[&[u8]]) {
    for row in rows {
        for (sum, &value) in sums.iter_mut().zip(row.as_chunks().0) {
            *sum = (f32::from_bits(*sum) + f16::from_le_bytes(value).to_f32()).to_bits();
        }
    }
}
