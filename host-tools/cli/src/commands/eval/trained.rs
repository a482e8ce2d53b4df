//! The part of `flashvec eval` about trained classifiers.

use std::path::{Path, PathBuf};

use flashvec::{Head, Task};
use flashvec_distiller::files::write_file;
use flashvec_distiller::labelled::{LabelledTexts, Targets, read_like, read_texts};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::evaluation::sets::{short, strings};
use crate::evaluation::trained::{LabelScore, ManyLabels, Numbers, OneLabel, Scope, classify};
use crate::labelled::LayoutArgs;
use crate::model_file::ModelFile;
use crate::table::table;

#[derive(clap::Args)]
pub struct TrainedArgs {
    /// Labelled files to test classifiers with, each by its own head: accuracy, macro-F1, calibration and each label's
    /// precision and recall
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub test: Vec<PathBuf>,

    /// Head file beside the model, instead of a head in the image
    #[arg(long, value_name = "FILE", requires = "test")]
    head: Option<PathBuf>,

    /// Texts that have none of the labels (.txt: one a line; else as --test, labels ignored): how well they are told
    /// from those that have one
    #[arg(long, value_name = "FILE", requires = "test")]
    out_of_scope: Option<PathBuf>,

    /// SVG file to write the confusion matrix to; of one model and one --test file
    #[arg(long, value_name = "FILE", requires = "test")]
    confusion: Option<PathBuf>,

    #[command(flatten)]
    layout: LayoutArgs,
}

/// What a model's head scores on a file.
pub struct Tested {
    path: PathBuf,
    texts: usize,
    names: Vec<String>,
    out_of_scope: Option<f32>,
    report: Report,
    scope: Option<Scope>,
}

enum Report {
    OneLabel(OneLabel),
    ManyLabels(ManyLabels),
    Numbers(Numbers),
}

impl TrainedArgs {
    /// Scores each model on each file, and draws what is to be drawn.
    ///
    /// # Errors
    /// Those of reading models, heads and texts; [`Error::Arguments`] for what does not go together.
    pub fn score_all(&self, files: &[ModelFile]) -> Result<Vec<Vec<Tested>>> {
        if self.head.is_some() && files.len() > 1 {
            return Err(Error::Arguments(
                "--head is made for one model; give that one".to_owned(),
            ));
        }
        if self.confusion.is_some() && (files.len() > 1 || self.test.len() > 1) {
            return Err(Error::Arguments(
                "--confusion draws one matrix; give one model and one --test file".to_owned(),
            ));
        }
        if self.test.is_empty() {
            return Ok(files.iter().map(|_| Vec::new()).collect());
        }
        files.iter().map(|file| self.score_model(file)).collect()
    }

    fn score_model(&self, file: &ModelFile) -> Result<Vec<Tested>> {
        let model = file.model()?;
        let head_file = self
            .head
            .as_ref()
            .map(|path| std::fs::read(path).map_err(Error::io(path)));
        let head_file = head_file.transpose()?;
        let head = match (&self.head, &head_file) {
            (Some(path), Some(bytes)) => {
                Head::from_bytes(bytes, &model).map_err(Error::image(path))?
            }
            _ => *model.head().ok_or_else(|| {
                Error::Arguments(format!(
                    "{}: no classifier's image; give one that `flashvec train` made or a head with --head, or use \
                     --classify TRAIN TEST to fit a classifier to its embeddings",
                    file.path().display()
                ))
            })?,
        };
        let names: Vec<String> = (0..)
            .map_while(|at| head.label(at))
            .map(str::to_owned)
            .collect();
        let foreign = match &self.out_of_scope {
            None => None,
            Some(_) if head.task() != Task::Softmax => {
                return Err(Error::Arguments(format!(
                    "--out-of-scope is for classifiers that give a text one label; {} does not",
                    file.path().display()
                )));
            }
            Some(path) => {
                let texts = read_texts(path, &self.layout.texts.options_of(path))?;
                Some(classify(&model, &head, &texts)?)
            }
        };
        let score = |path: &PathBuf| {
            let texts = self.read(path, head.task(), &names)?;
            let found = classify(&model, &head, &texts.texts)?;
            let report = match &texts.targets {
                Targets::Single(targets) => Report::OneLabel(OneLabel::score(&found, targets)),
                Targets::Multi(targets) => Report::ManyLabels(ManyLabels::score(&found, targets)),
                Targets::Values(targets) => Report::Numbers(Numbers::score(&found, targets)),
            };
            if let Some(svg) = &self.confusion {
                let Report::OneLabel(report) = &report else {
                    return Err(Error::Arguments(
                        "--confusion is for classifiers that give a text one label".to_owned(),
                    ));
                };
                write_file(svg, report.confusion.svg(&names)?.as_bytes())?;
            }
            Ok(Tested {
                path: path.clone(),
                texts: texts.texts.len(),
                names: names.clone(),
                out_of_scope: head.out_of_scope(),
                report,
                scope: foreign
                    .as_ref()
                    .map(|foreign| Scope::score(&found, foreign)),
            })
        };
        self.test.iter().map(score).collect()
    }

