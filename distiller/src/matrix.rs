//! Products of tables and matrices.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Every row times a matrix, row-major.
pub(crate) fn multiply(rows: MatRef<'_, f32>, matrix: MatRef<'_, f32>) -> Vec<f32> {
    let (count, width) = (rows.nrows(), matrix.ncols());
    let mut product = vec![0.0; count * width];
    matmul(
        MatMut::from_row_major_slice_mut(&mut product, count, width),
        Accum::Replace,
        rows,
        matrix,
        1.0,
        Par::rayon(0),
    );
    product
}
