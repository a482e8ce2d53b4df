//! Distils sentence-transformers into static embedding models.

pub mod error;
pub mod model;

pub use error::{Error, Result};
pub use model::{Provenance, Rows, StaticModel};
