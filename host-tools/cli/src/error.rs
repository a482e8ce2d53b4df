//! What can go wrong on the command line.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

/// Every message is one line: what was wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[cfg(feature = "distiller")]
    #[error("{0}")]
    Distiller(#[from] flashvec_distiller::Error),

    #[error("{}: {source}", path.display())]
    Image {
        path: PathBuf,
        source: flashvec::Error,
    },

    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("{0}")]
    File(#[from] flashvec_support::Error),

    #[error("encoding: {0}")]
    Encode(#[from] flashvec::Error),

    #[cfg(feature = "distiller")]
    #[error("few-shot classification: {0}")]
    FewShot(#[from] flashvec::FewShotError),

    #[cfg(feature = "distiller")]
    #[error("{}: fitting a classifier: {source}; give a smaller --classify-c", train.display())]
    Fit {
        train: PathBuf,
        source: argmin::core::Error,
    },

    #[cfg(feature = "distiller")]
    #[error("drawing the plot: {0}; leave out sizes or sets whose scores are no numbers")]
    Plot(String),

    #[error("standard output: {0}")]
    Write(#[source] std::io::Error),

    #[error("{input}, line {line}: {what}")]
    Line {
        input: String,
        line: usize,
        what: String,
    },

    #[error("{0}")]
    Arguments(String),
}

impl Error {
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub fn image(path: impl Into<PathBuf>) -> impl FnOnce(flashvec::Error) -> Self {
        let path = path.into();
        move |source| Self::Image { path, source }
    }
}
