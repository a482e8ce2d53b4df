//! See `few_shot_input.rs`.
#![no_main]

mod few_shot_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| few_shot_input::run(input));
