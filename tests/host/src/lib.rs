//! What this machine's side of the device runs shares.
//!
//! A crate of its own, so that a device run does not wait for the distiller to build.

pub mod few_shot_steps;
pub mod texts;
