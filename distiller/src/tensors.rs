//! Reading `model.safetensors` files.

use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Error, Result};

/// A mapped safetensors file; its header has been checked against its length.
pub(crate) struct TensorFile {
    path: PathBuf,
    bytes: Mmap,
}

impl TensorFile {
    /// Maps `path` and checks its header: every tensor lies inside the file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        // SAFETY: the mapping is read-only; as with every memory-mapped file, another process that
        // truncates it meanwhile ends this one.
        let bytes = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let file = Self {
            path: path.to_owned(),
            bytes,
        };
        SafeTensors::read_metadata(&file.bytes).map_err(|e| file.broken(&e))?;
        Ok(file)
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Every tensor in the file.
    pub fn tensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| self.broken(&e))
    }

    /// An entry of the file's metadata.
    pub fn metadata(&self, key: &str) -> Option<String> {
        let (_, metadata) = SafeTensors::read_metadata(&self.bytes).ok()?;
        metadata.metadata().as_ref()?.get(key).cloned()
    }

    /// The error for a tensor that cannot be used.
    pub fn tensor_error(&self, name: &str, what: impl Into<String>) -> Error {
        Error::Tensor {
            path: self.path.clone(),
            name: name.to_owned(),
            what: what.into(),
        }
    }

    /// Floating-point values of a tensor as f32, all finite.
    pub fn finite_f32(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => values(data, f32::from_le_bytes).collect(),
            Dtype::F16 => values(data, f16::from_le_bytes).map(f32::from).collect(),
            Dtype::BF16 => values(data, bf16::from_le_bytes).map(f32::from).collect(),
            Dtype::F64 => values(data, f64::from_le_bytes).map(|v| v as f32).collect(),
            other => {
                let what = format!("has type {other:?}; expected F32, F16, BF16 or F64");
                return Err(self.tensor_error(name, what));
            }
        };
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(at) => {
                let what = format!(
                    "has the value {} at index {at}; all values must be finite",
                    values[at]
                );
                Err(self.tensor_error(name, what))
            }
        }
    }

    fn broken(&self, error: &safetensors::SafeTensorError) -> Error {
        Error::Tensors {
            path: self.path.clone(),
            what: error.to_string(),
        }
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Little-endian values of `N` bytes each.
pub(crate) fn values<'a, const N: usize, T>(
    data: &'a [u8],
    decode: impl Fn([u8; N]) -> T + 'a,
) -> impl Iterator<Item = T> + 'a {
    data.as_chunks::<N>()
        .0
        .iter()
        .map(move |bytes| decode(*bytes))
}
