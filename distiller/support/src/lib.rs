//! What host programs share, with a distiller or without: files that are there whole or not at all, progress bars.

pub mod error;
pub mod files;
pub mod progress;

pub use error::{Error, Result};
pub use progress::{Bar, Progress, Silent};

/// Longest token that host programs spell, in bytes: far above any vocabulary's.
pub const LONGEST_TOKEN: usize = 4096;
