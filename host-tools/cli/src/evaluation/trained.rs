//! How well a trained classifier does: its own head's labels and probabilities, as a device would give them.

use flashvec::{Head, Model};
use rayon::prelude::*;

use super::calibration::calibration_error;
use super::confusion::Confusion;
use super::sts::spearman;
use crate::error::Result;

/// What a head says of texts, in their order.
pub struct Classified {
    /// Of each text, one a label.
    scores: Vec<f32>,
    labels: usize,
    scope_scores: Vec<f32>,
    /// The head gives none of its labels.
    refused: Vec<bool>,
}

/// Classifies texts on all cores.
///
/// # Errors
/// [`Error::Encode`](crate::error::Error::Encode).
pub fn classify(
    model: &Model<'_>,
    head: &Head<'_>,
    texts: &[impl AsRef<str> + Sync],
) -> Result<Classified> {
    let labels = head.label_count();
    let mut scores = vec![0.0; texts.len() * labels];
    let mut scope_scores = vec![0.0; texts.len()];
    let mut refused = vec![false; texts.len()];
    scores
        .par_chunks_exact_mut(labels)
        .zip(&mut scope_scores)
        .zip(&mut refused)
        .zip(texts)
        .try_for_each_init(
            || vec![0; head.scratch_len(model)],
            |scratch, (((scores, scope_score), refused), text)| {
                let found = head.classify(model, text.as_ref(), scratch)?;
                scores.copy_from_slice(found.scores());
                *refused = !found.is_in_scope();
                // A text without known tokens is refused whatever its score is.
                let unknown = *refused
                    && head
                        .out_of_scope()
                        .is_none_or(|least| found.scope_score() >= least);
                *scope_score = if unknown {
                    f32::NEG_INFINITY
                } else {
                    found.scope_score()
                };
                Ok::<_, flashvec::Error>(())
            },
        )?;
    Ok(Classified {
        scores,
        labels,
        scope_scores,
        refused,
    })
}

impl Classified {
    fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.scores.chunks_exact(self.labels)
    }

    pub fn texts(&self) -> usize {
        self.refused.len()
    }

    /// Percentage of texts that the head gives none of its labels.
    pub fn refused(&self) -> f64 {
        percentage(
            self.refused.iter().filter(|&&refused| refused).count(),
            self.texts(),
        )
    }
}

