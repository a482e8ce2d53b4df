//! `device-test`: every emulated part against this machine, bit for bit, and what that costs there.

use std::path::Path;

use crate::budgets::{self, Classify, Figures};
use crate::machine::{self, Call, PARTS, Part, Run};
use crate::shell::{Result, fail, say};
use crate::toolchain::Toolchain;
use crate::{elf, few_shot, inputs, setup};

/// Codecs and dimensions of the synthetic images that every part runs. The budgets are those of the
/// first; the others fit the 14 MB that the emulated parts have.
const SYNTHETIC: [(&str, u16); 8] = [
    ("int8", 256),
    ("f16", 64),
    ("f32", 64),
    ("int4", 256),
    ("int2", 256),
    ("pq4x8", 256),
    ("pq8x8", 256),
    ("pq8x16s", 256),
];

/// Classifiers and dimensions that every part runs. The budgets are those of the first.
const CLASSIFIERS: [(&str, u16); 5] = [("intents", 32), ("0", 48), ("1", 64), ("2", 33), ("3", 16)];
/// Of these images, those that a few-shot classifier learns with: integers and floats.
const FEW_SHOT: [&str; 2] = ["int8", "f16"];

/// `cargo xtask device-test`.
pub fn test(image: Option<&Path>, texts: Option<&Path>, accept: bool) -> Result<()> {
    let toolchain = setup::run()?;
    let image = match (image, texts) {
        (Some(image), _) => image.to_path_buf(),
        (None, Some(_)) => inputs::demo_image()?,
        (None, None) => return test_synthetic(&toolchain, accept),
    };
    test_image(&toolchain, &image, texts, Call::Encode).map(drop)
}

/// Every codec and every kind of classifier on every part, and the budgets.
pub fn test_synthetic(toolchain: &Toolchain, accept: bool) -> Result<()> {
    let mut figures: Vec<Figures> = Vec::new();
    for (at, (codec, dims)) in SYNTHETIC.into_iter().enumerate() {
        let image = inputs::synthetic_image(codec, dims)?;
        let all = test_image(toolchain, &image, None, Call::Encode)?;
        for (part, measured) in PARTS.iter().zip(all) {
            if at == 0 {
                figures.push(Figures {
                    target: part.target,
                    code: measured.code,
                    encode_ram: measured.run.ram.call(),
                    from_bytes_stack: measured.run.ram.from_bytes_stack,
                    few_shot: few_shot::Cost::default(),
                    instructions: Vec::new(),
                    classify: None,
                });
            }
            let of = figures.iter_mut().filter(|of| of.target == part.target);
            of.for_each(|of| {
                of.instructions
                    .push((codec, measured.run.instructions_a_token()))
            });
        }
        if FEW_SHOT.contains(&codec) {
            let costs = few_shot::test(toolchain, &image)?;
            if at == 0 {
                for (of, cost) in figures.iter_mut().zip(costs) {
                    of.few_shot = cost;
                }
            }
        }
    }
    for (at, (name, dims)) in CLASSIFIERS.into_iter().enumerate() {
        let image = inputs::synthetic_classifier(name, dims)?;
        let all = test_image(toolchain, &image, None, Call::Classify)?;
        if at > 0 {
            continue;
        }
        for (figures, measured) in figures.iter_mut().zip(all) {
            figures.classify = Some(Classify {
                code: measured.code,
                ram: measured.run.ram.call(),
                from_bytes_stack: measured.run.ram.from_bytes_stack,
                instructions_a_text: measured.run.instructions_a_text(),
            });
        }
    }
    budgets::check(&figures, &toolchain.version()?, accept)
}

fn test_image(
    toolchain: &Toolchain,
    image: &Path,
    texts: Option<&Path>,
    call: Call,
) -> Result<Vec<Measured>> {
    let texts = inputs::texts(texts)?;
    let expected = host("host_bits", image, &texts)?;
    compare(toolchain, image, &texts, &expected, call)
}

/// Runs a program of this machine's side, and fails unless optimisation leaves every bit alone.
pub fn host(program: &str, image: &Path, texts: &Path) -> Result<Vec<String>> {
    say(
        &format!("{program} on this machine"),
        "with and without optimisation the bits must be the same",
    );
    let optimised = inputs::host_results(program, image, texts, true)?;
    let unoptimised = inputs::host_results(program, image, texts, false)?;
    match differences(&optimised, &unoptimised) {
        0 => Ok(optimised),
        count => fail(format!(
            "{count} of {} texts differ with optimisation",
            optimised.len()
        )),
    }
}

/// Runs every part and prints a line for each.
fn compare(
    toolchain: &Toolchain,
    image: &Path,
    texts: &Path,
    expected: &[String],
    call: Call,
) -> Result<Vec<Measured>> {
    say(
        &format!("{} on the emulated parts", call.programs().0),
        "every part must give this machine's bits",
    );
    println!(
        "{:<28} {:<15} {:>6} {:>12} {:>12} {:>11} {:>12} {:>11}",
        "target triple",
        "part",
        "texts",
        "differences",
        "instr/token",
        "call RAM",
        "parse stack",
        "code"
    );
    let mut all = Vec::new();
    let mut differing = Vec::new();
    let mut panicking = Vec::new();
    for part in &PARTS {
        let measured = measure(toolchain, part, image, texts, call)?;
        let Measured { run, code, panics } = &measured;
        let different = differences(expected, &run.results);
        println!(
            "{:<28} {:<15} {:>6} {:>12} {:>12} {:>9} B {:>10} B {:>9} B",
            part.target,
            part.core,
            run.results.len(),
            different,
            run.instructions_a_token(),
            run.ram.call(),
            run.ram.from_bytes_stack,
            code
        );
        if different > 0 {
            differing.push(part.core);
        }
        panicking.extend(
            panics
                .iter()
                .map(|name| format!("{name} ({})", part.target)),
        );
        all.push(measured);
    }
    if !differing.is_empty() {
        return fail(format!(
            "other bits than on this machine: {}",
            differing.join(", ")
        ));
    }
    // The compiler proved the rest away; what it could not, is code and a promise that nothing keeps.
    if !panicking.is_empty() {
        return fail(format!(
            "the firmware {} can panic: {}",
            call.programs().1,
            panicking.join(", ")
        ));
    }
    Ok(all)
}

/// What the firmware of a part did, and what flashvec adds to it.
pub struct Measured {
    pub run: Run,
    /// Bytes of flash that the minimal firmware has more than an empty one.
    pub code: u64,
    /// Functions of `core::panicking` in the minimal firmware.
    pub panics: Vec<String>,
}

/// Builds and runs the firmware of a part.
pub fn measure(
    toolchain: &Toolchain,
    part: &Part,
    image: &Path,
    texts: &Path,
    call: Call,
) -> Result<Measured> {
    let folder = machine::build(toolchain, part, call)?;
    let (all, minimal) = call.programs();
    let (minimal, empty) = (folder.join(minimal), folder.join("empty"));
    Ok(Measured {
        run: machine::run(part, &folder.join(all), image, texts)?,
        code: elf::flash(&minimal)?.saturating_sub(elf::flash(&empty)?),
        panics: elf::panics(&minimal)?,
    })
}

/// Texts whose lines are not the same; a line that only one side has counts as well.
pub fn differences(a: &[String], b: &[String]) -> usize {
    let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
    a.len().max(b.len()) - same
}
