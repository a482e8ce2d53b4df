//! How deep a call reaches into the stack: paint the free stack, call, look for the deepest word that changed.

use core::arch::asm;
use core::ptr;

/// How far below the caller is painted; every machine's stack has megabytes.
const DEPTH: usize = 64 * 1024;
const PAINT: u32 = 0x5afe_57ac;

fn stack_pointer() -> usize {
    let sp: usize;
    #[cfg(target_arch = "arm")]
    // SAFETY: copies a register.
    unsafe {
        asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "riscv32")]
    // SAFETY: copies a register.
    unsafe {
        asm!("mv {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags));
    }
    sp
}

/// Runs `f` and returns its result with the bytes of stack used below this function's own frame.
///
/// `f` should do nothing but call one function that is never inlined, so that the whole frame of that
/// function lies below.
#[inline(never)]
pub fn gauge<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let top = stack_pointer();
    let bottom = top - DEPTH;
    for address in (bottom..top).step_by(4) {
        // SAFETY: memory below the stack pointer is free until the next call, and this loop makes none.
        unsafe { ptr::write_volatile(address as *mut u32, PAINT) };
    }
    let result = f();
    // SAFETY: as above: nothing lives below the stack pointer.
    let untouched = (bottom..top)
        .step_by(4)
        .take_while(|&address| unsafe { ptr::read_volatile(address as *const u32) } == PAINT)
        .count()
        * 4;
    assert!(untouched > 0, "the call reached past the painted stack");
    (result, DEPTH - untouched)
}
