//! `flashvec eval`.

mod trained;

use std::path::PathBuf;

use flashvec_distiller::Bar;
use serde_json::{Value, json};

use self::trained::{Tested, TrainedArgs, columns};
use crate::error::{Error, Result};
use crate::evaluation::few_shot::FewShotArgs;
use crate::evaluation::sets::{
    ClassifierArgs, Scored, Scores, SetArgs, Sets, length_cell, strings,
};
use crate::model_file::ModelFile;
use crate::output::print;
use crate::table::table;

/// Score models on semantic textual similarity, classification and retrieval, and test trained classifiers
#[derive(clap::Args)]
#[command(after_help = "\
All scores are times 100, but for the errors of numbers. The report of one model has a table for each kind of set; that of \
several is one table with a model a row. As JSON, one model is an object with `model`, `bytes`, \
`sts`, `classify`, `few_shot`, `retrieval` and `test`; several are such objects in an array `models`.

--classify tells what embeddings are good for: it fits a classifier of its own to them. --test tells \
what a classifier's image is good for: it uses the head that is in it.

Examples:
  flashvec eval minilm.fvec --sts stsb/dev.tsv stsb/test.tsv
  flashvec eval minilm.fvec --classify banking77/train.tsv banking77/test.tsv
  flashvec eval english.fvec --few-shot snips/train.tsv snips/test.tsv --examples 5 --unrelated banking77/test.tsv
  flashvec eval intents.fvec --test test.tsv --out-of-scope other.txt --confusion confusion.svg
  flashvec eval small.fvec large.fvec --sts stsb/test.tsv --by-length --retrieval cranfield --json")]
pub struct Args {
    /// Images or Model2Vec folders
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,

    #[command(flatten)]
    sets: SetArgs,

    /// Spearman also by tokens a text, the mean of a pair's two; how many pairs is in parentheses
    #[arg(long, requires = "sts")]
    by_length: bool,

    #[command(flatten)]
    classifier: ClassifierArgs,

    #[command(flatten)]
    few_shot: FewShotArgs,

    #[command(flatten)]
    trained: TrainedArgs,

    /// Report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let sets = Sets::read(&args.sets)?.with_few_shot(&args.few_shot)?;
    if sets.is_empty() && args.trained.test.is_empty() {
        return Err(Error::Arguments(
            "nothing to score on; give --sts FILE, --classify TRAIN TEST, --few-shot TRAIN TEST, --retrieval DIR or, for a \
             classifier's image, --test FILE"
                .to_owned(),
        ));
    }
    let files = ModelFile::open_all(&args.models)?;
    let tested = args.trained.score_all(&files)?;
    let scored = sets.score_all(&files, args.classifier.classify_c, &Bar::default())?;
    match (&scored[..], &tested[..], args.json) {
        ([model], [tests], true) => print(&json(&sets, model, tests, args.by_length)),
        ([model], [tests], false) => print(&tables(&sets, &model.scores, tests, args.by_length)),
        (_, _, true) => {
            let models = scored
                .iter()
                .zip(&tested)
                .map(|(model, tests)| json(&sets, model, tests, args.by_length));
            print(&json!({ "models": models.collect::<Vec<Value>>() }))
        }
        (_, _, false) => {
            let mut rows = sets.comparison(&scored, args.by_length);
            for (row, columns) in rows.iter_mut().zip(columns(&tested)) {
                row.extend(columns);
            }
            print(&table(&rows))
        }
    }
}

/// A model's scores for other programs.
fn json(sets: &Sets, model: &Scored<'_>, tests: &[Tested], by_length: bool) -> Value {
    let scores = &model.scores;
    let sts = sets.sts.iter().zip(&scores.sts).map(|(pairs, score)| {
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
    let classify = sets
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
    let few_shot = sets
        .few_shot
        .iter()
        .zip(&scores.few_shot)
        .map(|(set, score)| {
            json!({
                "train": set.train_path.to_string_lossy(),
                "test": set.test_path.to_string_lossy(),
                "texts": set.texts(),
                "labels": set.labels(),
                "examples": set.examples,
                "draws": set.draws,
                "accuracy": score.accuracy,
                "accuracy_deviation": score.deviation,
                "accepted": score.accepted,
                "unrelated_rejected": score.rejected,
            })
        });
    let retrieval = sets
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
        "model": model.path.to_string_lossy(),
        "bytes": model.bytes,
        "sts": sts.collect::<Value>(),
        "classify": classify.collect::<Value>(),
        "few_shot": few_shot.collect::<Value>(),
        "retrieval": retrieval.collect::<Value>(),
        "test": tests.iter().map(Tested::json).collect::<Value>(),
    })
}

/// A table for each kind of set, a set a row.
fn tables(sets: &Sets, scores: &Scores, tests: &[Tested], by_length: bool) -> String {
    let mut tables: Vec<String> = tests.iter().flat_map(Tested::tables).collect();
    if !sets.sts.is_empty() {
        let mut rows = vec![strings(["file", "pairs", "Spearman x 100"])];
        if by_length {
            let lengths = scores.sts[0].by_length.iter();
            rows[0].extend(lengths.map(|length| format!("{} tokens", length.tokens)));
        }
        for (pairs, score) in sets.sts.iter().zip(&scores.sts) {
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
    if !sets.classify.is_empty() {
        let mut rows = vec![strings([
            "test",
            "texts",
            "labels",
            "accuracy x 100",
            "macro-F1 x 100",
        ])];
        for (set, score) in sets.classify.iter().zip(&scores.classify) {
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
    if !sets.few_shot.is_empty() {
        let mut rows = vec![strings([
            "test",
            "texts",
            "labels",
            "examples",
            "draws",
            "accuracy x 100",
            "deviation",
            "accepted %",
            "unrelated rejected %",
        ])];
        for (set, score) in sets.few_shot.iter().zip(&scores.few_shot) {
            rows.push(vec![
                set.test_path.display().to_string(),
                set.texts().to_string(),
                set.labels().to_string(),
                set.examples.to_string(),
                set.draws.to_string(),
                format!("{:.2}", score.accuracy),
                format!("{:.2}", score.deviation),
                format!("{:.2}", score.accepted),
                score
                    .rejected
                    .map_or_else(|| "-".to_owned(), |rejected| format!("{rejected:.2}")),
            ]);
        }
        tables.push(table(&rows));
    }
    if !sets.retrieval.is_empty() {
        let mut rows = vec![strings(["folder", "documents", "queries", "nDCG@10 x 100"])];
        for (set, ndcg) in sets.retrieval.iter().zip(&scores.retrieval) {
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
