//! What a classifier is to say of each text, and how wrong it is.

use flashvec::Task;

use crate::labelled::Targets;

/// Targets as numbers between which and the scores a loss is taken.
pub(super) struct Objective {
    pub(super) task: Task,
    pub(super) outputs: usize,
    /// Row-major, one an output: 1 for the right labels, else 0; values less their mean in standard deviations.
    wanted: Vec<f32>,
    /// How much each text counts.
    weights: Vec<f32>,
}

/// Mean and standard deviation of values that are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standard {
    pub(super) mean: f32,
    pub(super) deviation: f32,
}

impl Standard {
    pub(super) fn of(targets: &Targets) -> Self {
        let Targets::Values(values) = targets else {
            return Self {
                mean: 0.0,
                deviation: 1.0,
            };
        };
        let count = values.len().max(1) as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
        Self {
            mean: mean as f32,
            deviation: if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 },
        }
    }
}

impl Objective {
    /// `label_weights` has how much a text of each label counts; one of several labels counts as its heaviest.
    pub(super) fn new(
        targets: &Targets,
        outputs: usize,
        standard: Standard,
        label_weights: Option<&[f32]>,
    ) -> Self {
        let mut wanted = vec![0.0; targets.len() * outputs];
        let rows = wanted.chunks_exact_mut(outputs);
        match targets {
            Targets::Single(labels) => {
                for (row, &label) in rows.zip(labels) {
                    row[label as usize] = 1.0;
                }
            }
            Targets::Multi(labels) => {
                for (row, labels) in rows.zip(labels) {
                    labels.iter().for_each(|&label| row[label as usize] = 1.0);
                }
            }
            Targets::Values(values) => {
                for (row, value) in rows.zip(values) {
                    row.fill((value - standard.mean) / standard.deviation);
                }
            }
        }
        let weight = |row: &[f32]| {
            label_weights.map_or(1.0, |weights| {
                let of_labels = row.iter().zip(weights).filter(|(wanted, _)| **wanted > 0.0);
                let heaviest = of_labels.map(|(_, weight)| *weight).reduce(f32::max);
                heaviest.unwrap_or(1.0)
            })
        };
        Self {
            task: targets.task(),
            outputs,
            weights: wanted.chunks_exact(outputs).map(weight).collect(),
            wanted,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn wanted(&self, text: usize) -> &[f32] {
        &self.wanted[text * self.outputs..][..self.outputs]
    }

    /// The same, as far towards what another network says of the texts as `share`.
    pub(super) fn softened(&self, said: &[f32], share: f32) -> Self {
        let wanted = self.wanted.iter().zip(said);
        Self {
            wanted: wanted
                .map(|(wanted, said)| wanted + share * (said - wanted))
                .collect(),
            weights: self.weights.clone(),
            ..*self
        }
    }

    /// Turns logits into what is said of a text: probabilities, or values.
    pub(super) fn say(&self, logits: &mut [f32]) {
        match self.task {
            Task::Softmax => {
                let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for z in logits.iter_mut() {
                    *z = (*z - most).exp();
                    sum += *z;
                }
                logits.iter_mut().for_each(|p| *p /= sum);
            }
            Task::Sigmoid => logits.iter_mut().for_each(|z| *z = 1.0 / (1.0 + (-*z).exp())),
            _ => {}
        }
    }

    /// Turns logits into the gradient of the text's loss for them: cross-entropy, or half the squared error.
    pub(super) fn gradient(&self, text: usize, logits: &mut [f32]) {
        self.say(logits);
        let weight = self.weights[text];
        for (z, wanted) in logits.iter_mut().zip(self.wanted(text)) {
            *z = weight * (*z - wanted);
        }
    }

    /// The loss that [`gradient`](Self::gradient) is the slope of.
    pub(super) fn loss(&self, text: usize, logits: &[f32]) -> f64 {
        let wanted = self.wanted(text).iter().map(|&w| f64::from(w));
        let logits = logits.iter().map(|&z| f64::from(z));
        let loss: f64 = match self.task {
            Task::Softmax => {
                let most = logits.clone().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logits.clone().map(|z| (z - most).exp()).sum();
                let all = most + sum.ln();
                logits.zip(wanted).map(|(z, wanted)| wanted * (all - z)).sum()
            }
            // ln(1 + e^z) - wanted z, without overflow.
            Task::Sigmoid => logits
                .zip(wanted)
                .map(|(z, wanted)| z.max(0.0) + (-z.abs()).exp().ln_1p() - wanted * z)
                .sum(),
            _ => logits
                .zip(wanted)
                .map(|(z, wanted)| (z - wanted).powi(2) / 2.0)
                .sum(),
        };
        loss * f64::from(self.weights[text])
    }

    /// Whether a text got what it should: the one label, exactly its labels; no value ever does.
    pub(super) fn is_right(&self, text: usize, logits: &[f32]) -> bool {
        let wanted = self.wanted(text);
        match self.task {
            Task::Softmax => {
                let best = (1..logits.len()).fold(0, |best, at| {
                    if logits[at] > logits[best] { at } else { best }
                });
                logits.iter().all(|z| z.is_finite()) && wanted[best] > 0.5
            }
            Task::Sigmoid => logits.iter().zip(wanted).all(|(z, w)| (*z > 0.0) == (*w > 0.5)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_slopes_of_losses() {
        let standard = Standard {
            mean: 1.0,
            deviation: 2.0,
        };
        for targets in [
            Targets::Single(vec![2, 0]),
            Targets::Multi(vec![vec![0, 2], vec![]]),
            Targets::Values(vec![3.0, -1.0]),
        ] {
            let outputs = if targets.task() == Task::Regression { 1 } else { 3 };
            let objective = Objective::new(&targets, outputs, standard, Some(&[2.0, 1.0, 0.5][..outputs]));
            let said = vec![0.2; 2 * outputs];
            for objective in [objective.softened(&said, 0.3), objective] {
                for text in 0..2 {
                    let logits = &[0.3, -1.2, 0.8][..outputs];
                    let mut gradient = logits.to_vec();
                    objective.gradient(text, &mut gradient);
                    for at in 0..outputs {
                        let moved = |by| {
                            let mut logits = logits.to_vec();
                            logits[at] += by;
                            objective.loss(text, &logits)
                        };
                        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                        assert!((slope - f64::from(gradient[at])).abs() < 1e-3);
                    }
                }
            }
        }
    }
}
