//! Smooth inverse frequency: common words count less.

use crate::{Error, Result};

/// Model2Vec's coefficient.
pub const SIF_COEFFICIENT: f64 = 1e-4;

/// `a / (a + p)` of every rank, with `p` the share of Zipf's law: `1/(rank + 2)` over its sum for `ranked` ranks.
///
/// # Errors
/// [`Error::Option`] if the coefficient `a` does not lie between 0 and 1.
pub fn sif_weights(ranks: &[usize], ranked: usize, coefficient: f64) -> Result<Vec<f32>> {
    if !(coefficient > 0.0 && coefficient < 1.0) {
        let what =
            format!("{coefficient} is out of range; it lies between 0 and 1, 0.0001 being usual");
        return Err(Error::Option {
            option: "sif",
            what,
        });
    }
    let inverse_rank = |rank: usize| 1.0 / (rank + 2) as f64;
    let total: f64 = (0..ranked).map(inverse_rank).sum();
    let weight = |&rank: &usize| coefficient / (coefficient + inverse_rank(rank) / total);
    Ok(ranks.iter().map(|rank| weight(rank) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_model2vec() {
        // model2vec.distill.inference.compute_weights(5, 1e-4) and the ends of compute_weights(29525, 1e-4).
        let weights = sif_weights(&[0, 1, 2, 3, 4], 5, SIF_COEFFICIENT).unwrap();
        let expected = [
            0.00028991592,
            0.00043481085,
            0.0005796638,
            0.0007244748,
            0.00086924376,
        ];
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-7, "{weights:?}");
        }
        let weights = sif_weights(&[0, 29_524], 29_525, SIF_COEFFICIENT).unwrap();
        assert!(
            (weights[0] - 0.0019701626).abs() < 1e-7 && (weights[1] - 0.9668247).abs() < 1e-6,
            "{weights:?}"
        );
    }

    #[test]
    fn refuses_coefficients_out_of_range() {
        for coefficient in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(matches!(
                sif_weights(&[0], 1, coefficient),
                Err(Error::Option { .. })
            ));
        }
    }
}