    /// The texts of a file, with what a head of this task tells of them.
    fn read(&self, path: &Path, task: Task, names: &[String]) -> Result<LabelledTexts> {
        let mut options = self.layout.options(false);
        let targets = match task {
            Task::Softmax => {
                options.multi_label = None;
                Targets::Single(Vec::new())
            }
            Task::Sigmoid => {
                options.multi_label.get_or_insert_with(|| "|".to_owned());
                Targets::Multi(Vec::new())
            }
            Task::Regression if names.len() == 1 => Targets::Values(Vec::new()),
            _ => {
                return Err(Error::Arguments(format!(
                    "{}: files have one number a text, and the head gives {}",
                    path.display(),
                    names.len()
                )));
            }
        };
        let train = LabelledTexts {
            labels: names.to_vec(),
            texts: Vec::new(),
            targets,
            lines: Vec::new(),
        };
        Ok(read_like(path, &options, &train)?)
    }
}

impl Tested {
    /// Names and values of the scores that models are compared by.
    fn metrics(&self) -> Vec<(&'static str, f64)> {
        let mut metrics = match &self.report {
            Report::OneLabel(report) => vec![
                ("accuracy", report.accuracy),
                ("macro-F1", report.macro_f1),
                ("calibration error", report.calibration_error),
            ],
            Report::ManyLabels(report) => vec![
                ("micro-F1", report.micro_f1),
                ("macro-F1", report.macro_f1),
                ("subset accuracy", report.subset_accuracy),
            ],
            Report::Numbers(report) => vec![
                ("Pearson", report.pearson),
                ("Spearman", report.spearman),
                ("RMSE", report.rmse),
            ],
        };
        if let Some(scope) = &self.scope {
            metrics.push(("scope AUROC", scope.auroc));
        }
        metrics
    }

    /// For other programs.
    pub fn json(&self) -> Value {
        let mut object = json!({
            "file": self.path.to_string_lossy(),
            "texts": self.texts,
        });
        match &self.report {
            Report::OneLabel(report) => {
                object["accuracy"] = report.accuracy.into();
                object["macro_f1"] = report.macro_f1.into();
                object["calibration_error"] = report.calibration_error.into();
                object["refused"] = report.refused.into();
                object["accuracy_of_accepted"] = json!(report.accuracy_of_accepted);
                object["labels"] = self.labels_json(&report.labels);
                let mistakes = report.confusion.mistakes();
                object["mistakes"] = mistakes
                    .iter()
                    .map(|mistake| {
                        json!({
                            "label": self.names[mistake.label as usize],
                            "given": self.names[mistake.given as usize],
                            "texts": mistake.texts,
                        })
                    })
                    .collect();
            }
            Report::ManyLabels(report) => {
                object["micro_f1"] = report.micro_f1.into();
                object["macro_f1"] = report.macro_f1.into();
                object["subset_accuracy"] = report.subset_accuracy.into();
                object["labels"] = self.labels_json(&report.labels);
            }
            Report::Numbers(report) => {
                object["pearson"] = report.pearson.into();
                object["spearman"] = report.spearman.into();
                object["rmse"] = report.rmse.into();
            }
        }
        if let Some(scope) = &self.scope {
            object["out_of_scope"] = json!({
                "texts": scope.foreign_texts,
                "threshold": self.out_of_scope,
                "auroc": scope.auroc,
                "refused_in_scope": scope.refused,
                "refused_out_of_scope": scope.foreign_refused,
            });
        }
        object
    }

    fn labels_json(&self, labels: &[LabelScore]) -> Value {
        let labels = self.names.iter().zip(labels).map(|(name, label)| {
            json!({
                "label": name,
                "texts": label.texts,
                "given": label.given,
                "precision": label.precision,
                "recall": label.recall,
                "f1": label.f1,
            })
        });
        labels.collect()
    }

