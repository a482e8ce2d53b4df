//! What runs a teacher, and where.

use std::str::FromStr;

use super::{CandleTeacher, Teacher};
use crate::{Error, Result, TeacherSource};

/// What runs a teacher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Pure Rust, on the CPU; nothing to install.
    #[default]
    Candle,
    /// libtorch 2.11, on the CPU or a GPU; needs the cargo feature `libtorch`.
    Libtorch,
}

/// Where a teacher runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    #[default]
    Cpu,
    /// The CUDA GPU of this number.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = Error;

    /// `cpu`, `cuda` for the first GPU, or `cuda:N`.
    fn from_str(name: &str) -> Result<Self> {
        let number = match name {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => name
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok()),
        };
        number.map(Self::Cuda).ok_or_else(|| Error::Option {
            option: "device",
            what: format!("no such device as {name:?}; use cpu, cuda or cuda:N"),
        })
    }
}

impl Backend {
    /// Loads the teacher that `source` found.
    ///
    /// # Errors
    /// [`Error::Backend`] if this build or machine has not what it takes, saying what to install; else those of
    /// the backend's own `load`.
    pub fn load(self, source: &TeacherSource, device: Device) -> Result<Box<dyn Teacher>> {
        match (self, device) {
            (Self::Candle, Device::Cpu) if source.script.is_none() => {
                Ok(Box::new(CandleTeacher::load(&source.folder)?))
            }
            (Self::Candle, Device::Cpu) => Err(Error::Backend {
                what: "a TorchScript teacher needs libtorch; choose the backend libtorch"
                    .to_owned(),
            }),
            (Self::Candle, Device::Cuda(_)) => Err(Error::Backend {
                what: "candle runs on the CPU alone; choose the backend libtorch for a GPU"
                    .to_owned(),
            }),
            (Self::Libtorch, device) => libtorch(source, device),
        }
    }
}

#[cfg(feature = "libtorch")]
fn libtorch(source: &TeacherSource, device: Device) -> Result<Box<dyn Teacher>> {
    Ok(Box::new(super::LibtorchTeacher::load(source, device)?))
}

#[cfg(not(feature = "libtorch"))]
fn libtorch(_: &TeacherSource, _: Device) -> Result<Box<dyn Teacher>> {
    Err(Error::Backend {
        what: "this program was built without libtorch; `pip install torch==2.11.0`, then build it again with \
               `LIBTORCH_USE_PYTORCH=1 cargo build --release --features libtorch`"
            .to_owned(),
    })
}
