//! RAM, code and instructions: the limits, and committed figures that fail a test when the truth moves away from them.

use std::path::PathBuf;

use toml::{Table, Value};

use crate::few_shot::Cost;
use crate::shell::{self, Failure, Result, fail};

/// Bytes of RAM that encoding with 256 dimensions may take: stack, scratch and the model itself.
const RAM_LIMIT: u64 = 4096;
/// Bytes of code that `from_bytes` and `encode` may add to a firmware for a Cortex-M4F.
const CODE_LIMIT: u64 = 16 * 1024;
const CODE_LIMIT_TARGET: &str = "thumbv7em-none-eabihf";
/// How far a figure may be from the committed one, in percent of that.
const TOLERANCE: u64 = 3;

/// Bytes of RAM that classifying with 32 dimensions and 77 labels may take: stack, scratch and the model itself.
const CLASSIFY_RAM_LIMIT: u64 = 3072;

/// Name of the table of instructions a token.
const INSTRUCTIONS: &str = "instructions";
/// Name of the table of classifying.
const CLASSIFY: &str = "classify";

const HEADER: &str = "\
# Bytes of RAM and code on each target, for each version of rustc they were measured with: a 256-dimensional
# int8 image, texts of tests/host/src/texts.rs, the profile of tests/device. Instructions a token, for an image in each
# codec. Of classifying: a 32-dimensional int4 image with pairs of tokens and 77 labels, instructions a text. Of a few-shot
# classifier: the code that it adds, RAM with a state of four labels, instructions to classify a text. Of the firmware
# example voice-assistant: flash with the model, variables and stack, instructions a test text of Snips.
# `cargo xtask device-test` fails when a figure has moved by more than 3 percent, down as well as up;
# `cargo xtask device-test --accept` rewrites them, `cargo xtask examples --accept` those of the example.
";

/// The figures of one target.
pub struct Figures {
    pub target: &'static str,
    pub code: u64,
    pub encode_ram: u64,
    pub from_bytes_stack: u64,
    pub few_shot: Cost,
    /// Instructions a token, by codec.
    pub instructions: Vec<(&'static str, u64)>,
    pub classify: Option<Classify>,
}

/// Those of a classifier.
pub struct Classify {
    pub code: u64,
    pub ram: u64,
    pub from_bytes_stack: u64,
    pub instructions_a_text: u64,
}

impl Classify {
    fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("code", self.code),
            ("ram", self.ram),
            ("from_bytes_stack", self.from_bytes_stack),
            ("instructions_a_text", self.instructions_a_text),
        ]
    }
}

impl Figures {
    fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("code", self.code),
            ("encode_ram", self.encode_ram),
            ("from_bytes_stack", self.from_bytes_stack),
            ("few_shot_code", self.few_shot.code),
            ("few_shot_ram", self.few_shot.ram),
            ("few_shot_instructions", self.few_shot.instructions),
        ]
    }
}

