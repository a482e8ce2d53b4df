//! `cargo xtask ablations`: what each part of compression is worth, measured and written to a page.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::inputs;
use crate::shell::{self, Failure, Result, say};

/// Where the page lies, from the root.
const PAGE: &str = "distiller/docs/ablations.md";

/// What images are made of, and what they are scored on.
#[derive(clap::Args)]
pub struct Args {
    /// The float model: a Model2Vec folder with f32 rows.
    model: PathBuf,

    /// Text, one a line, to count tokens in.
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,

    /// What to score on: arguments of `flashvec eval`.
    #[arg(last = true, required = true)]
    eval: Vec<OsString>,
}

/// Images that differ in one thing.
struct Group {
    title: &'static str,
    text: &'static str,
    /// What each is called, and the arguments of `flashvec convert` that make it.
    variants: &'static [(&'static str, &'static str)],
}

const GROUPS: [Group; 8] = [
    Group {
        title: "Rotation",
        text: "Principal components differ in variance; a rotation spreads it over all dimensions, so that each is worth \
               the same bits. `learned` fits the rotation and the codebooks to each other in turn (optimised product \
               quantisation). Each codec with all tokens, without whitening first, since that flattens the spectrum too.",
        variants: &[
            (
                "int2, none",
                "--flash 8M --codec int2 --whitening 0 --rotation none",
            ),
            (
                "int2, random",
                "--flash 8M --codec int2 --whitening 0 --rotation random",
            ),
            (
                "int2, Hadamard",
                "--flash 8M --codec int2 --whitening 0 --rotation hadamard",
            ),
            (
                "pq8x8, none",
                "--flash 8M --codec pq8x8 --whitening 0 --rotation none",
            ),
            (
                "pq8x8, random",
                "--flash 8M --codec pq8x8 --whitening 0 --rotation random",
            ),
            (
                "pq8x8, learned",
                "--flash 8M --codec pq8x8 --whitening 0 --rotation learned",
            ),
            (
                "pq8x16s, random",
                "--flash 8M --codec pq8x16s --whitening 0 --rotation random",
            ),
            (
                "pq8x16s, learned",
                "--flash 8M --codec pq8x16s --whitening 0 --rotation learned",
            ),
        ],
    },
    Group {
        title: "Whitening",
        text: "Each principal axis is divided by its standard deviation to a power before anything else. 640 KB, all tokens, \
               pq8x16s.",
        variants: &[
            ("0", "--flash 640KB --codec pq8x16s --whitening 0"),
            ("0.15", "--flash 640KB --codec pq8x16s --whitening 0.15"),
            ("0.3, what `--flash` does", "--flash 640KB --codec pq8x16s"),
            ("0.5", "--flash 640KB --codec pq8x16s --whitening 0.5"),
            ("1", "--flash 640KB --codec pq8x16s --whitening 1"),
        ],
    },
    Group {
        title: "Rotation after whitening",
        text: "The same codec when rows were whitened first: what is left for a rotation to do.",
        variants: &[
            ("none", "--flash 640KB --codec pq8x16s --rotation none"),
            (
                "random, what `--flash` does",
                "--flash 640KB --codec pq8x16s",
            ),
            (
                "Hadamard",
                "--flash 640KB --codec pq8x16s --rotation hadamard",
            ),
            (
                "learned",
                "--flash 640KB --codec pq8x16s --rotation learned",
            ),
        ],
    },
    Group {
        title: "Row norms",
        text: "A product quantiser stores directions and a byte of scale a row, or all of a row in its codes.",
        variants: &[
            (
                "a scale each, what `--flash` does",
                "--flash 640KB --codec pq8x16s",
            ),
            (
                "one scale for all rows",
                "--flash 640KB --codec pq8x16s --row-scale shared",
            ),
        ],
    },
    Group {
        title: "Codebooks",
        text: "One for all sub-vectors or one for each, at 400 KB with as many tokens as fit; and how often k-means looks at a \
               token, as a power of its share of text by Zipf's law.",
        variants: &[
            (
                "shared, what `--flash` does",
                "--flash 400KB --codec pq8x16s",
            ),
            ("one each", "--flash 400KB --codec pq8x16"),
            (
                "shared, share ^ 0.3",
                "--flash 400KB --codec pq8x16s --codebook-weighting 0.3",
            ),
            (
                "shared, share ^ 0.6",
                "--flash 400KB --codec pq8x16s --codebook-weighting 0.6",
            ),
            (
                "shared, share ^ 1",
                "--flash 400KB --codec pq8x16s --codebook-weighting 1",
            ),
        ],
    },
    Group {
        title: "Codec against vocabulary",
        text: "256 KB, then 64 KB, spent on fewer tokens with finer rows, or on more tokens with coarser ones.",
        variants: &[
            ("int4", "--flash 256KB --codec int4"),
            ("int2", "--flash 256KB --codec int2"),
            ("pq8x8s", "--flash 256KB --codec pq8x8s"),
            ("pq8x16s, what `--flash` does", "--flash 256KB"),
            ("pq8x32s", "--flash 256KB --codec pq8x32s"),
            ("pq4x16s", "--flash 256KB --codec pq4x16s"),
            ("64 KB, pq8x16s", "--flash 64KB --codec pq8x16s"),
            ("64 KB, pq8x32s", "--flash 64KB --codec pq8x32s"),
            ("64 KB, pq4x16s, what `--flash` does", "--flash 64KB"),
            ("64 KB, pq4x32s", "--flash 64KB --codec pq4x32s"),
        ],
    },
    Group {
        title: "Pruning",
        text: "192 KB, then 128 KB. Tokens are kept by how often they occur, or by that times how far the rows of their pieces add up from \
               their own; the kept rows are left as they are, or fitted so that pieces add up to the words that went.",
        variants: &[
            (
                "192 KB, by frequency, not fitted",
                "--flash 192KB --pruning frequency --no-refit",
            ),
            (
                "192 KB, by frequency, fitted",
                "--flash 192KB --pruning frequency",
            ),
            ("192 KB, by gain, not fitted", "--flash 192KB --no-refit"),
            (
                "192 KB, by gain, fitted, what `--flash` does",
                "--flash 192KB",
            ),
            (
                "128 KB, by frequency, not fitted",
                "--flash 128KB --pruning frequency --no-refit",
            ),
            (
                "128 KB, by frequency, fitted",
                "--flash 128KB --pruning frequency",
            ),
            ("128 KB, by gain, not fitted", "--flash 128KB --no-refit"),
            (
                "128 KB, by gain, fitted, what `--flash` does",
                "--flash 128KB",
            ),
        ],
    },
    Group {
        title: "Token shares",
        text: "Where the shares of text come from that pruning and fitting weigh tokens by.",
        variants: &[
            ("256 KB, Zipf's law", "--flash 256KB"),
            ("256 KB, counted", "--flash 256KB --corpus CORPUS"),
            ("128 KB, Zipf's law", "--flash 128KB"),
            ("128 KB, counted", "--flash 128KB --corpus CORPUS"),
            ("64 KB, Zipf's law", "--flash 64KB"),
            ("64 KB, counted", "--flash 64KB --corpus CORPUS"),
        ],
    },
];

