//! Opening a MODEL argument.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use flashvec::{ImageFile, Model};

use crate::error::{Error, Result};
#[cfg(feature = "distiller")]
pub use made::{codec_of, image_codec, image_options};

/// What a MODEL argument is.
#[cfg(feature = "distiller")]
pub const MODEL: &str = "An image or a Model2Vec folder";
/// What a MODEL argument is.
#[cfg(not(feature = "distiller"))]
pub const MODEL: &str = "An image";

/// The bytes of an image: read from a file, or made from a Model2Vec folder.
pub struct ModelFile {
    path: PathBuf,
    bytes: Bytes,
}

enum Bytes {
    Read(ImageFile),
    #[cfg(feature = "distiller")]
    Made(Vec<u8>),
}

impl ModelFile {
    /// Opens an image, or a Model2Vec folder as the image that `convert` would make of it.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = if path.is_dir() {
            Self::make(path)?
        } else {
            let file = ImageFile::read(path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => absent(path),
                _ => Error::io(path)(error),
            })?;
            Bytes::Read(file)
        };
        Ok(Self {
            path: path.to_owned(),
            bytes,
        })
    }

    #[cfg(feature = "distiller")]
    fn make(path: &Path) -> Result<Bytes> {
        made::image(path).map(Bytes::Made)
    }

    #[cfg(not(feature = "distiller"))]
    fn make(path: &Path) -> Result<Bytes> {
        Err(Error::Arguments(format!(
            "{}: a folder, and this build has no distiller; make an image of it on a PC with `flashvec convert`",
            path.display()
        )))
    }

    #[cfg(feature = "distiller")]
    pub fn open_all(paths: &[PathBuf]) -> Result<Vec<Self>> {
        paths.iter().map(|path| Self::open(path)).collect()
    }

    #[cfg(feature = "distiller")]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It was made from a Model2Vec folder, by the command that is running.
    #[cfg(feature = "distiller")]
    pub fn is_made(&self) -> bool {
        matches!(self.bytes, Bytes::Made(_))
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Read(file) => file,
            #[cfg(feature = "distiller")]
            Bytes::Made(bytes) => bytes,
        }
    }

    pub fn model(&self) -> Result<Model<'_>> {
        Model::from_bytes(self.bytes()).map_err(Error::image(&self.path))
    }
}

fn absent(path: &Path) -> Error {
    let what = if cfg!(feature = "distiller") {
        "no such image or folder; `flashvec convert org/name -o x.fvec` fetches one from the hub"
    } else {
        "no such image"
    };
    Error::Arguments(format!("{}: {what}", path.display()))
}

/// Images made here.
#[cfg(feature = "distiller")]
mod made {
    use std::path::Path;

    use flashvec::Codec;
    use flashvec_distiller::image::{HeadParts, ImageOptions, write_pipeline};
    use flashvec_distiller::{Pipeline, Quantization, Rows, StaticModel, model2vec};
    use flashvec_support::Bar;

    use crate::error::Result;

    /// The image of a Model2Vec folder.
    pub fn image(path: &Path) -> Result<Vec<u8>> {
        let Pipeline { model, head } = model2vec::read_pipeline(&path.to_string_lossy())?;
        let head = head.as_ref();
        let options = image_options(image_codec(&model, head));
        Ok(write_pipeline(&model, head, &options, &Bar::default())?)
    }

    /// The codec that keeps a model's rows as they are stored.
    pub fn codec_of(model: &StaticModel) -> Codec {
        match model.rows {
            Rows::F32(_) => Codec::F32,
            Rows::F16(_) => Codec::F16,
            Rows::I8(_) => Codec::Int8,
        }
    }

    /// The codec that keeps a model's rows as an image can have them: a head needs integers.
    pub fn image_codec(model: &StaticModel, head: Option<&HeadParts>) -> Codec {
        match head {
            None => codec_of(model),
            Some(_) => Codec::Int8,
        }
    }

    /// Options of an image made by the command that is running.
    pub fn image_options(codec: Codec) -> ImageOptions {
        let mut words = vec!["flashvec".to_owned()];
        words.extend(
            std::env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned()),
        );
        ImageOptions {
            codec,
            quantization: Quantization::default(),
            command: words.join(" "),
            tool: concat!("flashvec ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