/// Holds figures against the limits and the committed figures of this compiler, or commits them.
pub fn check(figures: &[Figures], rustc: &str, accept: bool) -> Result<()> {
    for of in figures {
        within(of.target, "encoding takes", of.encode_ram, "RAM", RAM_LIMIT)?;
        if let Some(classify) = &of.classify {
            let ram = classify.ram;
            within(
                of.target,
                "classifying takes",
                ram,
                "RAM",
                CLASSIFY_RAM_LIMIT,
            )?;
        }
        if of.target == CODE_LIMIT_TARGET {
            within(of.target, "flashvec adds", of.code, "code", CODE_LIMIT)?;
        }
    }
    let mut committed = load()?;
    if accept {
        let table = figures.iter().map(|of| {
            let number =
                |&(name, figure): &(&str, u64)| (name.to_owned(), Value::Integer(figure as i64));
            let mut numbers: Table = of.named().iter().map(number).collect();
            let instructions = of.instructions.iter().map(number).collect();
            numbers.insert(INSTRUCTIONS.to_owned(), Value::Table(instructions));
            if let Some(classify) = &of.classify {
                let classify = classify.named().iter().map(number).collect();
                numbers.insert(CLASSIFY.to_owned(), Value::Table(classify));
            }
            (of.target.to_owned(), Value::Table(numbers))
        });
        // The examples' figures stay.
        subtable(&mut committed, rustc).extend(table);
        return store(&committed);
    }
    let Some(of_compiler) = committed.get(rustc) else {
        println!("    no committed figures for rustc {rustc}: only the limits were checked");
        return Ok(());
    };
    for of in figures {
        let of_target = of_compiler.get(of.target);
        let of_codecs = of_target.and_then(|target| target.get(INSTRUCTIONS));
        let named = of
            .named()
            .map(|figure| (of_target, figure, "bytes or instructions"));
        let instructions = of
            .instructions
            .iter()
            .map(|&figure| (of_codecs, figure, "instructions a token"));
        let of_classify = of_target.and_then(|target| target.get(CLASSIFY));
        let classify = of.classify.iter().flat_map(|classify| {
            let named = classify.named();
            named.map(|figure| (of_classify, figure, "bytes or instructions of classifying"))
        });
        for (table, (name, found), unit) in named.into_iter().chain(instructions).chain(classify) {
            let stored = table.and_then(|table| table.get(name));
            let Some(stored) = stored
                .and_then(Value::as_integer)
                .and_then(|n| u64::try_from(n).ok())
            else {
                return fail(format!(
                    "tests/budgets.toml has no {name} for {}: run with --accept",
                    of.target
                ));
            };
            if moved(stored, found) {
                return fail(format!(
                    "{}: {name} moved from {stored} to {found} {unit}; if that is meant, run with --accept",
                    of.target
                ));
            }
        }
    }
    println!("    all within {TOLERANCE} % of the committed figures for rustc {rustc}");
    Ok(())
}

/// Holds what an example takes on a target against the committed figures of this compiler, or commits them.
pub fn check_example(
    example: &str,
    target: &str,
    figures: &[(&str, u64)],
    rustc: &str,
    accept: bool,
) -> Result<()> {
    let mut committed = load()?;
    if accept {
        let figures = figures
            .iter()
            .map(|&(name, figure)| (name.to_owned(), Value::Integer(figure as i64)));
        let of_example = subtable(subtable(&mut committed, rustc), example);
        of_example.insert(target.to_owned(), Value::Table(figures.collect()));
        return store(&committed);
    }
    let Some(of_compiler) = committed.get(rustc) else {
        println!("    no committed figures for rustc {rustc}");
        return Ok(());
    };
    let of_target = of_compiler
        .get(example)
        .and_then(|example| example.get(target));
    for &(name, found) in figures {
        let stored = of_target.and_then(|of| of.get(name)?.as_integer());
        match stored.and_then(|stored| u64::try_from(stored).ok()) {
            Some(stored) if moved(stored, found) => {
                return fail(format!(
                    "{example} on {target}: {name} moved from {stored} to {found}; if that is meant, run `cargo xtask examples --accept`"
                ));
            }
            Some(_) => {}
            None => {
                return fail(format!(
                    "tests/budgets.toml has no {name} of {example} for {target}: run `cargo xtask examples --accept`"
                ));
            }
        }
    }
    Ok(())
}

fn moved(stored: u64, found: u64) -> bool {
    found.abs_diff(stored) * 100 > stored * TOLERANCE
}

/// The table of this name, made if there is none.
fn subtable<'t>(table: &'t mut Table, name: &str) -> &'t mut Table {
    let none = || Value::Table(Table::new());
    let entry = table.entry(name.to_owned()).or_insert_with(none);
    if !entry.is_table() {
        *entry = none();
    }
    entry.as_table_mut().expect("made one")
}

fn store(committed: &Table) -> Result<()> {
    println!("    wrote {}", path().display());
    shell::write(&path(), format!("{HEADER}\n{committed}"))
}

fn within(target: &str, what: &str, bytes: u64, of: &str, limit: u64) -> Result<()> {
    if bytes > limit {
        return fail(format!(
            "{target}: {what} {bytes} bytes of {of}, over the limit of {limit}"
        ));
    }
    Ok(())
}

fn path() -> PathBuf {
    shell::root().join("tests/budgets.toml")
}

fn load() -> Result<Table> {
    if !path().exists() {
        return Ok(Table::new());
    }
    let text = String::from_utf8_lossy(&shell::read(&path())?).into_owned();
    text.parse()
        .map_err(|error| Failure::new(format!("{}: {error}", path().display())))
}
