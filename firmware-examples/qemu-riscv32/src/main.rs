//! Board: QEMU's `virt` with one RV32IMC hart, of the kind an ESP32-C3 has. No wiring; `cargo run --release`.
//!
//! Encodes a few sentences with a model that lies in flash, and prints how alike they are.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use defmt_semihosting as _;
use flashvec::Model;
use riscv::register::minstret;
use riscv_rt::entry;
use semihosting::process;

/// The model is used where it lies: nothing of it is copied to RAM.
static IMAGE: &[u8] = include_bytes!("../../models/english-256k.fvec");

const DIMS: usize = 256;

const SENTENCES: [&str; 5] = [
    "Turn on the lights in the kitchen.",
    "Could you switch the kitchen lamp on?",
    "What will the weather be like tomorrow?",
    "Is it going to rain in the morning?",
    "Play some music by Johann Sebastian Bach.",
];

#[entry]
fn main() -> ! {
    // Proves the whole image once; after this no call on the model can fail for what the image holds.
    let model = match Model::from_bytes(IMAGE) {
        Ok(model) => model,
        Err(error) => defmt::panic!("the image is not usable: {}", error),
    };
    defmt::info!(
        "{} tokens, {} dimensions, {} bytes",
        model.token_count(),
        model.dims(),
        IMAGE.len()
    );

    // The caller owns the working memory: `model.scratch_len()` says how much a model needs.
    let mut scratch = [0; 1024];
    let mut vectors = [[0; DIMS]; SENTENCES.len()];
    for (sentence, vector) in SENTENCES.iter().zip(&mut vectors) {
        let before = minstret::read();
        if let Err(error) = model.encode_i8(sentence, &mut scratch, vector) {
            defmt::panic!("encoding failed: {}", error);
        }
        // The hart's own count of retired instructions.
        let instructions = minstret::read().wrapping_sub(before);
        defmt::info!("{} instructions: {}", instructions, sentence);
    }

    defmt::info!("cosine similarity, in hundredths");
    for a in &vectors {
        let row = vectors
            .each_ref()
            .map(|b| (100.0 * flashvec::cosine_i8(a, b)) as i32);
        defmt::info!("{}", row);
    }
    process::exit(0)
}

#[defmt::panic_handler]
fn defmt_panic() -> ! {
    process::exit(1)
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    defmt::error!("{}", defmt::Display2Format(info));
    process::exit(1)
}
