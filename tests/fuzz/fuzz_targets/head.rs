//! See `head_input.rs`.
#![no_main]

mod head_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| head_input::run(input));
