//! nRF51822, as in Nordic's nRF51 Series Reference Manual, version 3.0.

use super::Peripheral;

// SAFETY: these peripherals have no DMA.
const GPIO: Peripheral = unsafe { Peripheral::at(0x5000_0000) };
const OUTSET: usize = 0x508;
const DIRSET: usize = 0x518;

// SAFETY: as above.
const CLOCK: Peripheral = unsafe { Peripheral::at(0x4000_0000) };
const HFCLKSTART: usize = 0x000;
const HFCLKSTARTED: usize = 0x100;

// SAFETY: as above.
const UART0: Peripheral = unsafe { Peripheral::at(0x4000_2000) };
const STARTRX: usize = 0x000;
const STARTTX: usize = 0x008;
const RXDRDY: usize = 0x108;
const TXDRDY: usize = 0x11c;
const ENABLE: usize = 0x500;
const PSELTXD: usize = 0x50c;
const PSELRXD: usize = 0x514;
const RXD: usize = 0x518;
const TXD: usize = 0x51c;
const BAUDRATE: usize = 0x524;

// SAFETY: as above.
const TIMER0: Peripheral = unsafe { Peripheral::at(0x4000_8000) };
const START: usize = 0x000;
const CAPTURE0: usize = 0x040;
const BITMODE: usize = 0x508;
const PRESCALER: usize = 0x510;
const CC0: usize = 0x540;

/// Pins of the micro:bit that its USB interface is at.
const TX_PIN: u32 = 24;
const RX_PIN: u32 = 25;

/// Starts the UART and the timer.
pub fn start() {
    // The crystal: the oscillator that runs from reset is too inexact for a UART.
    CLOCK.write(HFCLKSTART, 1);
    while CLOCK.read(HFCLKSTARTED) == 0 {}

    // An idle line is high.
    GPIO.write(OUTSET, 1 << TX_PIN);
    GPIO.write(DIRSET, 1 << TX_PIN);
    UART0.write(PSELTXD, TX_PIN);
    UART0.write(PSELRXD, RX_PIN);
    // 115,200 baud.
    UART0.write(BAUDRATE, 0x01d7_e000);
    UART0.write(ENABLE, 4);
    UART0.write(STARTTX, 1);
    UART0.write(STARTRX, 1);

    // 32 bits at 16 MHz.
    TIMER0.write(BITMODE, 3);
    TIMER0.write(PRESCALER, 0);
    TIMER0.write(START, 1);
}

/// Waits for a byte.
pub fn receive() -> u8 {
    while UART0.read(RXDRDY) == 0 {}
    UART0.write(RXDRDY, 0);
    UART0.read(RXD) as u8
}

/// Sends a byte.
pub fn send(byte: u8) {
    UART0.write(TXDRDY, 0);
    UART0.write(TXD, byte.into());
    while UART0.read(TXDRDY) == 0 {}
}

/// What the timer says.
pub fn ticks() -> u32 {
    TIMER0.write(CAPTURE0, 1);
    TIMER0.read(CC0)
}

/// Instructions between two readings, under the clock that run.sh gives QEMU: one is 64 ns, so 1.024 ticks.
pub fn instructions(earlier: u32, later: u32) -> u32 {
    (u64::from(later.wrapping_sub(earlier)) * 125 / 128) as u32
}
