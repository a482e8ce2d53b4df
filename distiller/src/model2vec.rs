//! Model2Vec folders: `config.json`, `model.safetensors`, `tokenizer.json`; of a classifier `head.safetensors` too.

mod card;
mod head;
mod read;
mod write;

pub use read::{read, read_pipeline};
pub use write::{check_target, write, write_pipeline};

use half::f16;

use crate::{Error, Result, Rows};

/// How rows are stored in a Model2Vec folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowType {
    F32,
    /// Model2Vec's default.
    #[default]
    F16,
    /// Whole numbers from -127 to 127 with one scale for the whole table, which is not stored.
    I8,
}

impl RowType {
    /// The name numpy and `config.json` have for it.
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::I8 => "int8",
        }
    }
}

impl Rows {
    /// How these rows are stored.
    pub fn row_type(&self) -> RowType {
        match self {
            Self::F32(_) => RowType::F32,
            Self::F16(_) => RowType::F16,
            Self::I8(_) => RowType::I8,
        }
    }

    /// All values as f32. Int8 rows come without their scale, which is not known.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::F16(values) => values.iter().map(|value| value.to_f32()).collect(),
            Self::I8(values) => values.iter().map(|&value| f32::from(value)).collect(),
        }
    }

    /// The same rows in another type, rounded as Model2Vec rounds. Int8 rows stay whole numbers in every type.
    ///
    /// # Errors
    /// [`Error::Model`] if a value is not finite, or too large for f16.
    pub fn convert(&self, to: RowType) -> Result<Self> {
        if self.row_type() == to {
            return Ok(self.clone());
        }
        let values = self.to_f32();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::Model {
                what: format!("the rows' value {at} is {}; it must be finite", values[at]),
            });
        }
        Ok(match to {
            RowType::F32 => Self::F32(values),
            RowType::F16 => {
                let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
                if let Some(at) = halves.iter().position(|half| !half.is_finite()) {
                    let what = format!(
                        "the rows' value {} is too large for f16; store the rows as f32",
                        values[at]
                    );
                    return Err(Error::Model { what });
                }
                Self::F16(halves)
            }
            RowType::I8 => Self::I8(quantize(&values)),
        })
    }
}

/// Model2Vec's int8 rows: f16 values over the scale, rounded to f16, then to whole numbers.
fn quantize(values: &[f32]) -> Vec<i8> {
    let largest = values
        .iter()
        .fold(0.0f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return vec![0; values.len()];
    }
    let scale = f64::from(largest) / 127.0;
    let whole = |value: f32| {
        let scaled = f16::from_f64(f16::from_f32(value).to_f64() / scale);
        scaled.to_f32().round_ties_even().clamp(-127.0, 127.0) as i8
    };
    values.iter().map(|&value| whole(value)).collect()
}

#[cfg(test)]
mod tests;