/// How well a label is found. All but the counts times 100.
pub struct LabelScore {
    /// Texts that have it.
    pub texts: usize,
    /// Texts that were given it.
    pub given: usize,
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

impl LabelScore {
    /// Of `texts` that have it, `hits` are among the `given`.
    fn new(texts: usize, given: usize, hits: usize) -> Self {
        Self {
            texts,
            given,
            precision: percentage(hits, given),
            recall: percentage(hits, texts),
            f1: percentage(2 * hits, texts + given),
        }
    }
}

/// The mean of F1 over the labels that texts have or were given, as scikit-learn's `f1_score(average="macro")`.
fn macro_f1(labels: &[LabelScore]) -> f64 {
    let scores: Vec<f64> = labels
        .iter()
        .filter(|label| label.texts + label.given > 0)
        .map(|label| label.f1)
        .collect();
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

/// Scores where each text has one label. Shares are percentages.
pub struct OneLabel {
    /// Texts whose most probable label is theirs, whether it is given or not.
    pub accuracy: f64,
    pub macro_f1: f64,
    /// Expected calibration error of the most probable label.
    pub calibration_error: f64,
    pub refused: f64,
    /// Accuracy on the texts that are not refused; `None` if all are.
    pub accuracy_of_accepted: Option<f64>,
    /// In the order of the head.
    pub labels: Vec<LabelScore>,
    pub confusion: Confusion,
}

impl OneLabel {
    /// `targets` are the texts' labels.
    pub fn score(found: &Classified, targets: &[u32]) -> Self {
        // The first of equal ones, as in `Classification::top`.
        let best: Vec<(u32, f32)> = found
            .rows()
            .map(|scores| {
                (0..)
                    .zip(scores)
                    .fold((0, f32::NEG_INFINITY), |best, (label, &score)| {
                        if score > best.1 { (label, score) } else { best }
                    })
            })
            .collect();
        let hit = |at: usize| best[at].0 == targets[at];
        let confusion = Confusion::new(
            targets
                .iter()
                .zip(&best)
                .map(|(&target, &(label, _))| (target, label)),
            found.labels,
        );
        let labels: Vec<LabelScore> = (0..found.labels as u32)
            .map(|label| {
                let (texts, given) = confusion.totals(label);
                LabelScore::new(texts, given, confusion.count(label, label))
            })
            .collect();
        let all = 0..found.texts();
        let accepted: Vec<usize> = all.clone().filter(|&at| !found.refused[at]).collect();
        let hits = |texts: &mut dyn Iterator<Item = usize>| texts.filter(|&at| hit(at)).count();
        Self {
            accuracy: percentage(hits(&mut all.clone()), found.texts()),
            macro_f1: macro_f1(&labels),
            calibration_error: 100.0
                * calibration_error(all.map(|at| (f64::from(best[at].1), hit(at)))),
            refused: found.refused(),
            accuracy_of_accepted: (!accepted.is_empty())
                .then(|| percentage(hits(&mut accepted.iter().copied()), accepted.len())),
            labels,
            confusion,
        }
    }
}

/// Scores where each text has any number of labels: those of a probability of at least one half are given.
pub struct ManyLabels {
    pub micro_f1: f64,
    pub macro_f1: f64,
    /// Percentage of texts that are given their labels and no other.
    pub subset_accuracy: f64,
    pub labels: Vec<LabelScore>,
}

impl ManyLabels {
    /// `targets` are the texts' labels, sorted.
    pub fn score(found: &Classified, targets: &[Vec<u32>]) -> Self {
        let mut counts = vec![(0, 0, 0); found.labels];
        let mut whole = 0;
        for (scores, target) in found.rows().zip(targets) {
            let given: Vec<u32> = (0..)
                .zip(scores)
                .filter(|&(_, &probability)| probability >= 0.5)
                .map(|(label, _)| label)
                .collect();
            whole += usize::from(given == *target);
            for &label in target {
                counts[label as usize].0 += 1;
            }
            for label in given {
                let count = &mut counts[label as usize];
                count.1 += 1;
                count.2 += usize::from(target.binary_search(&label).is_ok());
            }
        }
        let sum = counts.iter().fold((0, 0, 0), |sum, count| {
            (sum.0 + count.0, sum.1 + count.1, sum.2 + count.2)
        });
        let score = |(texts, given, hits)| LabelScore::new(texts, given, hits);
        let labels: Vec<LabelScore> = counts.into_iter().map(score).collect();
        Self {
            micro_f1: score(sum).f1,
            macro_f1: macro_f1(&labels),
            subset_accuracy: percentage(whole, found.texts()),
            labels,
        }
    }
}

/// Scores of a regression to one number. Correlations are times 100.
pub struct Numbers {
    pub pearson: f64,
    pub spearman: f64,
    /// Root of the mean squared error, in units of the number.
    pub rmse: f64,
}

impl Numbers {
    /// `targets` are the texts' numbers; of several values that a head gives, the first counts.
    pub fn score(found: &Classified, targets: &[f32]) -> Self {
        let given: Vec<f64> = found.rows().map(|row| f64::from(row[0])).collect();
        let targets: Vec<f64> = targets.iter().copied().map(f64::from).collect();
        let squares: f64 = given
            .iter()
            .zip(&targets)
            .map(|(a, b)| (a - b).powi(2))
            .sum();
        Self {
            pearson: 100.0 * pearson(&given, &targets),
            spearman: 100.0 * spearman(&given, &targets),
            rmse: (squares / targets.len() as f64).sqrt(),
        }
    }
}

/// Pearson's correlation; 0 where one side is constant.
fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (a_mean, b_mean) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - a_mean, b - b_mean);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    let deviations = (aa * bb).sqrt();
    if deviations > 0.0 {
        ab / deviations
    } else {
        0.0
    }
}

/// How well a scope score tells texts that have one of the labels from foreign ones. Percentages.
pub struct Scope {
    pub foreign_texts: usize,
    /// Area under the receiver operating characteristic: how often a text of the labels has the higher score.
    pub auroc: f64,
    pub refused: f64,
    pub foreign_refused: f64,
}

impl Scope {
    pub fn score(found: &Classified, foreign: &Classified) -> Self {
        Self {
            foreign_texts: foreign.texts(),
            auroc: 100.0 * auroc(&found.scope_scores, &foreign.scope_scores),
            refused: found.refused(),
            foreign_refused: foreign.refused(),
        }
    }
}

