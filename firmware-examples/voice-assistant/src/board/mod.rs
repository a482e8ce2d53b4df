//! The boards: a UART without interrupts, and a timer that counts instructions in QEMU.

use core::ptr;

#[cfg(board = "microbit")]
mod microbit;
#[cfg(board = "mps2-an386")]
mod mps2_an386;

#[cfg(board = "microbit")]
pub use microbit::*;
#[cfg(board = "mps2-an386")]
pub use mps2_an386::*;

/// Bytes of address space that a peripheral has.
const SIZE: usize = 0x1000;

/// A peripheral's registers, at offsets that are multiples of 4.
struct Peripheral(usize);

impl Peripheral {
    /// # Safety
    ///
    /// A peripheral lies there for [`SIZE`] bytes, and nothing written to it makes it touch memory.
    const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    fn register(&self, offset: usize) -> *mut u32 {
        ptr::with_exposed_provenance_mut(self.0 + (offset & (SIZE - 4)))
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: inside the peripheral, as `at` was promised.
        unsafe { ptr::read_volatile(self.register(offset)) }
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as for `read`; and the peripheral touches no memory.
        unsafe { ptr::write_volatile(self.register(offset), value) }
    }
}
