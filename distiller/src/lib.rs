//! Distils sentence-transformers into static embedding models.

pub mod compress;
pub mod distill;
pub mod error;
pub mod files;
pub mod image;
pub mod labelled;
mod matrix;
pub mod model;
pub mod model2vec;
pub mod pca;
pub mod pretrain;
pub mod quantize;
pub mod source;
pub mod teacher;
mod tensors;
pub mod train;
pub mod vocabulary;
pub mod weighting;

pub use compress::{CompressOptions, Compressed, Pruning, compress, count_tokens};
pub use distill::{DistillOptions, distill};
pub use error::{Error, Result};
pub use flashvec_support::{Bar, Progress, Silent, progress};
pub use labelled::{LabelledTexts, Targets};
pub use model::{Pipeline, Provenance, Rows, StaticModel};
pub use quantize::{Quantization, Rotation, RowScale};
pub use source::{Prompt, TeacherSource};
#[cfg(feature = "libtorch")]
pub use teacher::LibtorchTeacher;
pub use teacher::{Backend, CandleTeacher, Device, Pooling, Teacher};