/// How often one of the first is above one of the second; equal ones count as one half.
fn auroc(first: &[f32], second: &[f32]) -> f64 {
    let mut second = second.to_vec();
    second.sort_by(f32::total_cmp);
    let wins: f64 = first
        .iter()
        .map(|&score| {
            let below = second.partition_point(|&other| other < score);
            let to = second.partition_point(|&other| other <= score);
            (below + to) as f64 / 2.0
        })
        .sum();
    wins / (first.len() as f64 * second.len() as f64)
}

fn percentage(part: usize, of: usize) -> f64 {
    if of == 0 {
        return 0.0;
    }
    100.0 * part as f64 / of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} instead of {b}");
    }

    fn classified(rows: &[[f32; 3]], scope_scores: &[f32], refused: &[bool]) -> Classified {
        Classified {
            scores: rows.concat(),
            labels: 3,
            scope_scores: scope_scores.to_vec(),
            refused: refused.to_vec(),
        }
    }

    #[test]
    fn one_label_scores_are_those_of_scikit_learn() {
        let found = classified(
            &[
                [0.6, 0.3, 0.1],
                [0.2, 0.7, 0.1],
                [0.4, 0.4, 0.2],
                [0.1, 0.8, 0.1],
            ],
            &[0.0; 4],
            &[false, false, true, false],
        );
        let scores = OneLabel::score(&found, &[0, 1, 1, 0]);
        near(scores.accuracy, 50.0);
        near(scores.accuracy_of_accepted.unwrap(), 200.0 / 3.0);
        near(scores.refused, 25.0);
        // f1_score([0, 1, 1, 0], [0, 1, 0, 1], average="macro"): label 2 is nowhere
        near(scores.macro_f1, 50.0);
        let first = &scores.labels[0];
        assert_eq!((first.texts, first.given), (2, 2));
        near(first.precision, 50.0);
        near(scores.labels[2].f1, 0.0);
        assert_eq!(scores.confusion.count(1, 0), 1);
        let none = classified(&[[1.0, 0.0, 0.0]], &[0.0], &[true]);
        assert!(OneLabel::score(&none, &[0]).accuracy_of_accepted.is_none());
    }

    #[test]
    fn many_labels_scores_are_those_of_scikit_learn() {
        let found = classified(
            &[[0.9, 0.5, 0.1], [0.2, 0.1, 0.3], [0.8, 0.1, 0.9]],
            &[0.0; 3],
            &[false; 3],
        );
        let scores = ManyLabels::score(&found, &[vec![0, 1], vec![1], vec![0]]);
        // f1_score([[1,1,0],[0,1,0],[1,0,0]], [[1,1,0],[0,0,0],[1,0,1]], average=...)
        near(scores.micro_f1, 75.0);
        near(scores.macro_f1, 100.0 * (1.0 + 2.0 / 3.0) / 3.0);
        near(scores.subset_accuracy, 100.0 / 3.0);
        near(scores.labels[1].recall, 50.0);
    }

    #[test]
    fn numbers_are_correlated() {
        let found = Classified {
            scores: vec![1.0, 2.0, 4.0],
            labels: 1,
            scope_scores: vec![0.0; 3],
            refused: vec![false; 3],
        };
        let scores = Numbers::score(&found, &[1.0, 3.0, 4.0]);
        // scipy.stats.pearsonr([1, 2, 4], [1, 3, 4])
        near(scores.pearson, 92.857_142_857_142_86);
        near(scores.spearman, 100.0);
        near(scores.rmse, (1.0_f64 / 3.0).sqrt());
        near(Numbers::score(&found, &[2.0; 3]).pearson, 0.0);
    }

    #[test]
    fn scope_is_the_share_of_pairs_in_order() {
        // roc_auc_score([1, 1, 1, 0, 0], [3, 2, -inf, 2, 1])
        near(
            auroc(&[3.0, 2.0, f32::NEG_INFINITY], &[2.0, 1.0]),
            3.5 / 6.0,
        );
        let rows = [[0.0; 3]; 2];
        let found = classified(&rows, &[2.0, 1.0], &[false, true]);
        let foreign = classified(&rows, &[0.0, 0.5], &[true, true]);
        let scope = Scope::score(&found, &foreign);
        near(scope.auroc, 100.0);
        near(scope.refused, 50.0);
        near(scope.foreign_refused, 100.0);
    }
}
