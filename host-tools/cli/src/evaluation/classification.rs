//! Text classification: what a linear classifier tells from frozen embeddings.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use flashvec::Model;
use flashvec_distiller::Progress;

use super::embed;
use super::logistic_regression::LogisticRegression;
use crate::error::{Error, Result};
use crate::tsv::Tsv;

/// Texts with labels, to fit a classifier and to test it.
pub struct ClassificationSet {
    pub train_path: PathBuf,
    pub test_path: PathBuf,
    train: LabelledTexts,
    test: LabelledTexts,
    /// Labels of the training texts, sorted, then those that only test texts have.
    labels: Vec<String>,
    train_labels: usize,
}

/// How well a classifier finds the labels of the test texts.
pub struct ClassificationScore {
    /// Percentage of texts whose label was found.
    pub accuracy: f64,
    /// The mean of the labels' F1, times 100.
    pub macro_f1: f64,
}

struct LabelledTexts {
    texts: Vec<String>,
    /// Indices into the set's labels.
    labels: Vec<usize>,
}

impl ClassificationSet {
    /// Reads tab-separated files with the columns label and text; without a header line that names
    /// them, these are the two columns.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Line`] for a row of another form; [`Error::Arguments`] if there is
    /// nothing to test or the training texts have fewer than two labels.
    pub fn read(train_path: &Path, test_path: &Path) -> Result<Self> {
        let (train_names, train_texts) = read_texts(train_path)?;
        let (test_names, test_texts) = read_texts(test_path)?;
        let sorted: BTreeSet<&String> = train_names.iter().collect();
        let unseen: BTreeSet<&String> = test_names
            .iter()
            .filter(|name| !sorted.contains(name))
            .collect();
        let train_labels = sorted.len();
        if train_labels < 2 {
            return Err(Error::Arguments(format!(
                "{}: fewer than two labels; a classifier needs texts of at least two",
                train_path.display()
            )));
        }
        if test_texts.is_empty() {
            return Err(Error::Arguments(format!(
                "{}: no texts below the header line",
                test_path.display()
            )));
        }
        let labels: Vec<String> = sorted.into_iter().chain(unseen).cloned().collect();
        let index: HashMap<&String, usize> = labels.iter().zip(0..).collect();
        let indices = |names: &[String]| names.iter().map(|name| index[name]).collect();
        Ok(Self {
            train_path: train_path.to_owned(),
            test_path: test_path.to_owned(),
            train: LabelledTexts {
                labels: indices(&train_names),
                texts: train_texts,
            },
            test: LabelledTexts {
                labels: indices(&test_names),
                texts: test_texts,
            },
            labels,
            train_labels,
        })
    }

    /// Test texts.
    pub fn texts(&self) -> usize {
        self.test.texts.len()
    }

    /// Labels of the training texts.
    pub fn labels(&self) -> usize {
        self.train_labels
    }

    /// Labels that only test texts have: none of them is ever found.
    pub fn unseen_labels(&self) -> &[String] {
        &self.labels[self.train_labels..]
    }

    /// Fits multinomial logistic regression to the training texts' embeddings and scores it on
    /// the test texts; `c` is the inverse strength of the L2 penalty, as in scikit-learn.
    ///
    /// # Errors
    /// [`Error::Encode`]; [`Error::Fit`].
    pub fn score(
        &self,
        model: &Model<'_>,
        c: f64,
        progress: &dyn Progress,
    ) -> Result<ClassificationScore> {
        let train = embed(model, &self.train.texts, progress)?;
        let classifier =
            LogisticRegression::fit(&train, &self.train.labels, self.train_labels, c, progress)
                .map_err(|source| Error::Fit {
                    train: self.train_path.clone(),
                    source,
                })?;
        let test = embed(model, &self.test.texts, progress)?;
        let predicted = classifier.predict(&test);
        Ok(ClassificationScore {
            accuracy: 100.0 * accuracy(&self.test.labels, &predicted),
            macro_f1: 100.0 * macro_f1(&self.test.labels, &predicted, self.labels.len()),
        })
    }
}

/// The labels and the texts of a file.
pub(super) fn read_texts(path: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let mut rows = Tsv::open(path, &["label", "text"])?;
    let (label, text) = (rows.column("label")?, rows.column("text")?);
    let (mut labels, mut texts) = (Vec::new(), Vec::new());
    while let Some(cells) = rows.next()? {
        if cells[label].is_empty() {
            return Err(rows.error("no label; give one or drop the line"));
        }
        labels.push(cells[label].to_owned());
        texts.push(cells[text].to_owned());
    }
    Ok((labels, texts))
}

fn accuracy(labels: &[usize], predicted: &[usize]) -> f64 {
    let hits = labels.iter().zip(predicted).filter(|(a, b)| a == b).count();
    hits as f64 / labels.len() as f64
}

/// The mean of F1 over the labels that texts have or were given, as scikit-learn's
/// `f1_score(average="macro")`.
fn macro_f1(labels: &[usize], predicted: &[usize], label_count: usize) -> f64 {
    // Texts that have a label or were given it, each text counted for both; and hits.
    let mut counts = vec![(0_usize, 0_usize); label_count];
    for (&label, &guess) in labels.iter().zip(predicted) {
        counts[label].0 += 1;
        counts[guess].0 += 1;
        if label == guess {
            counts[label].1 += 1;
        }
    }
    let scores: Vec<f64> = counts
        .into_iter()
        .filter(|&(total, _)| total > 0)
        .map(|(total, hits)| 2.0 * hits as f64 / total as f64)
        .collect();
    scores.iter().sum::<f64>() / scores.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_scikit_learn() {
        let (labels, predicted) = ([0, 0, 1, 2, 2, 4], [0, 1, 1, 2, 0, 3]);
        assert_eq!(accuracy(&labels, &predicted), 0.5);
        // f1_score(labels, predicted, average="macro"), where label 5 does not exist
        let score = macro_f1(&labels, &predicted, 6);
        assert!((score - 0.366_666_666_666_666_6).abs() < 1e-12, "{score}");
    }
}
