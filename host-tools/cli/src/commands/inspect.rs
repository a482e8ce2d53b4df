//! `flashvec inspect`.

#[cfg(feature = "distiller")]
mod rows;

use std::path::PathBuf;

use flashvec::image::{Image, SectionKind};
use flashvec::ngrams_layout::{MARKS, PAIRS, SKIP_PAIRS, TRIPLES};
use flashvec::{Head, Task};
use serde_json::{Value, json};

#[cfg(feature = "distiller")]
use self::rows::RowsArgs;
use crate::error::{Error, Result};
use crate::image_parts::parts;
use crate::model_file::{MODEL, ModelFile};
use crate::output::print;
use crate::table::table;

/// Show what is in an image and where every byte of it goes
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec inspect minilm.fvec\n  \
    flashvec inspect minilm.fvec --json | jq .parts\n  \
    flashvec inspect intents.fvec --rows 20 --data train.tsv")]
pub struct Args {
    #[arg(help = MODEL)]
    model: PathBuf,

    #[cfg(feature = "distiller")]
    #[command(flatten)]
    rows: RowsArgs,

    /// Report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let file = ModelFile::open(&args.model)?;
    let model = file.model()?;
    let image = Image::parse(file.bytes()).map_err(Error::image(&args.model))?;
    let header = &image.header;
    let sizes = parts(&image).map_err(Error::image(&args.model))?;
    #[cfg(feature = "distiller")]
    let named = args.rows.read(&model, &image, &sizes)?;
    let total: usize = sizes.iter().map(|(_, len)| len).sum();
    let per_token = |len: usize| len as f64 / f64::from(header.token_count);
    let provenance = &header.provenance;
    if args.json {
        let parts: Vec<Value> = sizes
            .iter()
            .map(|&(name, len)| json!({"part": name, "bytes": len, "bytes_per_token": per_token(len)}))
            .collect();
        let mut report = json!({
            "format_version": image.version,
            "bytes": total,
            "tokens": header.token_count,
            "dims": header.dims,
            "codec": header.codec.to_string(),
            "normalize": header.pooling.normalize,
            "max_tokens": header.pooling.max_tokens,
            "max_chars": header.pooling.max_chars,
            "max_input_chars_per_word": header.tokenizer.max_input_chars_per_word,
            "scratch_bytes": 4 * model.scratch_len(),
            "provenance": {
                "teacher": provenance.teacher,
                "teacher_sha256": provenance.teacher_sha256,
                "licence": provenance.licence,
                "command": provenance.command,
                "tool": provenance.tool,
            },
            "parts": parts,
        });
        if let Some(head) = model.head() {
            report["classifier"] = json!({
                "task": task_name(head),
                "labels": labels(head),
                "hidden": head.hidden(),
                "out_of_scope": head.out_of_scope(),
            });
        }
        if model.ngram_count() > 0 {
            report["ngrams"] = json!({"count": model.ngram_count(), "kinds": ngram_kinds(&image)});
        }
        #[cfg(feature = "distiller")]
        if let Some(rows) = named {
            report["rows"] = rows.json();
        }
        return print(&report);
    }
    let mut facts = vec![
        ("format version", image.version.to_string()),
        ("tokens", header.token_count.to_string()),
        ("dimensions", header.dims.to_string()),
        ("codec", header.codec.to_string()),
        ("normalize", header.pooling.normalize.to_string()),
        (
            "tokens of a text",
            format!("at most {}", header.pooling.max_tokens),
        ),
        (
            "characters of a word",
            format!("at most {}", header.tokenizer.max_input_chars_per_word),
        ),
        ("scratch", format!("{} bytes", 4 * model.scratch_len())),
        ("teacher", provenance.teacher.to_owned()),
        ("teacher SHA-256", provenance.teacher_sha256.to_owned()),
        ("licence", provenance.licence.to_owned()),
        ("made by", provenance.command.to_owned()),
        ("tool", provenance.tool.to_owned()),
    ];
    if let Some(head) = model.head() {
        facts.extend(head_facts(head));
    }
    if model.ngram_count() > 0 {
        let kinds = ngram_kinds(&image).join(", ");
        facts.push(("n-grams", format!("{}: {kinds}", model.ngram_count())));
    }
    let mut report = String::new();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        report.push_str(&format!("{name:<21} {value}\n"));
    }
    report.push('\n');
    let mut rows = vec![
        ["part", "bytes", "share", "bytes a token"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (name, len) in sizes.into_iter().chain([("whole image", total)]) {
        rows.push(vec![
            name.to_owned(),
            len.to_string(),
            format!("{:.1} %", 100.0 * len as f64 / total as f64),
            format!("{:.2}", per_token(len)),
        ]);
    }
    report.push_str(&table(&rows));
    #[cfg(feature = "distiller")]
    if let Some(rows) = named {
        report += &format!("\n\n{}", rows.text());
    }
    print(&report)
}

fn head_facts(head: &Head<'_>) -> Vec<(&'static str, String)> {
    const SHOWN: usize = 12;
    let names = labels(head);
    let mut shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        shown += ", ...";
    }
    let scope = match head.out_of_scope() {
        Some(least) => format!("below a scope score of {least:.3}"),
        None => "only texts without known tokens".to_owned(),
    };
    let hidden = match head.hidden() {
        0 => String::new(),
        outputs => format!("{outputs} outputs"),
    };
    vec![
        ("tells", task_name(head).to_owned()),
        ("labels", format!("{}: {shown}", names.len())),
        ("hidden layer", hidden),
        ("out of scope", scope),
    ]
}

fn labels<'a>(head: &Head<'a>) -> Vec<&'a str> {
    (0..).map_while(|at| head.label(at)).collect()
}

fn task_name(head: &Head<'_>) -> &'static str {
    match head.task() {
        Task::Softmax => "one label a text",
        Task::Sigmoid => "any number of labels a text",
        Task::Regression => "numbers",
        _ => "something newer",
    }
}

/// Which n-grams have rows.
fn ngram_kinds(image: &Image<'_>) -> Vec<&'static str> {
    let section = image.find(SectionKind::NGrams);
    let kinds = section.and_then(|section| section.first()).copied();
    let names = [
        (PAIRS, "pairs"),
        (SKIP_PAIRS, "pairs with one token between"),
        (TRIPLES, "triples"),
        (MARKS, "with start and end"),
    ];
    let present = names
        .into_iter()
        .filter(|(kind, _)| kinds.unwrap_or(0) & kind != 0);
    present.map(|(_, name)| name).collect()
}
