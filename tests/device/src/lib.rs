//! What the firmware binaries share: where the emulator puts the input, an instruction counter,
//! and a stack gauge.
//!
//! `xtask` runs them: see `cargo xtask device-test` and `cargo xtask bench-device`.

#![no_std]

pub mod board;
pub mod stack;
