//! The sets that commands score models on.

use std::path::{Path, PathBuf};

use flashvec::Model;
use flashvec_distiller::Progress;

use super::classification::{ClassificationScore, ClassificationSet};
use super::few_shot::{FewShotArgs, FewShotScore, FewShotSet};
use super::retrieval::RetrievalSet;
use super::sts::{LengthScore, SentencePairs, StsScore};
use crate::error::Result;
use crate::model_file::ModelFile;

#[derive(clap::Args)]
pub struct SetArgs {
    /// Tab-separated files with a header line and the columns score, sentence1, sentence2; prints
    /// Spearman's rank correlation between scores and cosines
    #[arg(long, num_args = 1.., value_name = "FILE")]
    sts: Vec<PathBuf>,

    /// Tab-separated files with a header line and the columns label, text: fits a classifier to
    /// the first one's embeddings and prints its accuracy and macro-F1 on the second; repeat for
    /// more
    #[arg(long, num_args = 2, value_names = ["TRAIN", "TEST"])]
    classify: Vec<PathBuf>,

    /// Folders with corpus.tsv (doc_id, title if any, text), queries.tsv (query_id, text) and
    /// qrels.tsv (query_id, doc_id, grade: relevant above 0); prints nDCG@10
    #[arg(long, num_args = 1.., value_name = "DIR")]
    retrieval: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub struct ClassifierArgs {
    /// Inverse strength of the classifier's L2 penalty: `C` of scikit-learn's LogisticRegression
    // Of 1, 10 and 100, on parts of the training texts of five sets, 100 is within 0.7 points of
    // the best everywhere; 1 loses up to 28 points where labels are many or texts few.
    #[arg(long, value_name = "C", default_value = "100", value_parser = parse_c)]
    pub classify_c: f64,
}

fn parse_c(value: &str) -> std::result::Result<f64, String> {
    match value.parse() {
        Ok(c) if c > 0.0 && f64::is_finite(c) => Ok(c),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// What models are scored on.
pub struct Sets {
    pub sts: Vec<SentencePairs>,
    pub classify: Vec<ClassificationSet>,
    /// Only after [`with_few_shot`](Self::with_few_shot).
    pub few_shot: Vec<FewShotSet>,
    pub retrieval: Vec<RetrievalSet>,
}

/// Scores of a model, in the order of the sets.
pub struct Scores {
    pub sts: Vec<StsScore>,
    pub classify: Vec<ClassificationScore>,
    pub few_shot: Vec<FewShotScore>,
    /// nDCG@10, times 100.
    pub retrieval: Vec<f64>,
}

/// A model and its scores.
pub struct Scored<'a> {
    pub path: &'a Path,
    pub bytes: usize,
    pub scores: Scores,
}

impl Sets {
    /// Reads the sets, which may be none, and says on stderr which labels only test texts have.
    ///
    /// # Errors
    /// Those of the sets' `read`.
    pub fn read(args: &SetArgs) -> Result<Self> {
        let sets = Self {
            sts: args
                .sts
                .iter()
                .map(|path| SentencePairs::read(path))
                .collect::<Result<_>>()?,
            classify: args
                .classify
                .as_chunks()
                .0
                .iter()
                .map(|[train, test]| ClassificationSet::read(train, test))
                .collect::<Result<_>>()?,
            few_shot: Vec::new(),
            retrieval: args
                .retrieval
                .iter()
                .map(|folder| RetrievalSet::read(folder))
                .collect::<Result<_>>()?,
        };
        for set in &sets.classify {
            if !set.unseen_labels().is_empty() {
                eprintln!(
                    "{}: counted as wrong are texts of labels that {} does not have: {}",
                    set.test_path.display(),
                    set.train_path.display(),
                    set.unseen_labels().join(", ")
                );
            }
        }
        Ok(sets)
    }

    /// These sets and those of few-shot classification.
    ///
    /// # Errors
    /// Those of [`FewShotSet::read_all`].
    pub fn with_few_shot(self, args: &FewShotArgs) -> Result<Self> {
        Ok(Self {
            few_shot: FewShotSet::read_all(args)?,
            ..self
        })
    }

    pub fn is_empty(&self) -> bool {
        self.sts.is_empty()
            && self.classify.is_empty()
            && self.few_shot.is_empty()
            && self.retrieval.is_empty()
    }

    /// Scores models; `c` is as for [`ClassificationSet::score`]. A file that is no sound model is refused before
    /// the first is scored.
    ///
    /// # Errors
    /// [`Error::Image`](crate::error::Error::Image); [`Error::Encode`](crate::error::Error::Encode);
    /// [`Error::Fit`](crate::error::Error::Fit); [`Error::FewShot`](crate::error::Error::FewShot).
    pub fn score_all<'a>(
        &self,
        files: &'a [ModelFile],
        c: f64,
        progress: &dyn Progress,
    ) -> Result<Vec<Scored<'a>>> {
        let models: Vec<Model<'_>> = files.iter().map(ModelFile::model).collect::<Result<_>>()?;
        let scored = files.iter().zip(&models).map(|(file, model)| {
            Ok(Scored {
                path: file.path(),
                bytes: file.bytes().len(),
                scores: self.score(model, c, progress)?,
            })
        });
        scored.collect()
    }

