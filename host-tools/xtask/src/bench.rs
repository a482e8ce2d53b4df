//! `bench-device` and `bench-growth`: instructions, RAM and code on emulated parts.

use std::path::{Path, PathBuf};

use crate::device::{Measured, measure};
use crate::machine::{Call, Cost, PARTS, Run};
use crate::shell::{self, Result, fail, say};
use crate::toolchain::Toolchain;
use crate::{inputs, setup};

/// Codecs that the demo's model is measured in.
const CODECS: [&str; 6] = ["int8", "int4", "int2", "pq8x8", "pq8x16s", "pq4x16s"];

/// Sizes of vocabulary that growth is measured with; the largest is all of the demo's model.
const VOCABULARIES: [usize; 4] = [2_000, 8_000, 16_000, usize::MAX];
/// Bytes of text that growth is measured with. All of them count: smaller vocabularies have shorter tokens,
/// and Model2Vec cuts texts to 512 times the median length.
const LENGTHS: [usize; 8] = [64, 128, 192, 256, 320, 384, 448, 512];
/// Texts of each length.
const TEXTS_A_LENGTH: usize = 8;

/// `cargo xtask bench-device`: an image and a part a line.
pub fn run(images: &[PathBuf], texts: Option<&Path>) -> Result<()> {
    let toolchain = setup::run()?;
    let mut named: Vec<(String, PathBuf)> = images
        .iter()
        .map(|path| (path.display().to_string(), path.clone()))
        .collect();
    if named.is_empty() {
        let demo = inputs::Demo::distil()?;
        for codec in CODECS {
            named.push((codec.to_owned(), demo.in_codec(codec)?));
        }
    }
    let texts = match texts {
        Some(lines) => inputs::texts(Some(lines))?,
        None => inputs::sentences()?,
    };
    say(
        "count on the emulated parts",
        "instructions, which QEMU counts exactly; cycles it does not know, and a real part takes more of them",
    );
    println!(
        "| image | part | instr/text | instr/token | instr/byte | encode RAM | code |\n|---|---|---:|---:|---:|---:|---:|"
    );
    for (name, image) in &named {
        for part in &PARTS {
            let Measured { run, code, .. } =
                measure(&toolchain, part, image, &texts, Call::Encode)?;
            let instructions: u64 = run.costs.iter().map(|cost| cost.instructions).sum();
            let each = |units: u64| instructions as f64 / units.max(1) as f64;
            println!(
                "| {name} | {} | {:.0} | {:.0} | {:.1} | {} B | {code} B |",
                part.core,
                each(run.costs.len() as u64),
                each(run.costs.iter().map(|cost| cost.tokens).sum()),
                each(run.costs.iter().map(|cost| cost.bytes).sum()),
                run.ram.call(),
            );
        }
    }
    Ok(())
}

/// `cargo xtask bench-growth`: a table and a plot of instructions against bytes of text, a line a vocabulary.
pub fn growth(lines: &Path) -> Result<()> {
    let toolchain = setup::run()?;
    let corpus = String::from_utf8_lossy(&shell::read(lines)?).replace('\n', " ");
    let texts = texts_of_lengths(&corpus)?;
    let demo = inputs::Demo::distil()?;
    let mut columns = Vec::new();
    for size in VOCABULARIES {
        let image = demo.with_tokens(size)?;
        columns.push(mean_costs(&run_m4f(&toolchain, &image, &texts)?));
    }
    println!("\n{}", page(&columns));
    Ok(())
}

/// A file of texts, [`TEXTS_A_LENGTH`] of each length, cut from a corpus at blanks.
fn texts_of_lengths(corpus: &str) -> Result<PathBuf> {
    let mut cut = Vec::new();
    let mut rest = corpus;
    for len in LENGTHS {
        for _ in 0..TEXTS_A_LENGTH {
            let Some(text) = rest
                .get(..rest.floor_char_boundary(len))
                .filter(|t| t.len() + 4 > len)
            else {
                return fail("too little text: give a file of 10 KB or more");
            };
            cut.push(text);
            rest = rest[text.len()..].trim_start();
        }
    }
    let path = shell::scratch_dir()?.join("growth.txt");
    shell::write(&path, cut.join("\n"))?;
    inputs::texts(Some(&path))
}

fn run_m4f(toolchain: &Toolchain, image: &Path, texts: &Path) -> Result<Run> {
    let Some(part) = PARTS.iter().find(|part| part.core == "Cortex-M4F") else {
        return fail("the list of emulated parts has no Cortex-M4F");
    };
    Ok(measure(toolchain, part, image, texts, Call::Encode)?.run)
}

/// Mean instructions of the texts of each length, and over all texts instructions a token.
fn mean_costs(run: &Run) -> (Vec<u64>, u64) {
    let mean = |costs: &[Cost]| {
        costs.iter().map(|cost| cost.instructions).sum::<u64>() / costs.len().max(1) as u64
    };
    let means = run.costs.chunks(TEXTS_A_LENGTH).map(mean).collect();
    (means, run.instructions_a_token())
}

/// Markdown: a Mermaid plot, and the figures.
fn page(columns: &[(Vec<u64>, u64)]) -> String {
    let joined = |numbers: &[u64]| {
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        numbers.join(", ")
    };
    // Mermaid spaces the points of a line evenly, as the lengths are.
    let lines: String = columns
        .iter()
        .map(|(means, _)| format!("    line [{}]\n", joined(means)))
        .collect();
    let lengths = LENGTHS.map(|len| len as u64);
    let mut page = format!(
        "```mermaid\nxychart-beta\n    \
         title \"Cortex-M4F: instructions against bytes of text, a line a vocabulary\"\n    \
         x-axis \"bytes of text\" [{}]\n    y-axis \"instructions\"\n{lines}```\n\n\
         | tokens in the vocabulary | {} B | a token |\n|---:|{}---:|\n",
        joined(&lengths),
        joined(&lengths).replace(", ", " B | "),
        "---:|".repeat(LENGTHS.len())
    );
    for (size, (means, token)) in VOCABULARIES.into_iter().zip(columns) {
        let name = match size {
            usize::MAX => "all".to_owned(),
            _ => size.to_string(),
        };
        let means = joined(means).replace(", ", " | ");
        page.push_str(&format!("| {name} | {means} | {token} |\n"));
    }
    page
}