    /// For people.
    pub fn tables(&self) -> Vec<String> {
        let mut head = strings(["test", "texts"]);
        let mut row = vec![self.path.display().to_string(), self.texts.to_string()];
        for (name, value) in self.metrics() {
            let unit = if name == "RMSE" { "" } else { " x 100" };
            head.push(format!("{name}{unit}"));
            row.push(format!("{value:.2}"));
        }
        let mut tables = vec![table(&[head, row])];
        if let Some(scope) = &self.scope {
            let below = match self.out_of_scope {
                Some(least) => format!("scope score below {least:.2}, or no known token"),
                None => "no known token; the head has no scope score to reach".to_owned(),
            };
            tables.push(
                table(&[
                    strings(["refused", "texts", "%"]),
                    scope_row("of the labels", self.texts, scope.refused),
                    scope_row("of none", scope.foreign_texts, scope.foreign_refused),
                ]) + &format!("\nrefused: {below}"),
            );
        } else if let Report::OneLabel(OneLabel {
            refused,
            accuracy_of_accepted: Some(accuracy),
            ..
        }) = &self.report
            && *refused > 0.0
        {
            tables.push(format!(
                "refused as out of scope: {refused:.2} %; accuracy x 100 of the others: {accuracy:.2}"
            ));
        }
        match &self.report {
            Report::OneLabel(report) => {
                tables.push(self.labels_table(&report.labels));
                tables.extend(self.confusion_table(report));
            }
            Report::ManyLabels(report) => tables.push(self.labels_table(&report.labels)),
            Report::Numbers(_) => {}
        }
        tables
    }

    fn labels_table(&self, labels: &[LabelScore]) -> String {
        let mut rows = vec![strings([
            "label",
            "texts",
            "given",
            "precision",
            "recall",
            "F1 x 100",
        ])];
        for (name, label) in self.names.iter().zip(labels) {
            rows.push(vec![
                name.clone(),
                label.texts.to_string(),
                label.given.to_string(),
                format!("{:.2}", label.precision),
                format!("{:.2}", label.recall),
                format!("{:.2}", label.f1),
            ]);
        }
        table(&rows)
    }

    /// The matrix of a few labels, the most frequent mistakes between many.
    fn confusion_table(&self, report: &OneLabel) -> Option<String> {
        const WHOLE: usize = 10;
        const MISTAKES: usize = 20;
        if self.names.len() <= WHOLE {
            let mut rows = vec![vec!["label \\ given".to_owned()]];
            rows[0].extend(self.names.iter().cloned());
            for (label, name) in (0..).zip(&self.names) {
                let mut row = vec![name.clone()];
                let givens = 0..self.names.len() as u32;
                row.extend(givens.map(|given| report.confusion.count(label, given).to_string()));
                rows.push(row);
            }
            return Some(table(&rows));
        }
        let mistakes = report.confusion.mistakes();
        if mistakes.is_empty() {
            return None;
        }
        let mut rows = vec![strings(["most frequent mistakes", "given", "texts", "of"])];
        for mistake in mistakes.iter().take(MISTAKES) {
            rows.push(vec![
                self.names[mistake.label as usize].clone(),
                self.names[mistake.given as usize].clone(),
                mistake.texts.to_string(),
                report.confusion.totals(mistake.label).0.to_string(),
            ]);
        }
        Some(table(&rows))
    }
}

fn scope_row(name: &str, texts: usize, refused: f64) -> Vec<String> {
    vec![name.to_owned(), texts.to_string(), format!("{refused:.2}")]
}

/// Columns of [`Sets::comparison`](crate::evaluation::sets::Sets::comparison)'s table for tested models, at least one:
/// names of the sets, of the scores, and the scores of each model.
pub fn columns(tested: &[Vec<Tested>]) -> Vec<Vec<String>> {
    let mut rows = vec![Vec::new(), Vec::new()];
    for test in &tested[0] {
        for (name, _) in test.metrics() {
            rows[0].push(short(&test.path));
            rows[1].push(name.to_owned());
        }
    }
    for tests in tested {
        let metrics = tests.iter().flat_map(Tested::metrics);
        rows.push(metrics.map(|(_, value)| format!("{value:.2}")).collect());
    }
    rows
}