/// The end of the page: what is not in the code because it did not pay.
const TRIED: &str = "
## Tried and left out

- Fitting the shared codebook to sums of made-up texts (least squares over 20,000 texts of 1 to 12 tokens, each weighing the \
  same, tokens drawn by their share to the power 0.3, 0.6 or 1) instead of to single rows: STS-B dev -0.01, -0.3, -2.0 at \
  640 KB, and worse with more rounds.
- Giving principal dimensions bits by their variance (eigenvalue allocation) instead of rotating them: 2 to 4 points less.
";

pub fn run(args: &Args) -> Result<()> {
    let program = inputs::command_line()?;
    let folder = shell::scratch_dir()?.join("ablations");
    std::fs::create_dir_all(&folder).map_err(|error| shell::unwritable(&folder, &error))?;
    let mut page = String::from(
        "# What each part of compression is worth\n\n\
         Made by `cargo xtask ablations`: in each table images of the same float model differ in one thing only. Scores are \
         times 100: Spearman for sentence pairs, accuracy of logistic regression on frozen embeddings, nDCG@10. What `--flash` \
         does was chosen on such sets; STS-B's test set is none of them.\n",
    );
    for group in &GROUPS {
        say(group.title, "make the images and score them");
        let mut models = Vec::new();
        for (at, (_, arguments)) in group.variants.iter().enumerate() {
            models.push(folder.join(format!("{at}.fvec")));
            convert(&program, args, arguments, &models[at])?;
        }
        let scores = scores(&program, args, &models)?;
        let _ = writeln!(page, "\n## {}\n\n{}\n", group.title, group.text);
        page.push_str(&table(group, &scores)?);
    }
    page.push_str(TRIED);
    let path = shell::root().join(PAGE);
    let docs = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(docs).map_err(|error| shell::unwritable(docs, &error))?;
    shell::write(&path, &page)?;
    println!("{page}\nwrote {}", path.display());
    Ok(())
}

