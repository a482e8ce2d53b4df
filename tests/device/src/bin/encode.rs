//! Encodes every text and prints the bits of the embeddings: see [`flashvec_device::run`].

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use flashvec::{Error, Model};
use flashvec_device::run::{Output, run};
use semihosting::{eprintln, process};

#[inline(never)]
fn encode<'s>(model: &Model, text: &[u8], scratch: &'s mut [u32]) -> Result<&'s [f32], Error> {
    model.encode_bytes(text, scratch)
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    run(|model, text, scratch| {
        encode(model, text, scratch).map(|values| Output { values, more: None })
    })
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    eprintln!("{info}");
    process::exit(101)
}
