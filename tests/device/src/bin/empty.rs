//! The same as `minimal` without flashvec.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use flashvec_device::board;

static mut SCRATCH: [u32; 1024] = [0; 1024];

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    black_box(&raw mut SCRATCH);
    black_box(board::image());
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
