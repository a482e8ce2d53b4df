//! The emulated machines: addresses that `xtask` loads files at, and a counter of executed instructions.

use core::ptr;

/// Where `xtask` loads the image; the texts and the image's length follow at fixed distances.
#[cfg(all(target_arch = "arm", not(armv8m)))]
const INPUT: usize = 0x2100_0000;
#[cfg(all(target_arch = "arm", armv8m))]
const INPUT: usize = 0x8000_0000;
#[cfg(target_arch = "riscv32")]
const INPUT: usize = 0x8400_0000;

/// Room for the image: PSRAM is 16 MiB, and the last 2 MiB hold the texts.
const TEXTS: usize = INPUT + 0x00e0_0000;
/// The last word of the 16 MiB holds the image's length.
const IMAGE_LEN: usize = INPUT + 0x00ff_fffc;

fn word(address: usize) -> usize {
    // SAFETY: callers pass addresses inside the RAM that `xtask` filled before the program started.
    unsafe { ptr::read_unaligned(address as *const u32) as usize }
}

/// The image that QEMU's loader put into memory.
pub fn image() -> &'static [u8] {
    // SAFETY: `xtask` loaded that many bytes there before the program started, nothing writes to them
    // afterwards, and the linker's regions leave the place alone.
    unsafe { core::slice::from_raw_parts(INPUT as *const u8, word(IMAGE_LEN)) }
}

/// The texts that QEMU's loader put into memory: a count, then a length and bytes for each, little-endian.
pub fn texts() -> impl Iterator<Item = &'static [u8]> {
    let count = word(TEXTS);
    let mut at = TEXTS + 4;
    (0..count).map(move |_| {
        let len = word(at);
        let start = at + 4;
        at = start + len;
        // SAFETY: as for `image`; `xtask` checks that the file ends inside this memory.
        unsafe { core::slice::from_raw_parts(start as *const u8, len) }
    })
}

#[cfg(target_arch = "arm")]
mod counter {
    //! A 32-bit down counter of the board, since `SysTick`'s 24 bits run over in a long text.

    use core::ptr;

    /// The secure alias of CMSDK timer 0, at 20 MHz: under `-icount shift=6` an instruction is 1.28 ticks.
    #[cfg(armv8m)]
    const TIMER: (*mut u32, u64, u64) = (0x5000_0000 as *mut u32, 25, 32);
    /// CMSDK timer 0, at 25 MHz: under `-icount shift=6` an instruction is 1.6 ticks.
    #[cfg(not(armv8m))]
    const TIMER: (*mut u32, u64, u64) = (0x4000_0000 as *mut u32, 5, 8);

    pub fn start() {
        // SAFETY: the timer's VALUE, RELOAD and CTRL registers; nothing else uses it.
        unsafe {
            ptr::write_volatile(TIMER.0.add(1), u32::MAX);
            ptr::write_volatile(TIMER.0.add(2), u32::MAX);
            ptr::write_volatile(TIMER.0, 1);
        }
    }

    pub fn raw() -> u32 {
        // SAFETY: the timer's VALUE register.
        unsafe { ptr::read_volatile(TIMER.0.add(1)) }
    }

    pub fn between(earlier: u32, later: u32) -> u64 {
        (u64::from(earlier.wrapping_sub(later)) * TIMER.1).div_ceil(TIMER.2)
    }
}

#[cfg(target_arch = "riscv32")]
mod counter {
    //! The hart's own counter of retired instructions.

    use core::arch::asm;

    pub fn start() {}

    pub fn raw() -> u32 {
        let count: u32;
        // SAFETY: reads the counter of retired instructions, which has no side effect.
        unsafe { asm!("csrr {}, minstret", out(reg) count, options(nomem, nostack)) };
        count
    }

    pub fn between(earlier: u32, later: u32) -> u64 {
        u64::from(later.wrapping_sub(earlier))
    }
}

/// Starts the instruction counter.
pub fn start_counter() {
    counter::start();
}

/// Runs `f` and counts the instructions it executed, the call included.
///
/// Right under the `-icount` that `xtask` runs this with only; on Arm to within two instructions.
pub fn count_instructions<R>(f: impl FnOnce() -> R) -> (R, u64) {
    let reading = counter::raw();
    let none = counter::between(reading, counter::raw());
    let before = counter::raw();
    let result = f();
    let count = counter::between(before, counter::raw());
    (result, count.saturating_sub(none))
}
