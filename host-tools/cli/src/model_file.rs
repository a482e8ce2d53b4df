//! Opening a MODEL argument.

use std::io::ErrorKind;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use flashvec::{Codec, ImageFile, Model};
use flashvec_distiller::image::{HeadParts, ImageOptions, write_pipeline};
use flashvec_distiller::{Bar, Pipeline, Quantization, Rows, StaticModel, model2vec};

use crate::error::{Error, Result};

/// The bytes of an image: read from a file, or made from a Model2Vec folder.
pub struct ModelFile {
    path: PathBuf,
    bytes: Bytes,
}

enum Bytes {
    Read(ImageFile),
    Made(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(file) => file,
            Self::Made(bytes) => bytes,
        }
    }
}

impl ModelFile {
    /// Opens an image, or a Model2Vec folder as the image that `convert` would make of it.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = if path.is_dir() {
            let Pipeline { model, head } = model2vec::read_pipeline(&path.to_string_lossy())?;
            let head = head.as_ref();
            Bytes::Made(write_pipeline(
                &model,
                head,
                &image_options(image_codec(&model, head)),
                &Bar::default(),
            )?)
        } else {
            let file = ImageFile::read(path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::Arguments(format!(
                    "{}: no such image or folder; `flashvec convert org/name -o x.fvec` fetches one from the hub",
                    path.display()
                )),
                _ => Error::io(path)(error),
            })?;
            Bytes::Read(file)
        };
        Ok(Self {
            path: path.to_owned(),
            bytes,
        })
    }

    pub fn open_all(paths: &[PathBuf]) -> Result<Vec<Self>> {
        paths.iter().map(|path| Self::open(path)).collect()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It was made from a Model2Vec folder, by the command that is running.
    pub fn is_made(&self) -> bool {
        matches!(self.bytes, Bytes::Made(_))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn model(&self) -> Result<Model<'_>> {
        Model::from_bytes(&self.bytes).map_err(Error::image(&self.path))
    }
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
