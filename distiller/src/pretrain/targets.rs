//! What sentence vectors of a static model are to be: the teacher's, in as few dimensions as the model has.

use faer::{Mat, MatRef};

use super::features::normalize;
use crate::matrix::multiply;
use crate::pca::principal_axes;
use crate::{Error, Result};

/// Most vectors that principal components are found from, evenly spread over the corpus.
const MOST_SAMPLED: usize = 1 << 16;

/// Keeps the first principal components of the teacher's vectors, which are not centred: people compare them as they
/// are, and so do the cosines of a model that learns them (centred ones gave 0.5 less on STS-B).
pub(super) struct Targets {
    components: Mat<f32>,
}

impl Targets {
    /// How many vectors apart samples are.
    pub(super) fn sampling(texts: usize) -> usize {
        texts.div_ceil(MOST_SAMPLED).max(1)
    }

    /// From a sample of the teacher's vectors, row-major, `width` values each.
    ///
    /// # Errors
    /// [`Error::TooManyDims`]; [`Error::Eigen`].
    pub(super) fn fit(sample: &[f32], width: usize, dims: usize) -> Result<Self> {
        let count = sample.len() / width.max(1);
        let maximum = width.min(count.saturating_sub(1));
        if dims > maximum {
            return Err(Error::TooManyDims {
                requested: dims,
                maximum,
                limit: "the teacher's vectors of the corpus",
            });
        }
        let rows = MatRef::from_row_major_slice(sample, count, width);
        let components = principal_axes(rows)?.first(dims);
        Ok(Self { components })
    }

    /// Teacher's vectors as targets: unit vectors of the model's dimensions, row-major.
    pub(super) fn project(&self, vectors: &[f32]) -> Vec<f32> {
        let (width, dims) = self.components.shape();
        let rows = MatRef::from_row_major_slice(vectors, vectors.len() / width, width);
        let mut targets = multiply(rows, self.components.as_ref());
        targets.chunks_exact_mut(dims).for_each(normalize);
        targets
    }
}

/// The rotation that brings `from` nearest to `to`, both row-major with `dims` values a row (orthogonal Procrustes).
///
/// # Errors
/// [`Error::Eigen`] if the decomposition does not converge.
pub(super) fn rotation(from: &[f32], to: &[f32], dims: usize) -> Result<Mat<f32>> {
    let count = from.len() / dims;
    let from = MatRef::from_row_major_slice(from, count, dims);
    let to = MatRef::from_row_major_slice(to, count, dims);
    let mut product = Mat::<f32>::zeros(dims, dims);
    faer::linalg::matmul::matmul(
        product.as_mut(),
        faer::Accum::Replace,
        from.transpose(),
        to,
        1.0,
        faer::Par::rayon(0),
    );
    let svd = product.svd().map_err(|_| Error::Eigen)?;
    Ok(svd.U() * svd.V().transpose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_found_again() {
        let (sin, cos) = (0.6_f32, 0.8_f32);
        let from = [1.0, 0.0, 0.0, 1.0, 2.0, 1.0];
        let turned = |[x, y]: [f32; 2]| [cos * x - sin * y, sin * x + cos * y];
        let to: Vec<f32> = from
            .as_chunks()
            .0
            .iter()
            .flat_map(|&row| turned(row))
            .collect();
        let rotation = rotation(&from, &to, 2).unwrap();
        let rows = MatRef::from_row_major_slice(&from, 3, 2);
        let found = multiply(rows, rotation.as_ref());
        assert!(found.iter().zip(&to).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