    fn score(&self, model: &Model<'_>, c: f64, progress: &dyn Progress) -> Result<Scores> {
        Ok(Scores {
            sts: self
                .sts
                .iter()
                .map(|pairs| pairs.score(model, progress))
                .collect::<Result<_>>()?,
            classify: self
                .classify
                .iter()
                .map(|set| set.score(model, c, progress))
                .collect::<Result<_>>()?,
            few_shot: self
                .few_shot
                .iter()
                .map(|set| set.score(model, progress))
                .collect::<Result<_>>()?,
            retrieval: self
                .retrieval
                .iter()
                .map(|set| set.ndcg_at_10(model, progress))
                .collect::<Result<_>>()?,
        })
    }

    /// One table, of at least one model: a model a row, a score a column under the name of its set. The first two
    /// rows are its head.
    pub fn comparison(&self, models: &[Scored<'_>], by_length: bool) -> Vec<Vec<String>> {
        let mut sets = strings(["", ""]);
        let mut metrics = strings(["model", "bytes"]);
        let mut column = |set: &Path, metric: String| {
            sets.push(short(set));
            metrics.push(metric);
        };
        for (at, pairs) in self.sts.iter().enumerate() {
            column(&pairs.path, "Spearman".to_owned());
            if by_length {
                for length in &models[0].scores.sts[at].by_length {
                    column(&pairs.path, format!("{} tokens", length.tokens));
                }
            }
        }
        for set in &self.classify {
            column(&set.test_path, "accuracy".to_owned());
            column(&set.test_path, "macro-F1".to_owned());
        }
        for set in &self.few_shot {
            column(&set.test_path, format!("{}-shot accuracy", set.examples));
        }
        for set in &self.retrieval {
            column(&set.folder, "nDCG@10".to_owned());
        }
        let mut rows = vec![sets, metrics];
        for model in models {
            let mut row = vec![model.path.display().to_string(), model.bytes.to_string()];
            for score in &model.scores.sts {
                row.push(format!("{:.2}", score.spearman));
                if by_length {
                    row.extend(score.by_length.iter().map(length_cell));
                }
            }
            for score in &model.scores.classify {
                row.push(format!("{:.2}", score.accuracy));
                row.push(format!("{:.2}", score.macro_f1));
            }
            let few_shot = model.scores.few_shot.iter();
            row.extend(few_shot.map(|score| format!("{:.2}", score.accuracy)));
            let ndcg = model.scores.retrieval.iter();
            row.extend(ndcg.map(|ndcg| format!("{ndcg:.2}")));
            rows.push(row);
        }
        rows
    }
}

pub fn strings<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A score of a length, and of how many pairs.
pub fn length_cell(score: &LengthScore) -> String {
    match score.spearman {
        Some(spearman) => format!("{spearman:.2} ({})", score.pairs),
        None => format!("- ({})", score.pairs),
    }
}

/// The last two parts of a path: enough to tell `banking77/test.tsv` from `snips/test.tsv`.
pub fn short(path: &Path) -> String {
    let parts: Vec<_> = path.components().collect();
    let last: PathBuf = parts[parts.len().saturating_sub(2)..].iter().collect();
    last.display().to_string()
}
