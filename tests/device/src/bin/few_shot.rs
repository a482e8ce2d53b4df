//! A few-shot classifier that learns and forgets every text, and prints what `few_shot_steps` emits, and what it costs to
//! classify; then the state's bytes, and the RAM it took.
//!
//! ```text
//! bits 00000001a1b2c3d4…      words; at last those of the state
//! cost 81234 12 57            instructions of classify, tokens (none for invalid UTF-8), bytes of input
//! ram 928 412 1544 96         stack of restore, stack of classify or add_example, scratch, classifier and its state
//! ```

#![no_std]
#![no_main]

#[path = "../../../host/src/few_shot_steps.rs"]
mod few_shot_steps;

use core::panic::PanicInfo;

use few_shot_steps::{CAPACITY, step};
use flashvec::{FewShot, FewShotError, Matches, Model};
use flashvec_device::{board, stack};
use semihosting::io::{self, Write};
use semihosting::{eprintln, process};

/// Dimensions that state, scratch and a line of output are sized for.
const MAX_DIMS: usize = 256;
const STATE_LEN: usize = 20 + CAPACITY * (36 + 4 * MAX_DIMS);

#[inline(never)]
fn restore<'m, 'b>(
    model: &'m Model<'m>,
    state: &'b mut [u8],
) -> Result<FewShot<'m, 'b>, FewShotError> {
    FewShot::restore(model, state)
}

#[inline(never)]
fn add(few_shot: &mut FewShot, text: &[u8], scratch: &mut [u32]) -> Result<(), FewShotError> {
    few_shot.add_example("light", text, scratch)
}

#[inline(never)]
fn classify<'s>(
    few_shot: &FewShot,
    text: &[u8],
    scratch: &'s mut [u32],
) -> Result<Matches<'s>, FewShotError> {
    few_shot.classify(text, scratch)
}

/// A line of output, written in one semihosting call since each call stops the emulator.
struct Line {
    bytes: [u8; 2 * STATE_LEN + 16],
    len: usize,
}

impl Line {
    fn begin(&mut self) {
        self.bytes[..5].copy_from_slice(b"bits ");
        self.len = 5;
    }

    fn hex(&mut self, word: u32) {
        for shift in (0..8).rev() {
            self.bytes[self.len] = b"0123456789abcdef"[(word >> (4 * shift)) as usize & 15];
            self.len += 1;
        }
    }

    fn end(&mut self, out: &mut io::Stdout) {
        self.bytes[self.len] = b'\n';
        out.write_all(&self.bytes[..=self.len])
            .expect("writing to the host");
    }
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let mut out = io::stdout().expect("opening the host's standard output");
    let mut line = Line {
        bytes: [0; 2 * STATE_LEN + 16],
        len: 0,
    };
    let (mut state, mut trial) = ([0; STATE_LEN], [0; STATE_LEN]);
    let mut scratch = [0; 2 * MAX_DIMS + 512];
    board::start_counter();

    let model = Model::from_bytes(board::image()).expect("the image is sound");
    let state = &mut state[..FewShot::len_for(&model, CAPACITY)];
    let needed = FewShot::new(&model, state)
        .expect("the state is as long as it must be")
        .scratch_len();
    let scratch = &mut scratch[..needed];

    let (mut restore_stack, mut call_stack) = (0, 0);
    let mut previous: &[u8] = &[];
    for (at, text) in board::texts().enumerate() {
        line.begin();
        let emit = &mut |word| line.hex(word);
        step(&model, state, at, text, previous, scratch, emit).expect("the state is sound");
        line.end(&mut out);
        previous = text;

        // On a copy, since measuring must not leave a trace.
        let trial = &mut trial[..state.len()];
        trial.copy_from_slice(state);
        let (few_shot, used) = stack::gauge(|| restore(&model, trial));
        restore_stack = used.max(restore_stack);
        let mut few_shot = few_shot.expect("the state is sound");
        let (found, used) = stack::gauge(|| classify(&few_shot, text, scratch).is_ok());
        call_stack = used.max(call_stack);
        let (again, instructions) =
            board::count_instructions(|| classify(&few_shot, text, scratch).is_ok());
        assert!(found && again);
        let (_, used) = stack::gauge(|| add(&mut few_shot, text, scratch).is_ok());
        call_stack = used.max(call_stack);
        let mut tokens = 0;
        if let Ok(text) = core::str::from_utf8(text) {
            model
                .tokenize(text, scratch, |_| tokens += 1)
                .expect("the scratch was long enough");
        }
        writeln!(out, "cost {instructions} {tokens} {}", text.len()).expect("writing to the host");
    }
    line.begin();
    for word in state.as_chunks().0 {
        line.hex(u32::from_le_bytes(*word));
    }
    line.end(&mut out);
    let (scratch, state) = (size_of_val(scratch), size_of::<FewShot>() + state.len());
    writeln!(out, "ram {restore_stack} {call_stack} {scratch} {state}")
        .expect("writing to the host");
    process::exit(0)
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    eprintln!("{info}");
    process::exit(101)
}
