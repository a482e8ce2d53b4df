//! Board: QEMU's mps2-an386, a Cortex-M4F with 4 MB of flash and 4 MB of RAM. No wiring; `cargo run --release`.
//!
//! Encodes a few sentences with a model that lies in flash, and prints how alike they are.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::entry;
use defmt_semihosting as _;
use flashvec::Model;
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
    let mut timer = cortex_m::Peripherals::take().unwrap().SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(0x00ff_ffff);
    timer.clear_current();
    timer.enable_counter();

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
        let before = SYST::get_current();
        if let Err(error) = model.encode_i8(sentence, &mut scratch, vector) {
            defmt::panic!("encoding failed: {}", error);
        }
        // SysTick counts down, 24 bits, 25 MHz: 1.6 ticks an instruction at the clock that run.sh sets.
        let ticks = before.wrapping_sub(SYST::get_current()) & 0x00ff_ffff;
        defmt::info!("{} instructions: {}", ticks * 5 / 8, sentence);
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
