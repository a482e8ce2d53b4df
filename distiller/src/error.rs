//! What can go wrong on the host.

use std::path::PathBuf;

use flashvec::Codec;

pub type Result<T> = std::result::Result<T, Error>;

/// Every message says what was wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("{}: not valid JSON ({source}); fetch the file again", path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },

    #[error("{}: no {file} there; {need}", folder.display())]
    MissingFile {
        folder: PathBuf,
        file: &'static str,
        need: &'static str,
    },

    #[error("{}: not a usable safetensors file ({what}); fetch the file again", path.display())]
    Tensors { path: PathBuf, what: String },

    #[error("{}: tensor {name} {what}", path.display())]
    Tensor {
        path: PathBuf,
        name: String,
        what: String,
    },

    #[error("{}: {what}", path.display())]
    Config { path: PathBuf, what: String },

    #[error(
        "{}: a teacher of {found} is not supported; supported: model_type bert (BertModel, such as all-MiniLM, BGE, \
         E5 and GTE), roberta, xlm-roberta, distilbert, mpnet and modernbert; anything else as TorchScript with \
         the libtorch backend", path.display()
    )]
    UnsupportedTeacher { path: PathBuf, found: String },

    #[error("{}, line {line}: {what}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        what: String,
    },

    #[error("{}: {what}", path.display())]
    Data { path: PathBuf, what: String },

    #[error("tokenizer.json: {what}")]
    Tokenizer { what: String },

    #[error(
        "tokenizer.json: its {part} has {found}, which an image cannot hold; supported: {supported}"
    )]
    UnsupportedTokenizer {
        part: String,
        found: String,
        supported: String,
    },

    #[error("{}: {source}", path.display())]
    Image {
        path: PathBuf,
        source: flashvec::Error,
    },

    #[error("{option}: {what}")]
    Option { option: &'static str, what: String },

    #[error(
        "{asked} bytes are too few for this model; the smallest image has {smallest}: ask for that or more"
    )]
    FlashTooSmall { asked: usize, smallest: usize },

    #[error("codec {codec}: {what}")]
    Codec { codec: Codec, what: String },

    #[error(
        "the codebooks cannot be trained: {what}; check the rows for values that are not finite"
    )]
    Clustering { what: String },

    #[error(
        "{requested} dimensions asked for, but {limit} allow at most {maximum}; ask for {maximum} or fewer"
    )]
    TooManyDims {
        requested: usize,
        maximum: usize,
        limit: &'static str,
    },

    #[error("sequence {index}: {what}")]
    Sequence { index: usize, what: String },

    #[error("{name}: cannot fetch it ({what}); {remedy}")]
    Fetch {
        name: String,
        what: String,
        remedy: String,
    },

    #[error(
        "{name}: the Hugging Face hub has no such file; check the name on huggingface.co, or give a folder instead"
    )]
    Absent { name: String },

    #[error("{0}")]
    File(#[from] flashvec_support::Error),

    #[error("{name}: {what}")]
    Source { name: String, what: String },

    #[error("the teacher cannot run: {what}")]
    Backend { what: String },

    #[error("the teacher's forward pass failed: {what}")]
    Forward { what: String },

    #[error("the eigendecomposition did not converge; the teacher's hidden states are unusable")]
    Eigen,

    #[error("{what}")]
    Model { what: String },

    #[error("{}: {what}; name another folder, or remove this one first", path.display())]
    WontReplace { path: PathBuf, what: String },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn unwritable(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let unwritable = flashvec_support::Error::unwritable(path);
        |error| Self::File(unwritable(error))
    }
}
