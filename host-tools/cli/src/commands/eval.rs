//! `flashvec eval`.

use std::path::{Path, PathBuf};

use flashvec::Model;
use flashvec_distiller::{Bar, Progress};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::evaluation::classification::{ClassificationScore, ClassificationSet};
use crate::evaluation::retrieval::RetrievalSet;
use crate::evaluation::sts::{LengthScore, SentencePairs, StsScore};
use crate::model_file::ModelFile;
use crate::output::print;
use crate::report::table;

/// Score models on semantic textual similarity, classification and retrieval
#[derive(clap::Args)]
#[command(after_help = "\
All scores are times 100. The report of one model has a table for each kind of set; that of \
several is one table with a model a row. As JSON, one model is an object with `model`, `bytes`, \
`sts`, `classify` and `retrieval`; several are such objects in an array `models`.

Examples:
  flashvec eval minilm.fvec --sts stsb/dev.tsv stsb/test.tsv
  flashvec eval minilm.fvec --classify banking77/train.tsv banking77/test.tsv
  flashvec eval small.fvec large.fvec --sts stsb/test.tsv --by-length --retrieval cranfield --json")]
pub struct Args {
    /// Images or Model2Vec folders
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,

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

    /// Spearman also by tokens a text, the mean of a pair's two; how many pairs is in parentheses
    #[arg(long, requires = "sts")]
    by_length: bool,

    /// Inverse strength of the classifier's L2 penalty: `C` of scikit-learn's LogisticRegression
    // Of 1, 10 and 100, on parts of the training texts of five sets, 100 is within 0.7 points of
    // the best everywhere; 1 loses up to 28 points where labels are many or texts few.
    #[arg(long, value_name = "C", default_value = "100", value_parser = parse_c)]
    classify_c: f64,

    /// Report as JSON
    #[arg(long)]
    json: bool,
}

fn parse_c(value: &str) -> std::result::Result<f64, String> {
    match value.parse() {
        Ok(c) if c > 0.0 && f64::is_finite(c) => Ok(c),
        _ => Err("expected a number above 0".to_owned()),
    }
}

pub fn run(args: &Args) -> Result<()> {
    let sets = Sets::read(args)?;
    // What is no model is refused now, not after the long part.
    let files: Vec<ModelFile> = args
        .models
        .iter()
        .map(|path| ModelFile::open(path))
        .collect::<Result<_>>()?;
    let models: Vec<Model<'_>> = files.iter().map(ModelFile::model).collect::<Result<_>>()?;
    let bar = Bar::default();
    let mut reports = Vec::new();
    for ((path, file), model) in args.models.iter().zip(&files).zip(&models) {
        reports.push(Report {
            model: path,
            bytes: file.bytes().len(),
            scores: sets.score(model, args.classify_c, &bar)?,
        });
    }
    match (&reports[..], args.json) {
        ([report], true) => print(&sets.json(report, args.by_length)),
        ([report], false) => print(&sets.tables(&report.scores, args.by_length)),
        (_, true) => {
            let models = reports
                .iter()
                .map(|report| sets.json(report, args.by_length));
            print(&json!({ "models": models.collect::<Vec<Value>>() }))
        }
        (_, false) => print(&sets.comparison(&reports, args.by_length)),
    }
}

/// What models are scored on.
struct Sets {
    sts: Vec<SentencePairs>,
    classify: Vec<ClassificationSet>,
    retrieval: Vec<RetrievalSet>,
}

/// Scores of a model, in the order of the sets.
struct Scores {
    sts: Vec<StsScore>,
    classify: Vec<ClassificationScore>,
    /// nDCG@10, times 100.
    retrieval: Vec<f64>,
}

struct Report<'a> {
    model: &'a Path,
    bytes: usize,
    scores: Scores,
}

