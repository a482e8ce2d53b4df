//! Classifies every text and prints the bits of the scores, of the scope score, whether the text is in scope, and its
//! best label: see [`flashvec_device::run`].

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use flashvec::{Classification, Error, Model};
use flashvec_device::run::{Output, run};
use semihosting::{eprintln, process};

#[inline(never)]
fn classify<'s>(
    model: &Model,
    text: &[u8],
    scratch: &'s mut [u32],
) -> Result<Classification<'s>, Error> {
    model.classify_bytes(text, scratch)
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    run(|model, text, scratch| {
        classify(model, text, scratch).map(|found| Output {
            values: found.scores(),
            more: Some([
                found.scope_score().to_bits(),
                u32::from(found.is_in_scope()),
                found.best().map_or(u32::MAX, |best| best.label as u32),
            ]),
        })
    })
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    eprintln!("{info}");
    process::exit(101)
}
