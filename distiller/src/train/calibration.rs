//! What is fitted on held-out texts.

use flashvec::Task;

use super::objective::Objective;

/// Between these a temperature is looked for. Where all held-out texts are told right, none is too low for the loss: a few
/// right ones must not make it sure of everything.
const TEMPERATURES: std::ops::RangeInclusive<f64> = 0.5..=20.0;
/// Texts that a threshold needs.
const FEWEST: usize = 20;
/// Steps of the search, each to 0.618 of the range.
const STEPS: usize = 40;

/// The number that logits of held-out texts are best divided by (Guo et al., "On Calibration of Modern Neural Networks",
/// 2017): the loss is least. 1 for values and without texts.
pub(super) fn temperature(logits: &[f32], objective: &Objective) -> f32 {
    if objective.task == Task::Regression || objective.len() == 0 {
        return 1.0;
    }
    let loss = |log_temperature: f64| {
        let share = (-log_temperature).exp() as f32;
        let texts = logits.chunks_exact(objective.outputs).enumerate();
        texts
            .map(|(text, logits)| {
                let cooled: Vec<f32> = logits.iter().map(|z| z * share).collect();
                objective.loss(text, &cooled)
            })
            .sum::<f64>()
    };
    // Golden-section search; the loss is convex in 1 / temperature.
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (TEMPERATURES.start().ln(), TEMPERATURES.end().ln());
    let (mut a, mut b) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_a, mut at_b) = (loss(a), loss(b));
    for _ in 0..STEPS {
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - golden * (high - low);
            at_a = loss(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + golden * (high - low);
            at_b = loss(b);
        }
    }
    ((low + high) / 2.0).exp() as f32
}

/// The scope score, the logarithm of the sum of logits' exponentials, that all but a share of texts reach; `None` if they are
/// too few to tell.
pub(super) fn scope_threshold(
    logits: &[f32],
    outputs: usize,
    temperature: f32,
    refused: f64,
) -> Option<f32> {
    let mut scores: Vec<f32> = logits
        .chunks_exact(outputs)
        .map(|logits| {
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) / temperature;
            let sum: f32 = logits.iter().map(|z| (z / temperature - most).exp()).sum();
            most + sum.ln()
        })
        .collect();
    scores.sort_by(f32::total_cmp);
    let at = (scores.len() as f64 * refused) as usize;
    scores.get(at).copied().filter(|_| scores.len() >= FEWEST)
}

#[cfg(test)]
mod tests {
    use super::super::objective::Standard;
    use super::*;
    use crate::labelled::Targets;

    #[test]
    fn overconfident_logits_are_cooled() {
        // Nine texts in ten are right, whatever the logits say: ln 9 is what says so.
        let targets = Targets::Single((0..100).map(|text| u32::from(text % 10 == 0)).collect());
        let standard = Standard {
            mean: 0.0,
            deviation: 1.0,
        };
        let objective = Objective::new(&targets, 2, standard, None);
        let logits = [8.0, 0.0].repeat(100);
        let cooled = 8.0 / temperature(&logits, &objective);
        assert!((cooled - 9.0_f32.ln()).abs() < 1e-3, "{cooled}");
    }

    #[test]
    fn the_threshold_refuses_the_share_asked_for() {
        let logits: Vec<f32> = (0..100).flat_map(|text| [text as f32, 0.0]).collect();
        let threshold = scope_threshold(&logits, 2, 1.0, 0.05).unwrap();
        assert!(
            (threshold - 5.0_f32.exp().ln_1p()).abs() < 1e-3,
            "{threshold}"
        );
        assert_eq!(scope_threshold(&logits[..30], 2, 1.0, 0.05), None);
    }
}
