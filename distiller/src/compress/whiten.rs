//! Partial whitening: a flatter spectrum.

use faer::{Mat, MatRef};

use crate::error::Result;
use crate::matrix::multiply;
use crate::pca;

/// Rows along the principal axes of their second moments, each axis divided by its standard deviation
/// to the power of `power`: 0 only turns them, 1 whitens them. The mean squared length stays.
///
/// `rows` is row-major, `width` values a row; the first `kept` axes are kept. A few directions carry
/// most of a static table's variance and little of its meaning (Mu and Viswanath, "All-but-the-Top",
/// 2018); what a codec has to spend is better spent evenly.
///
/// # Errors
/// [`Error::Eigen`](crate::Error::Eigen).
pub(super) fn whiten(rows: &[f32], width: usize, power: f64, kept: usize) -> Result<Vec<f32>> {
    let count = rows.len() / width;
    let matrix = MatRef::from_row_major_slice(rows, count, width);
    let axes = pca::principal_axes(matrix)?;
    let largest = axes.variances.first().copied().unwrap_or(0.0);
    let weight = |axis: usize| match axes.variances[axis] {
        // What is rounding noise stays out.
        variance if variance > 1e-9 * largest => variance.powf(-power / 2.0),
        _ => 0.0,
    };
    let moment = |axis: usize| axes.variances[axis] * weight(axis).powi(2);
    let (before, after): (f64, f64) = (
        axes.variances[..kept].iter().sum(),
        (0..kept).map(moment).sum(),
    );
    let scale = if after > 0.0 {
        (before / after).sqrt()
    } else {
        0.0
    };
    let projection = Mat::from_fn(width, kept, |row, axis| {
        (axes.vectors[(row, width - 1 - axis)] * weight(axis) * scale) as f32
    });
    Ok(multiply(matrix, projection.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(rows: &[f32]) -> [f32; 2] {
        let sum = |at: usize| rows.iter().skip(at).step_by(2).map(|v| v * v).sum::<f32>();
        [sum(0), sum(1)]
    }

    #[test]
    fn flattens_and_keeps_the_length() {
        let rows = [4.0, 0.0, -4.0, 0.0, 0.0, 1.0, 0.0, -1.0_f32];
        let half = moments(&whiten(&rows, 2, 0.5, 2).unwrap());
        // Variances 16 to 1 become their square roots.
        assert!((half[0] / half[1] - 4.0).abs() < 1e-4, "{half:?}");
        assert!((half[0] + half[1] - 34.0).abs() < 1e-3, "{half:?}");
        let full = moments(&whiten(&rows, 2, 1.0, 2).unwrap());
        assert!((full[0] - full[1]).abs() < 1e-3, "{full:?}");
        let turned = moments(&whiten(&rows, 2, 0.0, 2).unwrap());
        assert!((turned[0] - 32.0).abs() < 1e-3, "{turned:?}");
    }
}
