//! The firmware example of a classifier: every test text of Snips through its UART, against this machine bit for bit, and what
//! that costs on the board.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::shell::{self, Failure, Result, fail, say};
use crate::toolchain::Toolchain;
use crate::{budgets, device, elf, examples, inputs};

const EXAMPLE: &str = "voice-assistant";
const MODEL: &str = "firmware-examples/models/snips-64k.fvec";
const TEXTS: &str = "tests/data/snips-test.tsv";

/// Targets, the boards that they are for, and bytes of RAM there.
const BOARDS: [(&str, &str, u64); 2] = [
    ("thumbv6m-none-eabi", "micro:bit", 16 * 1024),
    ("thumbv7em-none-eabihf", "mps2-an386", 4096 * 1024),
];

/// Intents that texts without one count as: the last row and column of the confusion.
const NONE: &str = "none";

/// Runs all texts on both boards; holds RAM, flash and instructions to the budgets, or commits them.
pub fn test(toolchain: &Toolchain, accept: bool) -> Result<()> {
    let samples = samples()?;
    let lines: String = samples
        .iter()
        .map(|(_, text)| format!("{text}\n"))
        .collect();
    let texts = shell::scratch_dir()?.join("snips.txt");
    shell::write(&texts, lines)?;
    let texts = inputs::texts(Some(&texts))?;
    let expected = inputs::host_results("host_bits", &shell::root().join(MODEL), &texts, true)?;
    let session = shell::scratch_dir()?.join("snips-session.txt");
    shell::write(&session, typed(&samples))?;

    for (target, board, ram) in BOARDS {
        say(
            &format!("{EXAMPLE} on an emulated {board}, {} texts", samples.len()),
            "the program that people copy gives this machine's bits, and fits the board",
        );
        shell::run(&mut toolchain.cargo("build", &examples::folder(EXAMPLE), target)?)?;
        let program = program(target);
        let panics = elf::panics(&program)?;
        if !panics.is_empty() {
            return fail(format!(
                "{board}: {EXAMPLE} can panic: {}",
                panics.join(", ")
            ));
        }
        let run = parse(&shell::capture(
            &mut run_command(toolchain, target, &session)?,
            Duration::from_secs(900),
        )?)?;
        match device::differences(&expected, &run.bits) {
            0 => {}
            count => return fail(format!("{board}: {count} texts have other bits than here")),
        }
        let confusion = confusion(&samples, &expected, &run.names)?;
        if run.confusion != confusion {
            return fail(format!(
                "{board}: the confusion is {:?}, by the bits it is {confusion:?}",
                run.confusion
            ));
        }
        let right: u64 = (0..confusion.len()).map(|at| confusion[at][at]).sum();
        let [instructions, flash] = [
            run.instructions.iter().sum::<u64>() / samples.len() as u64,
            elf::flash(&program)?,
        ];
        println!(
            "    {right} of {} right, bits as here; {instructions} instructions a text, {} bytes of RAM, {flash} of flash",
            samples.len(),
            run.ram,
        );
        if run.ram >= ram {
            return fail(format!("{board}: the stack filled the {ram} bytes of RAM"));
        }
        let figures = [
            ("flash", flash),
            ("instructions_a_text", instructions),
            ("ram", run.ram),
        ];
        budgets::check_example(EXAMPLE, target, &figures, &toolchain.version()?, accept)?;
    }
    Ok(())
}

fn run_command(
    toolchain: &Toolchain,
    target: &str,
    session: &Path,
) -> Result<std::process::Command> {
    let mut command = toolchain.cargo("run", &examples::folder(EXAMPLE), target)?;
    command.arg("--").arg(session);
    Ok(command)
}

fn program(target: &str) -> PathBuf {
    let built = shell::target_dir().join("firmware").join(target);
    built.join("release/flashvec-voice-assistant")
}

/// Intents and texts.
fn samples() -> Result<Vec<(String, String)>> {
    let path = shell::root().join(TEXTS);
    let file = String::from_utf8_lossy(&shell::read(&path)?).into_owned();
    let sample = |line: &str| {
        let (intent, text) = line.split_once('\t')?;
        Some((intent.to_owned(), text.to_owned()))
    };
    let samples: Option<Vec<_>> = file.lines().skip(1).map(sample).collect();
    samples.ok_or_else(|| Failure::new(format!("{} has a line without a tab", path.display())))
}

/// What is typed: each text for its bits, each with its intent, then for the confusion and for the RAM.
fn typed(samples: &[(String, String)]) -> String {
    let bits = samples.iter().map(|(_, text)| format!("!{text}\n"));
    let intents = samples
        .iter()
        .map(|(intent, text)| format!("{intent}\t{text}\n"));
    bits.chain(intents).collect::<String>() + "\n!\n"
}

/// What the firmware answered.
#[derive(Default)]
struct Answers {
    bits: Vec<String>,
    instructions: Vec<u64>,
    confusion: Vec<Vec<u64>>,
    /// Intents, in the order of rows and columns, and the name of none.
    names: Vec<String>,
    /// Variables and stack.
    ram: u64,
}

fn parse(printed: &str) -> Result<Answers> {
    let mut answers = Answers::default();
    // Behind a prompt is the echo of what was typed.
    for line in printed.lines().filter(|line| !line.starts_with("> ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<u64> = words.iter().map_while(|word| word.parse().ok()).collect();
        match words.as_slice() {
            ["bits", _] => answers.bits.push(line.to_owned()),
            ["instructions", count] => answers.instructions.extend(count.parse::<u64>()),
            ["static", fixed, "stack", stack, ..] => {
                let fixed = fixed.trim_end_matches(',').parse::<u64>();
                answers.ram = fixed.into_iter().chain(stack.parse::<u64>()).sum();
            }
            [.., name] if numbers.len() > 2 && numbers.len() + 1 == words.len() => {
                answers.names.push((*name).to_owned());
                answers.confusion.push(numbers);
            }
            _ => {}
        }
    }
    if answers.ram == 0 || answers.instructions.len() != answers.bits.len() {
        return fail(format!("{EXAMPLE} stopped before the end of its session"));
    }
    Ok(answers)
}

/// How often each intent was taken for which, by this machine's bits: their last word is the intent's number.
fn confusion(
    samples: &[(String, String)],
    bits: &[String],
    names: &[String],
) -> Result<Vec<Vec<u64>>> {
    let none = names
        .iter()
        .position(|name| name == NONE)
        .unwrap_or(names.len());
    let mut counts = vec![vec![0; names.len()]; names.len()];
    for ((intent, _), bits) in samples.iter().zip(bits) {
        let row = names.iter().position(|name| name == intent);
        let best = bits.get(bits.len().saturating_sub(8)..).unwrap_or_default();
        let column = match u32::from_str_radix(best, 16) {
            Ok(u32::MAX) => none,
            Ok(best) => best as usize,
            Err(_) => names.len(),
        };
        let count = row.and_then(|row| counts[row].get_mut(column));
        *count.ok_or_else(|| Failure::new(format!("no place for {intent} taken for {best}")))? += 1;
    }
    Ok(counts)
}
