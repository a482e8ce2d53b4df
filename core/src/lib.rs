//! Text embeddings on microcontrollers.
//!
//! A flashvec image holds a static embedding model: a vocabulary trie, a character map and one
//! quantised row a token. [`Model::from_bytes`] borrows it in place, from `include_bytes!`,
//! memory-mapped flash or a mapped file; nothing is copied and nothing is allocated.
//!
//! ```no_run
//! # static IMAGE: &[u8] = &[];
//! # fn main() -> Result<(), flashvec::Error> {
//! let model = flashvec::Model::from_bytes(IMAGE)?;
//! let mut scratch = [0_u32; 512]; // at least `model.scratch_len()` words
//! let mut on = [0_i8; 256]; // `model.dims()` components
//! let mut off = [0_i8; 256];
//! model.encode_i8("turn on the light", &mut scratch, &mut on)?;
//! model.encode_i8("switch the lamp off", &mut scratch, &mut off)?;
//! let similarity = flashvec::cosine_i8(&on, &off);
//! # let _ = similarity;
//! # Ok(())
//! # }
//! ```
//!
//! The stages, one file each: `normalize` (bytes to word characters, through the image's
//! character map), `tokenize` (WordPiece over the vocabulary trie), `rows` (codecs), `pool`
//! (sum and normalise), [`similarity`](cosine) or, with the feature `classify`, `ngrams` and `classify` (a head's
//! layers over the sums). [`FewShot`] learns labels from examples on the device.
//!
//! # Promises
//!
//! * No call panics, whatever the image or the text. `Model::from_bytes` refuses a damaged image;
//!   after it returned `Ok`, every call runs in time linear in the text.
//! * The same image and text give the same `f32` bits on every target.
//! * No `unsafe`; no heap but for `Encoder`'s and `ImageFile`'s.
//!
//! # Features
//!
//! * `std`, for hosts: `Encoder`, which encodes many texts fast; `ImageFile`; vector instructions, picked when the
//!   program runs; a fast checksum. Not a bit of a result changes.
//! * `classify`, part of `std`: classifiers, so images of format version 4 and head files; `Model::classify`, `Head`.
//! * `old-formats`, part of `std`: images of format versions 1 and 2 are read too.
//! * `defmt`: public types and errors can be logged with `defmt`.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]
#![warn(missing_docs)]

#[cfg(any(test, feature = "std"))]
extern crate std;

mod bytes;
mod charmap;
#[cfg(feature = "classify")]
mod classify;
#[cfg(feature = "std")]
mod encoder;
mod error;
mod few_shot;
#[cfg(feature = "classify")]
mod head;
#[cfg(feature = "std")]
mod host_memory;
pub mod image;
mod model;
#[cfg(feature = "classify")]
mod ngrams;
mod normalize;
mod pool;
mod rows;
mod similarity;
mod tokenize;
mod vocabulary;

pub use charmap::layout as charmap_layout;
#[cfg(feature = "classify")]
pub use classify::{Classification, Prediction};
#[cfg(feature = "std")]
pub use encoder::Encoder;
pub use error::{Error, Part};
pub use few_shot::{
    DEFAULT_THRESHOLD, FewShot, FewShotError, Label, Match, Matches, layout as few_shot_layout,
};
#[cfg(feature = "classify")]
pub use head::{Head, Task, layout as head_layout};
#[cfg(feature = "std")]
pub use host_memory::ImageFile;
pub use image::{Codec, Header, Pooling, ProductQuantizer, Provenance, WordPiece};
pub use model::Model;
#[cfg(feature = "classify")]
pub use ngrams::layout as ngrams_layout;
pub use rows::layout as rows_layout;
pub use similarity::{cosine, cosine_i8};
pub use vocabulary::layout as vocabulary_layout;
