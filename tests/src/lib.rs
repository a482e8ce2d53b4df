//! What the tests that cross crates share.

pub mod texts;
pub mod parity;