fn convert(program: &Path, args: &Args, arguments: &str, image: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.arg("convert").arg(&args.model);
    for argument in arguments.split(' ') {
        match argument {
            "CORPUS" => command.arg(&args.corpus),
            _ => command.arg(argument),
        };
    }
    shell::run(command.arg("-o").arg(image))
}

/// What `flashvec eval --json` says of the models, one each.
fn scores(program: &Path, args: &Args, models: &[PathBuf]) -> Result<Vec<Value>> {
    let mut command = Command::new(program);
    command.arg("eval").args(models).arg("--json");
    command.args(&args.eval);
    let printed = shell::capture(&mut command, Duration::from_secs(3600))?;
    let report: Value = serde_json::from_str(&printed).map_err(|error| {
        Failure::new(format!("`flashvec eval --json` printed no JSON: {error}"))
    })?;
    match &report["models"] {
        Value::Array(models) => Ok(models.clone()),
        _ => Ok(vec![report]),
    }
}

/// A Markdown table: a model a row, a set a column.
fn table(group: &Group, reports: &[Value]) -> Result<String> {
    const KINDS: [(&str, &str, &str); 3] = [
        ("sts", "file", "spearman"),
        ("classify", "test", "accuracy"),
        ("retrieval", "folder", "ndcg_at_10"),
    ];
    let sets = |report: &Value| -> Vec<(String, f64)> {
        let mut all = Vec::new();
        for (kind, name, score) in KINDS {
            for set in report[kind].as_array().into_iter().flatten() {
                let path = PathBuf::from(set[name].as_str().unwrap_or_default());
                let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
                let short = parts[parts.len().saturating_sub(2)..].join("/");
                all.push((short, set[score].as_f64().unwrap_or(f64::NAN)));
            }
        }
        all
    };
    let first = reports
        .first()
        .ok_or_else(|| Failure::new("no model was scored"))?;
    let mut rows = String::from("| | bytes |");
    for (set, _) in sets(first) {
        let _ = write!(rows, " {set} |");
    }
    let _ = write!(rows, "\n|---|---:|{}\n", "---:|".repeat(sets(first).len()));
    for ((name, _), report) in group.variants.iter().zip(reports) {
        let _ = write!(rows, "| {name} | {} |", report["bytes"]);
        for (_, score) in sets(report) {
            let _ = write!(rows, " {score:.2} |");
        }
        rows.push('\n');
    }
    Ok(rows)
}
