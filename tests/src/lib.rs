//! What the tests that cross crates share.

pub mod golden;
pub mod parity;
pub mod synthetic;
