//! Rotating rows before they are quantised.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use flashvec::ProductQuantizer;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256Plus;

use super::{Table, product};
use crate::Silent;
use crate::error::Result;
use crate::matrix::multiply;

/// The orthogonal matrix that rows are multiplied by before they are quantised.
///
/// Principal components differ in variance by an order of magnitude, and codecs spend the same bits
/// on each dimension; a rotation makes dimensions alike. It is never undone: cosines do not see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// None: for comparison.
    None,
    /// A random one, the same for the same dimensions.
    #[default]
    Random,
    /// Signs at random, then a Walsh-Hadamard transform of each power of two that the dimensions
    /// add up to.
    Hadamard,
    /// Learned for a product quantiser, from a random one: codebooks and rotation are fitted to
    /// each other in turn (Ge et al., "Optimized Product Quantization", 2013). Random for others.
    Learned,
}

/// Rounds of [`Rotation::Learned`].
const ROUNDS: usize = 8;
const SEED: u64 = 0x666C_6173_6876_6563;

impl Rotation {
    /// The rows, rotated.
    pub(super) fn apply(self, table: Table<'_>, pq: Option<ProductQuantizer>) -> Result<Vec<f32>> {
        match (self, pq) {
            (Self::None, _) => Ok(table.values.to_vec()),
            (Self::Hadamard, _) => Ok(rotate(table, hadamard(table.dims).as_ref())),
            (Self::Learned, Some(pq)) => learn(table, pq),
            (Self::Random | Self::Learned, _) => Ok(rotate(table, random(table.dims).as_ref())),
        }
    }
}

fn rotate(table: Table<'_>, rotation: MatRef<'_, f32>) -> Vec<f32> {
    let count = table.values.len() / table.dims;
    multiply(
        MatRef::from_row_major_slice(table.values, count, table.dims),
        rotation,
    )
}

/// The Q of a Gaussian matrix's QR decomposition, columns such that R's diagonal is positive:
/// uniform over all orthogonal matrices (Mezzadri, 2007).
fn random(dims: usize) -> Mat<f32> {
    let mut generator = Xoshiro256Plus::seed_from_u64(SEED);
    let gaussian = Mat::<f64>::from_fn(dims, dims, |_, _| StandardNormal.sample(&mut generator));
    let qr = gaussian.qr();
    let (q, r) = (qr.compute_Q(), qr.R());
    Mat::from_fn(dims, dims, |row, column| {
        (q[(row, column)] * r[(column, column)].signum()) as f32
    })
}

fn hadamard(dims: usize) -> Mat<f32> {
    let mut generator = Xoshiro256Plus::seed_from_u64(SEED);
    let mut matrix = Mat::zeros(dims, dims);
    let mut start = 0;
    while start < dims {
        let size = 1_usize << (dims - start).ilog2();
        for row in 0..size {
            let gaussian: f32 = StandardNormal.sample(&mut generator);
            for column in 0..size {
                // Entry of the Hadamard matrix: the parity of the common bits.
                let sign = if (row & column).count_ones() % 2 == 0 {
                    1.0
                } else {
                    -1.0_f32
                };
                matrix[(start + row, start + column)] =
                    sign * gaussian.signum() / (size as f32).sqrt();
            }
        }
        start += size;
    }
    matrix
}

/// In turn: quantise the rotated directions, then take the rotation that brings the directions
/// nearest to what came out (orthogonal Procrustes).
fn learn(table: Table<'_>, pq: ProductQuantizer) -> Result<Vec<f32>> {
    let dims = table.dims;
    let count = table.values.len() / dims;
    let directions = product::directions(table);
    let directions = Table {
        values: &directions,
        dims,
    };
    let mut rotation = random(dims);
    for _ in 0..ROUNDS {
        let rotated = rotate(directions, rotation.as_ref());
        let rotated = Table {
            values: &rotated,
            dims,
        };
        let codebooks = product::train(rotated, pq, None, &Silent)?;
        let approximated = product::approximate(rotated, pq, &codebooks);
        let mut correlation = Mat::<f32>::zeros(dims, dims);
        matmul(
            correlation.as_mut(),
            Accum::Replace,
            MatRef::from_row_major_slice(directions.values, count, dims).transpose(),
            MatRef::from_row_major_slice(&approximated, count, dims),
            1.0,
            Par::rayon(0),
        );
        let svd = correlation.svd().map_err(|_| crate::Error::Eigen)?;
        rotation = svd.U() * svd.V().transpose();
    }
    Ok(rotate(table, rotation.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_orthogonal() {
        for dims in [1, 2, 7, 48, 64] {
            for matrix in [random(dims), hadamard(dims)] {
                let product = matrix.transpose() * &matrix;
                for row in 0..dims {
                    for column in 0..dims {
                        let expected = if row == column { 1.0 } else { 0.0 };
                        assert!((product[(row, column)] - expected).abs() < 1e-5, "{dims}");
                    }
                }
            }
        }
    }
}
