//! See `image_input.rs`.
#![no_main]

mod image_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| image_input::run(input));
