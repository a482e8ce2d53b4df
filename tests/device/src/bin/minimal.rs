//! The smallest firmware that parses an image and encodes a text: less `empty`, it is the code that flashvec adds.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use flashvec::Model;
use flashvec_device::board;

static mut SCRATCH: [u32; 1024] = [0; 1024];

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    // SAFETY: `main` runs once, and nothing else names SCRATCH.
    let scratch = unsafe { &mut *(&raw mut SCRATCH) };
    if let Ok(model) = Model::from_bytes(board::image()) {
        black_box(model.encode(black_box("hello"), scratch).is_ok());
    }
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
