//! `flashvec inspect`.

use std::path::PathBuf;

use flashvec::image::Image;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::image_parts::parts;
use crate::model_file::{MODEL, ModelFile};
use crate::output::print;
use crate::table::table;

/// Show what is in an image and where every byte of it goes
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec inspect minilm.fvec\n  \
    flashvec inspect minilm.fvec --json | jq .parts")]
pub struct Args {
    #[arg(help = MODEL)]
    model: PathBuf,

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
    let total: usize = sizes.iter().map(|(_, len)| len).sum();
    let per_token = |len: usize| len as f64 / f64::from(header.token_count);
    let provenance = &header.provenance;
    if args.json {
        let parts: Vec<Value> = sizes
            .iter()
            .map(|&(name, len)| json!({"part": name, "bytes": len, "bytes_per_token": per_token(len)}))
            .collect();
        let report = json!({
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
        return print(&report);
    }
    let facts = [
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
    print(&report)
}
