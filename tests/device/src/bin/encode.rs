//! Encodes every text and prints, a line each, the bits of the embedding and what it cost; then the RAM it took.
//!
//! ```text
//! bits 3d1c5e90be0021aa…      the f32 bits of each dimension, or `error` and the reason
//! cost 81234 12 57            instructions, tokens (none for invalid UTF-8), bytes of input
//! ram 928 412 1544 96         stack of from_bytes, stack of encode, scratch, the model itself, in bytes
//! ```

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use flashvec::{Error, Model};
use flashvec_device::{board, stack};
use semihosting::io::{self, Write};
use semihosting::{eprintln, process};

/// Dimensions a line of output and the scratch are sized for.
const MAX_DIMS: usize = 1024;

#[inline(never)]
fn parse(image: &'static [u8]) -> Result<Model<'static>, Error> {
    Model::from_bytes(image)
}

#[inline(never)]
fn encode<'s>(model: &Model, text: &[u8], scratch: &'s mut [u32]) -> Result<&'s [f32], Error> {
    model.encode_bytes(text, scratch)
}

/// A line of output, written in one semihosting call since each call stops the emulator.
struct Line {
    bytes: [u8; 8 * MAX_DIMS + 16],
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

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let mut out = io::stdout().expect("opening the host's standard output");
    let mut line = Line {
        bytes: [0; 8 * MAX_DIMS + 16],
        len: 0,
    };
    let mut scratch = [0; 2 * MAX_DIMS + 512];
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

    let mut encode_stack = 0;
    for text in board::texts() {
        let (result, used) = stack::gauge(|| encode(&model, text, scratch).map(<[f32]>::len));
        encode_stack = used.max(encode_stack);
        // Once more for the count, so that painting the stack stays out of it.
        let (again, instructions) = board::count_instructions(|| encode(&model, text, scratch));
        match again {
            Ok(embedding) => {
                assert_eq!(result, Ok(embedding.len()));
                line.text("bits ");
                embedding.iter().for_each(|x| line.hex(x.to_bits()));
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
    writeln!(out, "ram {parse_stack} {encode_stack} {scratch} {model}")
        .expect("writing to the host");
    process::exit(0)
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    eprintln!("{info}");
    process::exit(101)
}
