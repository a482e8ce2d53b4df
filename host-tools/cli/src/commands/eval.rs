//! `flashvec eval`.

use std::path::{Path, PathBuf};

use flashvec::{Model, cosine};
use serde_json::json;

use crate::error::{Error, Result};
use crate::model_file::ModelFile;
use crate::output::print;
use crate::report::table;
use crate::texts::Texts;

/// Score a model on semantic textual similarity
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec eval minilm.fvec --sts stsb/test.tsv\n  \
    flashvec eval minilm.fvec --sts stsb/dev.tsv stsb/test.tsv --json")]
pub struct Args {
    /// An image or a Model2Vec folder
    model: PathBuf,

    /// Tab-separated files with a header line and the columns score, sentence1, sentence2; prints
    /// Spearman's rank correlation between scores and cosines, times 100
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    sts: Vec<PathBuf>,

    /// Report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let file = ModelFile::open(&args.model)?;
    let model = file.model()?;
    let mut rows = vec![
        ["file", "pairs", "Spearman x 100"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut reports = Vec::new();
    for path in &args.sts {
        let pairs = Pairs::read(path)?;
        let cosines = pairs.cosines(&model).map_err(Error::image(&args.model))?;
        let score = 100.0 * spearman(&cosines, &pairs.scores);
        rows.push(vec![
            path.display().to_string(),
            pairs.scores.len().to_string(),
            format!("{score:.2}"),
        ]);
        reports.push(json!({
            "file": path.to_string_lossy(),
            "pairs": pairs.scores.len(),
            "spearman": score,
        }));
    }
    if args.json {
        let bytes = file.bytes().len();
        print(&json!({"model": args.model.to_string_lossy(), "bytes": bytes, "sts": reports}))
    } else {
        print(&table(&rows))
    }
}

/// Sentence pairs with scores of their similarity.
struct Pairs {
    scores: Vec<f64>,
    sentences: Vec<(String, String)>,
}

impl Pairs {
    fn read(path: &Path) -> Result<Self> {
        let mut lines = Texts::file(path)?;
        let mut pairs = Self {
            scores: Vec::new(),
            sentences: Vec::new(),
        };
        let mut header = true;
        while let Some(line) = lines.next()? {
            let columns: Vec<&str> = line.split('\t').collect();
            let [score, first, second] = columns[..] else {
                return Err(lines.error(format!(
                    "{} columns instead of 3: score, sentence1, sentence2",
                    columns.len()
                )));
            };
            match score.parse::<f64>() {
                Ok(score) if score.is_finite() => {
                    pairs.scores.push(score);
                    pairs.sentences.push((first.to_owned(), second.to_owned()));
                }
                _ if header => {}
                _ => return Err(lines.error(format!("the score {score:?} is not a number"))),
            }
            header = false;
        }
        if pairs.scores.len() < 2 {
            return Err(lines.error("fewer than two pairs; a correlation needs more"));
        }
        Ok(pairs)
    }

    fn cosines(&self, model: &Model<'_>) -> std::result::Result<Vec<f64>, flashvec::Error> {
        let mut scratch = vec![0; model.scratch_len()];
        let mut first_embedding = Vec::new();
        let mut cosines = Vec::with_capacity(self.sentences.len());
        for (first, second) in &self.sentences {
            first_embedding.clear();
            first_embedding.extend_from_slice(model.encode(first, &mut scratch)?);
            let second = model.encode(second, &mut scratch)?;
            cosines.push(f64::from(cosine(&first_embedding, second)));
        }
        Ok(cosines)
    }
}

/// Spearman's rank correlation: Pearson's between ranks, ties sharing their mean rank.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let covariance = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let deviations = (covariance(&a, &a) * covariance(&b, &b)).sqrt();
    if deviations > 0.0 {
        covariance(&a, &b) / deviations
    } else {
        0.0
    }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        // Ranks count from 1: the mean of from + 1 to from + tied.
        let rank = from as f64 + (tied.len() as f64 + 1.0) / 2.0;
        for &index in tied {
            ranks[index] = rank;
        }
        from += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spearman_handles_order_and_ties() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 90.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[3.0, 2.0, 1.0]), 0.0);
        // scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4])
        assert!(
            (spearman(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 0.948_683_298_050_513_8)
                .abs()
                < 1e-12
        );
    }
}
