//! The smallest firmware that parses a classifier and classifies a text: less `empty`, it is the code that flashvec adds.

#![no_std]
#![no_main]

use core::hint::{black_box, spin_loop};
use core::panic::PanicInfo;

use flashvec::Model;
use flashvec_device::board;

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let mut scratch = [0; 1024];
    if let Ok(model) = Model::from_bytes(board::image()) {
        let classification = model.classify(black_box("hello"), &mut scratch);
        black_box(classification.ok().and_then(|found| found.best()));
    }
    loop {
        spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {
        spin_loop();
    }
}
