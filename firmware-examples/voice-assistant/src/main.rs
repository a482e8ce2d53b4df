//! Board: a BBC micro:bit of version 1 (nRF51822: Cortex-M0, 256 KB of flash, 16 KB of RAM), or QEMU's mps2-an386, a
//! Cortex-M4F: the target picks it. UART over USB, 115,200 baud, 8N1; no wiring. `cargo run --release`.
//!
//! Says which of a voice assistant's intents a typed line is, and how sure it is of that.

#![no_std]
#![no_main]

mod board;
mod confusion;
mod console;
mod stack;

use core::panic::PanicInfo;

use confusion::Confusion;
use console::Console;
use cortex_m::peripheral::SCB;
use cortex_m_rt::{ExceptionFrame, entry, exception};
use flashvec::{Classification, Error, Head, Model};

/// The classifier is used where it lies: nothing of it is copied to RAM.
static IMAGE: &[u8] = include_bytes!("../../models/snips-64k.fvec");

/// Words of working memory; the model says how many it needs.
const SCRATCH: usize = 320;

#[entry]
fn main() -> ! {
    board::start();
    let mut console = Console::new();
    // Proves the whole image once; after this no call on the model can fail for what the image holds.
    if let Ok(model) = Model::from_bytes(IMAGE)
        && let Some(head) = model.head()
        && model.scratch_len() <= SCRATCH
        && let Some(mut confusion) = Confusion::new(head.label_count())
    {
        greet(&mut console, &model, head);
        while console.read_line() {
            answer(&mut console, &model, head, &mut confusion);
        }
    } else {
        console.text("this program was not made for its model\r\n");
    }
    SCB::sys_reset()
}

fn greet(console: &mut Console, model: &Model, head: &Head) {
    console.number(IMAGE.len() as u32);
    console.text(" bytes, ");
    console.number(model.token_count() as u32);
    console.text(" tokens, ");
    console.number(model.ngram_count() as u32);
    console.text(" n-grams; ");
    console.number(head.label_count() as u32);
    console.text(" intents:");
    for label in (0..).map_while(|label| head.label(label)) {
        console.text(" ");
        console.text(label);
    }
    console.text("\r\n");
}

fn answer(console: &mut Console, model: &Model, head: &Head, confusion: &mut Confusion) {
    let mut scratch = [0; SCRATCH];
    let line = console.line.clone();
    if line.is_empty() {
        confusion.print(console, head);
    } else if *line == *b"!" {
        stack::print(console);
    } else if let Some(text) = line.strip_prefix(b"!") {
        let before = board::ticks();
        let found = classify(model, text, &mut scratch);
        let instructions = board::instructions(before, board::ticks());
        if let Ok(found) = found {
            print_bits(console, &found);
            console.text("instructions ");
            console.number(instructions);
            console.text("\r\n");
        }
    } else {
        let (meant, text) = match line.iter().position(|&byte| byte == b'\t') {
            Some(tab) => {
                let (meant, text) = line.split_at_checked(tab).unwrap_or_default();
                (Some(meant), text.get(1..).unwrap_or_default())
            }
            None => (None, line.as_slice()),
        };
        if let Ok(found) = classify(model, text, &mut scratch) {
            print_best(console, head, &found);
            if let Some(meant) = meant {
                confusion.count(console, head, meant, found.best());
            }
            console.text("\r\n");
        }
    }
}

#[inline(never)]
fn classify<'s>(
    model: &Model,
    text: &[u8],
    scratch: &'s mut [u32],
) -> Result<Classification<'s>, Error> {
    model.classify_bytes(text, scratch)
}

fn print_best(console: &mut Console, head: &Head, found: &Classification) {
    let Some(best) = found.best() else {
        return console.text("none of these");
    };
    console.text(head.label(best.label).unwrap_or_default());
    let tenths = (best.probability * 1000.0 + 0.5) as u32;
    console.text(" ");
    console.number(tenths / 10);
    console.text(".");
    console.number(tenths % 10);
    console.text(" %");
}

/// All that the classifier says, as hexadecimal words: the probabilities' f32 bits, those of the scope score, whether the
/// text is in scope, and the number of its label.
fn print_bits(console: &mut Console, found: &Classification) {
    console.text("bits ");
    let best = found.best().map_or(u32::MAX, |best| best.label as u32);
    for &score in found.scores() {
        console.hex(score.to_bits());
    }
    console.hex(found.scope_score().to_bits());
    console.hex(u32::from(found.is_in_scope()));
    console.hex(best);
    console.text("\r\n");
}

/// Never called: no function that panics is in the program, which its test checks.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    SCB::sys_reset()
}

/// What a stack that outgrows the RAM ends in.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    SCB::sys_reset()
}
