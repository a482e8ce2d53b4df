//! `cargo xtask demo`: from a sentence-transformer to an emulated microcontroller, with the same bits.

use crate::inputs::{self, SENTENCES};
use crate::machine::{self, Call, PARTS};
use crate::shell::{Result, fail, say};
use crate::{device, setup};

pub fn run() -> Result<()> {
    let toolchain = setup::run()?;
    let image = inputs::demo_image()?;
    let texts = inputs::sentences()?;

    say("encode on this machine", "five sentences through the image");
    let host = inputs::host_results(&image, &texts, true)?;

    let Some(part) = PARTS.iter().find(|part| part.core == "Cortex-M4F") else {
        return fail("the list of emulated parts has no Cortex-M4F");
    };
    say(
        "encode on an emulated Cortex-M4F",
        "the same image and the same code, built for the microcontroller",
    );
    let folder = machine::build(&toolchain, part, Call::Encode)?;
    let run = machine::run(part, &folder.join("encode"), &image, &texts)?;

    println!("\nCosine similarity of the device's embeddings, as it sent them:\n");
    let embeddings = run
        .results
        .iter()
        .map(|line| embedding(line))
        .collect::<Result<Vec<_>>>()?;
    for (sentence, a) in SENTENCES.iter().zip(&embeddings) {
        let row = embeddings
            .iter()
            .map(|b| format!("{:6.2}", dot(a, b)))
            .collect::<String>();
        println!("  {sentence:<44}{row}");
    }
    println!();
    for (sentence, cost) in SENTENCES.iter().zip(&run.costs) {
        println!(
            "  {sentence:<44}{:>8} instructions, {} tokens",
            cost.instructions, cost.tokens
        );
    }
    println!("  RAM to encode: {} bytes, stack included", run.ram.call());

    match device::differences(&host, &run.results) {
        0 => {
            let bits: usize = embeddings
                .iter()
                .map(|embedding| 32 * embedding.len())
                .sum();
            println!("\nHost and Cortex-M4F gave the same {bits} bits.");
            Ok(())
        }
        count => fail(format!(
            "{count} of {} embeddings differ between host and device",
            host.len()
        )),
    }
}

/// The numbers of a `bits` line.
fn embedding(line: &str) -> Result<Vec<f32>> {
    let Some(hex) = line.strip_prefix("bits ") else {
        return fail(format!("the device could not encode: {line}"));
    };
    let words = hex.as_bytes().chunks(8).map(|word| {
        let bits = std::str::from_utf8(word)
            .ok()
            .and_then(|word| u32::from_str_radix(word, 16).ok());
        bits.map(f32::from_bits)
    });
    words.collect::<Option<_>>().map_or_else(
        || fail("the device sent a line that is not hexadecimal"),
        Ok,
    )
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
