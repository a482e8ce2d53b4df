//! Comparing embeddings.

/// Partial sums, added up in one fixed order: enough for SIMD, and the same bits everywhere.
const LANES: usize = 8;

/// Cosine of the angle between two embeddings, in -1..=1 up to rounding; 0 if either is all zero.
///
/// Components past the shorter one's end are ignored. Never panics.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    // One root each: the product of the squares could leave the range of `f32`.
    let lengths = sqrt(sum_of_squares(a)) * sqrt(sum_of_squares(b));
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}

/// Cosine of the angle between two 8-bit embeddings, in -1..=1 up to rounding; 0 if either is all
/// zero.
///
/// Sums are integers; see [`Model::encode_i8`](crate::Model::encode_i8). Components past the
/// shorter one's end are ignored. Never panics.
pub fn cosine_i8(a: &[i8], b: &[i8]) -> f32 {
    let dot = |a: &[i8], b: &[i8]| -> i32 {
        a.iter().zip(b).fold(0, |sum, (&x, &y)| {
            sum.wrapping_add(i32::from(x) * i32::from(y))
        })
    };
    let squares = dot(a, a) as f32 * dot(b, b) as f32;
    if squares > 0.0 {
        dot(a, b) as f32 / sqrt(squares)
    } else {
        0.0
    }
}

/// The square root, rounded to nearest: everywhere the same bits.
#[inline(always)]
pub(crate) fn sqrt(x: f32) -> f32 {
    #[cfg(feature = "std")]
    return x.sqrt();
    #[cfg(not(feature = "std"))]
    libm::sqrtf(x)
}

#[inline(always)]
pub(crate) fn sum_of_squares(values: &[f32]) -> f32 {
    dot(values, values)
}

#[cfg_attr(feature = "std", inline(always))]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += x * y;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines() {
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 1.0]), 0.0);
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[3.0, 4.0], &[-3.0, -4.0]), -1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
        assert_eq!(cosine(&[], &[]), 0.0);
        let long: [f32; 19] = core::array::from_fn(|i| i as f32);
        assert!((cosine(&long, &long) - 1.0).abs() < 1e-6);
        assert_eq!(cosine_i8(&[127, 0], &[127, 0]), 1.0);
        assert_eq!(cosine_i8(&[127, 0], &[-127, 0]), -1.0);
        assert_eq!(cosine_i8(&[0, 0], &[1, 1]), 0.0);
    }
}
