//! The part of `device-test` about few-shot classifiers: the same states and scores on every emulated part.

use std::path::Path;

use crate::machine::{self, Call, PARTS};
use crate::shell::{Result, fail, say};
use crate::toolchain::Toolchain;
use crate::{device, elf, inputs};

/// What a few-shot classifier costs on a part.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    /// Bytes of flash more than for encoding alone.
    pub code: u64,
    /// Bytes: stack, scratch, the classifier and its state.
    pub ram: u64,
    /// Instructions to classify a text, encoding included.
    pub instructions: u64,
}

/// Has every part learn, forget, save, restore and classify; fails unless all give this machine's bits, or if
/// anything could panic.
pub fn test(toolchain: &Toolchain, image: &Path) -> Result<Vec<Cost>> {
    let texts = inputs::texts(None)?;
    let expected = device::host("few_shot_bits", image, &texts)?;
    say(
        "learn on the emulated parts",
        "every part must give this machine's states and scores",
    );
    println!(
        "{:<28} {:<15} {:>6} {:>12} {:>12} {:>11} {:>14} {:>11}",
        "target triple",
        "part",
        "lines",
        "differences",
        "instr/text",
        "RAM",
        "restore stack",
        "code"
    );
    let mut costs = Vec::new();
    let mut wrong = Vec::new();
    for part in &PARTS {
        let folder = machine::build(toolchain, part, Call::FewShot)?;
        let run = machine::run(part, &folder.join("few_shot"), image, &texts)?;
        let (minimal, encoding) = (folder.join("minimal_few_shot"), folder.join("minimal"));
        let cost = Cost {
            code: elf::flash(&minimal)?.saturating_sub(elf::flash(&encoding)?),
            ram: run.ram.call(),
            instructions: run.instructions_a_text(),
        };
        let different = device::differences(&expected, &run.results);
        println!(
            "{:<28} {:<15} {:>6} {:>12} {:>12} {:>9} B {:>12} B {:>9} B",
            part.target,
            part.core,
            run.results.len(),
            different,
            cost.instructions,
            cost.ram,
            run.ram.from_bytes_stack,
            cost.code
        );
        if different > 0 {
            wrong.push(format!("{}: {different} lines differ", part.core));
        }
        let panics = elf::panics(&minimal)?;
        wrong.extend(panics.iter().map(|name| format!("{}: {name}", part.target)));
        costs.push(cost);
    }
    if wrong.is_empty() {
        Ok(costs)
    } else {
        fail(format!(
            "few-shot classifiers give other bits or can panic: {}",
            wrong.join(", ")
        ))
    }
}
