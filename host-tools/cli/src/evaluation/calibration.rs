//! Whether probabilities are what they say.

const BINS: usize = 15;

/// The expected calibration error of Guo et al., "On Calibration of Modern Neural Networks", 2017: predictions are sorted
/// into [`BINS`] bins of equal width by their probability, and the difference between a bin's mean probability and its
/// share of hits is averaged over the predictions. 0 to 1; 0 without predictions.
pub fn calibration_error(predictions: impl Iterator<Item = (f64, bool)>) -> f64 {
    let mut bins = [(0_usize, 0.0, 0_usize); BINS];
    let mut count = 0;
    for (probability, hit) in predictions {
        // Bins are open below and closed above.
        let at = (probability * BINS as f64).ceil() as usize;
        let bin = &mut bins[at.clamp(1, BINS) - 1];
        bin.0 += 1;
        bin.1 += probability;
        bin.2 += usize::from(hit);
        count += 1;
    }
    let gaps = bins
        .iter()
        .map(|&(_, probabilities, hits)| (probabilities - hits as f64).abs());
    gaps.sum::<f64>() / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_weighted_by_their_bins() {
        let error = |predictions: &[(f64, bool)]| calibration_error(predictions.iter().copied());
        assert_eq!(error(&[]), 0.0);
        assert_eq!(error(&[(1.0, true), (1.0, true)]), 0.0);
        assert_eq!(error(&[(1.0, false), (1.0, true)]), 0.5);
        // One bin: over and under make up for each other. Two: they do not.
        assert!(error(&[(0.95, true), (0.94, true), (0.96, true)]) < 0.0501);
        let apart = error(&[(0.9, false), (0.1, true)]);
        assert!((apart - 0.9).abs() < 1e-12, "{apart}");
        let together = error(&[(0.65, false), (0.65, true)]);
        assert!((together - 0.15).abs() < 1e-12, "{together}");
    }
}
