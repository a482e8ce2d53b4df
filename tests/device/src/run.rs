//! What the firmware that runs every text has in common: calls a model, and prints bits and costs.

use flashvec::{Error, Model};
use semihosting::io::{self, Write};
use semihosting::{eprintln, process};

use crate::{board, stack};

/// Floats a line of output and the scratch are sized for.
const MAX_WORDS: usize = 1024;

/// What a model says of a text.
pub struct Output<'s> {
    /// Bits of these are printed.
    pub values: &'s [f32],
    /// Behind them, of a classification.
    pub more: Option<[u32; 3]>,
}

#[inline(never)]
fn parse(image: &'static [u8]) -> Result<Model<'static>, Error> {
    Model::from_bytes(image)
}

/// A line of output, written in one semihosting call since each call stops the emulator.
struct Line {
    bytes: [u8; 8 * MAX_WORDS + 64],
    len: usize,
}

impl Line {
    fn text(&mut self, text: &str) {
        self.bytes[self.len..][..text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len();
    }

    fn hex(&mut self, word: u32) {
        for shift in (0..8).rev() {
            self.bytes[self.len] = b"0123456789abcdef"[(word >> (4 * shift)) as usize & 15];
            self.len += 1;
        }
    }

    fn end(&mut self, out: &mut io::Stdout) {
        self.text("\n");
        out.write_all(&self.bytes[..self.len])
            .expect("writing to the host");
        self.len = 0;
    }
}

/// Runs `call` on every text and prints, a line each, the bits of what it gives and what it cost; then the RAM it
/// took.
///
/// `call` should do nothing but call one function that is never inlined.
///
/// ```text
/// bits 3d1c5e90be0021aa…      the f32 bits of each value, or `error` and the reason
/// cost 81234 12 57            instructions, tokens (none for invalid UTF-8), bytes of input
/// ram 928 412 1544 96         stack of from_bytes, stack of the call, scratch, the model itself, in bytes
/// ```
pub fn run(call: impl for<'s> Fn(&Model, &[u8], &'s mut [u32]) -> Result<Output<'s>, Error>) -> ! {
    let mut out = io::stdout().expect("opening the host's standard output");
    let mut line = Line {
        bytes: [0; 8 * MAX_WORDS + 64],
        len: 0,
    };
    let mut scratch = [0; 2 * MAX_WORDS + 512];
    board::start_counter();

    let (model, parse_stack) = stack::gauge(|| parse(board::image()));
    let model = match model {
        Ok(model) => model,
        Err(error) => {
            eprintln!("the image is not usable: {error:?}");
            process::exit(1);
        }
    };
    let scratch = &mut scratch[..model.scratch_len()];

    let mut call_stack = 0;
    for text in board::texts() {
        let (result, used) =
            stack::gauge(|| call(&model, text, scratch).map(|output| output.values.len()));
        call_stack = used.max(call_stack);
        // Once more for the count, so that painting the stack stays out of it.
        let (again, instructions) = board::count_instructions(|| call(&model, text, scratch));
        match again {
            Ok(Output { values, more }) => {
                assert_eq!(result, Ok(values.len()));
                line.text("bits ");
                values.iter().for_each(|x| line.hex(x.to_bits()));
                more.iter().flatten().for_each(|&word| line.hex(word));
                line.end(&mut out);
            }
            Err(error) => writeln!(out, "error {error:?}").expect("writing to the host"),
        }
        let mut tokens = 0;
        if let Ok(text) = core::str::from_utf8(text) {
            model
                .tokenize(text, scratch, |_| tokens += 1)
                .expect("the scratch was long enough");
        }
        writeln!(out, "cost {instructions} {tokens} {}", text.len()).expect("writing to the host");
    }
    let (scratch, model) = (size_of_val(scratch), size_of_val(&model));
    writeln!(out, "ram {parse_stack} {call_stack} {scratch} {model}").expect("writing to the host");
    process::exit(0)
}