impl Sets {
    fn read(args: &Args) -> Result<Self> {
        if args.sts.is_empty() && args.classify.is_empty() && args.retrieval.is_empty() {
            return Err(Error::Arguments(
                "nothing to score on; give --sts FILE, --classify TRAIN TEST or --retrieval DIR"
                    .to_owned(),
            ));
        }
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
            retrieval: self
                .retrieval
                .iter()
                .map(|set| set.ndcg_at_10(model, progress))
                .collect::<Result<_>>()?,
        })
    }

    fn json(&self, report: &Report<'_>, by_length: bool) -> Value {
        let scores = &report.scores;
        let sts = self.sts.iter().zip(&scores.sts).map(|(pairs, score)| {
            let mut object = json!({
                "file": pairs.path.to_string_lossy(),
                "pairs": pairs.len(),
                "spearman": score.spearman,
            });
            if by_length {
                let lengths = score.by_length.iter().map(|length| {
                    json!({
                        "tokens": length.tokens,
                        "pairs": length.pairs,
                        "spearman": length.spearman,
                    })
                });
                object["by_length"] = lengths.collect();
            }
            object
        });
        let classify = self
            .classify
            .iter()
            .zip(&scores.classify)
            .map(|(set, score)| {
                json!({
                    "train": set.train_path.to_string_lossy(),
                    "test": set.test_path.to_string_lossy(),
                    "texts": set.texts(),
                    "labels": set.labels(),
                    "accuracy": score.accuracy,
                    "macro_f1": score.macro_f1,
                })
            });
        let retrieval = self
            .retrieval
            .iter()
            .zip(&scores.retrieval)
            .map(|(set, ndcg)| {
                json!({
                    "folder": set.folder.to_string_lossy(),
                    "documents": set.documents(),
                    "queries": set.queries(),
                    "ndcg_at_10": ndcg,
                })
            });
        json!({
            "model": report.model.to_string_lossy(),
            "bytes": report.bytes,
            "sts": sts.collect::<Value>(),
            "classify": classify.collect::<Value>(),
            "retrieval": retrieval.collect::<Value>(),
        })
    }

    /// A table for each kind of set, a set a row.
    fn tables(&self, scores: &Scores, by_length: bool) -> String {
        let mut tables = Vec::new();
        if !self.sts.is_empty() {
            let mut rows = vec![strings(["file", "pairs", "Spearman x 100"])];
            if by_length {
                let lengths = scores.sts[0].by_length.iter();
                rows[0].extend(lengths.map(|length| format!("{} tokens", length.tokens)));
            }
            for (pairs, score) in self.sts.iter().zip(&scores.sts) {
                let mut row = vec![
                    pairs.path.display().to_string(),
                    pairs.len().to_string(),
                    format!("{:.2}", score.spearman),
                ];
                if by_length {
                    row.extend(score.by_length.iter().map(length_cell));
                }
                rows.push(row);
            }
            tables.push(table(&rows));
        }
        if !self.classify.is_empty() {
            let mut rows = vec![strings([
                "test",
                "texts",
                "labels",
                "accuracy x 100",
                "macro-F1 x 100",
            ])];
            for (set, score) in self.classify.iter().zip(&scores.classify) {
                rows.push(vec![
                    set.test_path.display().to_string(),
                    set.texts().to_string(),
                    set.labels().to_string(),
                    format!("{:.2}", score.accuracy),
                    format!("{:.2}", score.macro_f1),
                ]);
            }
            tables.push(table(&rows));
        }
        if !self.retrieval.is_empty() {
            let mut rows = vec![strings(["folder", "documents", "queries", "nDCG@10 x 100"])];
            for (set, ndcg) in self.retrieval.iter().zip(&scores.retrieval) {
                rows.push(vec![
                    set.folder.display().to_string(),
                    set.documents().to_string(),
                    set.queries().to_string(),
                    format!("{ndcg:.2}"),
                ]);
            }
            tables.push(table(&rows));
        }
        tables.join("\n\n")
    }

    /// One table: a model a row, a score a column under the name of its set.
    fn comparison(&self, reports: &[Report<'_>], by_length: bool) -> String {
        let mut sets = strings(["", ""]);
        let mut metrics = strings(["model", "bytes"]);
        let mut column = |set: &Path, metric: String| {
            sets.push(short(set));
            metrics.push(metric);
        };
        for (at, pairs) in self.sts.iter().enumerate() {
            column(&pairs.path, "Spearman".to_owned());
            if by_length {
                for length in &reports[0].scores.sts[at].by_length {
                    column(&pairs.path, format!("{} tokens", length.tokens));
                }
            }
        }
        for set in &self.classify {
            column(&set.test_path, "accuracy".to_owned());
            column(&set.test_path, "macro-F1".to_owned());
        }
        for set in &self.retrieval {
            column(&set.folder, "nDCG@10".to_owned());
        }
        let mut rows = vec![sets, metrics];
        for report in reports {
            let mut row = vec![report.model.display().to_string(), report.bytes.to_string()];
            for score in &report.scores.sts {
                row.push(format!("{:.2}", score.spearman));
                if by_length {
                    row.extend(score.by_length.iter().map(length_cell));
                }
            }
            for score in &report.scores.classify {
                row.push(format!("{:.2}", score.accuracy));
                row.push(format!("{:.2}", score.macro_f1));
            }
            row.extend(
                report
                    .scores
                    .retrieval
                    .iter()
                    .map(|ndcg| format!("{ndcg:.2}")),
            );
            rows.push(row);
        }
        table(&rows)
    }
}

fn strings<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn length_cell(score: &LengthScore) -> String {
    match score.spearman {
        Some(spearman) => format!("{spearman:.2} ({})", score.pairs),
        None => format!("- ({})", score.pairs),
    }
}

/// The last two parts of a path: enough to tell `banking77/test.tsv` from `snips/test.tsv`.
fn short(path: &Path) -> String {
    let parts: Vec<_> = path.components().collect();
    let last: PathBuf = parts[parts.len().saturating_sub(2)..].iter().collect();
    last.display().to_string()
}
