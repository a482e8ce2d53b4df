//! Principal component analysis of the table.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};

use crate::matrix::multiply;
use crate::{Error, Result};

/// How many dimensions a distilled table has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dims {
    /// This many principal components.
    Components(usize),
    /// As few principal components as explain this share of the variance, between 0 and 1.
    Variance(f64),
    /// The teacher's own dimensions, neither rotated nor centred.
    Teacher,
}

/// Rows projected onto the principal components of their centred values, largest variance first.
///
/// `rows` is row-major, `width` values a row. The projection is not whitened and the mean is not
/// added back. A component's sign is such that its projection of largest magnitude is positive.
/// Gives the projected rows and their width.
///
/// # Errors
/// [`Error::TooManyDims`] if more components are asked for than `width` or the number of rows
/// allow; [`Error::Option`] if a count is 0 or a share not between 0 and 1; [`Error::Eigen`].
pub fn project(rows: Vec<f32>, width: usize, dims: Dims) -> Result<(Vec<f32>, usize)> {
    let count = rows.len().checked_div(width).unwrap_or(0);
    match dims {
        Dims::Teacher => return Ok((rows, width)),
        Dims::Components(requested) => check_components(requested, width, count)?,
        Dims::Variance(share) => {
            if !(share > 0.0 && share < 1.0) {
                let what = format!("{share} is no share of the variance; it lies between 0 and 1");
                return Err(Error::Option {
                    option: "dims",
                    what,
                });
            }
            check_components(1, width, count)?;
        }
    }
    let mut rows = rows;
    center(&mut rows, width);
    let rows = MatRef::from_row_major_slice(&rows, count, width);
    let axes = principal_axes(rows)?;
    let kept = match dims {
        Dims::Variance(share) => components_for(share, &axes.variances),
        Dims::Components(requested) => requested,
        Dims::Teacher => width,
    };
    let mut projected = multiply(rows, axes.first(kept).as_ref());
    fix_signs(&mut projected, kept);
    Ok((projected, kept))
}

/// The eigenvectors of rows' second moments: of their covariance, if they are centred.
pub(crate) struct PrincipalAxes {
    /// Variance along each axis, largest first.
    pub(crate) variances: Vec<f64>,
    /// An axis a column, the one of the largest variance last.
    pub(crate) vectors: Mat<f64>,
}

impl PrincipalAxes {
    /// The axes of largest variance, one a column.
    pub(crate) fn first(&self, count: usize) -> Mat<f32> {
        let width = self.vectors.nrows();
        Mat::from_fn(width, count, |row, column| {
            self.vectors[(row, width - 1 - column)] as f32
        })
    }
}

/// # Errors
/// [`Error::Eigen`].
pub(crate) fn principal_axes(rows: MatRef<'_, f32>) -> Result<PrincipalAxes> {
    let (count, width) = rows.shape();
    let mut covariance = Mat::<f64>::zeros(width, width);
    // f64 throughout: the smallest components of an f32 covariance are rounding noise, and differ between machines.
    for start in (0..count).step_by(BLOCK_ROWS) {
        let block = rows.subrows(start, BLOCK_ROWS.min(count - start));
        let block = Mat::from_fn(block.nrows(), width, |row, column| {
            f64::from(block[(row, column)])
        });
        matmul(
            covariance.as_mut(),
            Accum::Add,
            block.transpose(),
            block.as_ref(),
            1.0 / count.saturating_sub(1).max(1) as f64,
            Par::rayon(0),
        );
    }
    // Ascending, as LAPACK gives them.
    let eigen = covariance
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::Eigen)?;
    let variances = eigen
        .S()
        .column_vector()
        .iter()
        .rev()
        .map(|value| value.max(0.0))
        .collect();
    Ok(PrincipalAxes {
        variances,
        vectors: eigen.U().to_owned(),
    })
}

/// Rows converted to f64 at a time.
const BLOCK_ROWS: usize = 4096;

fn check_components(requested: usize, width: usize, count: usize) -> Result<()> {
    if requested == 0 {
        return Err(Error::Option {
            option: "dims",
            what: "0 dimensions hold nothing; ask for at least 1".to_owned(),
        });
    }
    // Centred rows span one dimension less than there are rows.
    let by_rows = count.saturating_sub(1);
    if requested > width {
        let limit = "the teacher's hidden states";
        return Err(Error::TooManyDims {
            requested,
            maximum: width.min(by_rows),
            limit,
        });
    }
    if requested > by_rows {
        let limit = "the kept vocabulary entries";
        return Err(Error::TooManyDims {
            requested,
            maximum: by_rows,
            limit,
        });
    }
    Ok(())
}

