//! mps2-an386, as in Arm's Application Note 386 and Cortex-M System Design Kit Technical Reference Manual.

use super::Peripheral;

// SAFETY: these peripherals have no DMA.
const UART0: Peripheral = unsafe { Peripheral::at(0x4000_4000) };
const DATA: usize = 0x00;
const STATE: usize = 0x04;
const UART_CTRL: usize = 0x08;
const BAUDDIV: usize = 0x10;

const TX_FULL: u32 = 1;
const RX_FULL: u32 = 2;

// SAFETY: as above.
const TIMER0: Peripheral = unsafe { Peripheral::at(0x4000_0000) };
const TIMER_CTRL: usize = 0x00;
const VALUE: usize = 0x04;
const RELOAD: usize = 0x08;

/// Starts the UART and the timer.
pub fn start() {
    // 25 MHz by 115,200 baud.
    UART0.write(BAUDDIV, 217);
    // Sender and receiver.
    UART0.write(UART_CTRL, 3);

    // 32 bits at 25 MHz, downwards.
    TIMER0.write(VALUE, u32::MAX);
    TIMER0.write(RELOAD, u32::MAX);
    TIMER0.write(TIMER_CTRL, 1);
}

/// Waits for a byte.
pub fn receive() -> u8 {
    while UART0.read(STATE) & RX_FULL == 0 {}
    UART0.read(DATA) as u8
}

/// Sends a byte.
pub fn send(byte: u8) {
    while UART0.read(STATE) & TX_FULL != 0 {}
    UART0.write(DATA, byte.into());
}

/// What the timer says.
pub fn ticks() -> u32 {
    TIMER0.read(VALUE)
}

/// Instructions between two readings, under the clock that run.sh gives QEMU: one is 64 ns, so 1.6 ticks.
pub fn instructions(earlier: u32, later: u32) -> u32 {
    (u64::from(earlier.wrapping_sub(later)) * 5 / 8) as u32
}