/// How many of the largest `variances` explain `share` of their sum.
fn components_for(share: f64, variances: &[f64]) -> usize {
    let total: f64 = variances.iter().sum();
    let mut explained = 0.0;
    let short = variances.iter().take_while(|&&variance| {
        explained += variance;
        explained < share * total
    });
    (short.count() + 1).min(variances.len())
}

/// Takes the mean of all rows off each; the mean.
fn center(rows: &mut [f32], width: usize) -> Vec<f64> {
    let mut mean = vec![0.0f64; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let count = (rows.len() / width) as f64;
    mean.iter_mut().for_each(|sum| *sum /= count);
    subtract(rows, &mean);
    mean
}

/// Takes a vector off each row.
fn subtract(rows: &mut [f32], vector: &[f64]) {
    for row in rows.chunks_exact_mut(vector.len()) {
        row.iter_mut()
            .zip(vector)
            .for_each(|(value, off)| *value = (f64::from(*value) - off) as f32);
    }
}

fn fix_signs(projected: &mut [f32], width: usize) {
    let mut extremes = vec![0.0f32; width];
    for row in projected.chunks_exact(width) {
        for (extreme, value) in extremes.iter_mut().zip(row) {
            if value.abs() > extreme.abs() {
                *extreme = *value;
            }
        }
    }
    for row in projected.chunks_exact_mut(width) {
        for (value, extreme) in row.iter_mut().zip(&extremes) {
            if *extreme < 0.0 {
                *value = -*value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four points of a 3-4-5 rectangle turned by atan(4/3): components along (3,4)/5 and (-4,3)/5.
    fn points() -> Vec<f32> {
        let (long, short) = ([3.0, 4.0], [-0.8, 0.6]);
        let corner = |a: f32, b: f32| {
            [
                7.0 + a * long[0] + b * short[0],
                -2.0 + a * long[1] + b * short[1],
            ]
        };
        [
            corner(1.0, 2.0),
            corner(1.0, -2.0),
            corner(-1.0, 2.0),
            corner(-1.0, -2.0),
            corner(1.5, 0.0),
            corner(-1.5, 0.0),
        ]
        .concat()
    }

    #[test]
    fn finds_known_components() {
        let (projected, width) = project(points(), 2, Dims::Components(2)).unwrap();
        assert_eq!(width, 2);
        // First component: ±5 and ±7.5, of which 7.5 comes first and is made positive.
        let first: Vec<f32> = projected.iter().step_by(2).copied().collect();
        for (value, expected) in first.iter().zip([5.0, 5.0, -5.0, -5.0, 7.5, -7.5]) {
            assert!((value.abs() - f32::abs(expected)).abs() < 1e-5, "{first:?}");
        }
        assert!(
            (first[0] - first[1]).abs() < 1e-5 && (first[0] + first[2]).abs() < 1e-5,
            "{first:?}"
        );
        let second: Vec<f32> = projected.iter().skip(1).step_by(2).copied().collect();
        assert!(
            (second[0].abs() - 2.0).abs() < 1e-5 && second[4].abs() < 1e-5,
            "{second:?}"
        );
    }

    #[test]
    fn largest_projection_is_positive() {
        let mut rows = points();
        rows.extend([100.0, 90.0]);
        let (projected, _) = project(rows, 2, Dims::Components(1)).unwrap();
        assert!(projected[6] > 0.0);
    }

    #[test]
    fn keeps_the_share_of_variance_asked_for() {
        // Variances 4·25 + 2·56.25 and 4·4 along the two axes: the first explains 93 %.
        assert_eq!(project(points(), 2, Dims::Variance(0.9)).unwrap().1, 1);
        assert_eq!(project(points(), 2, Dims::Variance(0.95)).unwrap().1, 2);
    }

    #[test]
    fn teacher_dimensions_are_left_alone() {
        assert_eq!(project(points(), 2, Dims::Teacher).unwrap(), (points(), 2));
    }

    #[test]
    fn too_many_dimensions_name_the_maximum() {
        let error = project(points(), 2, Dims::Components(3)).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooManyDims {
                    requested: 3,
                    maximum: 2,
                    ..
                }
            ),
            "{error}"
        );
        let error = project(vec![0.0; 30], 10, Dims::Components(3)).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooManyDims {
                    requested: 3,
                    maximum: 2,
                    ..
                }
            ),
            "{error}"
        );
        assert!(matches!(
            project(points(), 2, Dims::Components(0)),
            Err(Error::Option { .. })
        ));
        assert!(matches!(
            project(points(), 2, Dims::Variance(1.5)),
            Err(Error::Option { .. })
        ));
    }
}
