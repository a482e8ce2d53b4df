//! Quantising rows for an image.

use flashvec::ngrams_layout::most_rows as most_rows_of;
use flashvec::{Codec, image};
use half::f16;

use super::{ImageOptions, NGrams};
use crate::Progress;
use crate::error::{Error, Result};
use crate::model::{Rows, StaticModel};
use crate::quantize::integers::Bytes;
use crate::quantize::{self, Quantized, Table};

/// Most tokens of a text that count with integer rows: the more may be added up, the coarser the
/// scales that no sum of 32 bits overflows with.
pub const MAX_INTEGER_TOKENS: u32 = 8192;

/// The rows of a model as a section, in the order of `order` (old ids), those of n-grams behind them, and what goes with
/// it.
///
/// # Errors
///
/// [`Error::Model`] for values that the codec cannot hold; those of [`quantize::quantize`].
pub(super) fn section(
    model: &StaticModel,
    order: &[u32],
    ngrams: Option<NGrams<'_>>,
    options: &ImageOptions,
    max_tokens: u32,
    progress: &dyn Progress,
) -> Result<Quantized> {
    let mut most_rows = max_tokens;
    let mut firsts = Vec::new();
    if let Some(NGrams { table, rows }) = ngrams {
        if rows.len() != table.indices().len() * model.dims {
            return Err(Error::Model {
                what: format!(
                    "{} values are not the rows of {} n-grams",
                    rows.len(),
                    table.indices().len()
                ),
            });
        }
        most_rows = u32::try_from(most_rows_of(table.kinds(), max_tokens)).unwrap_or(u32::MAX);
        firsts = table.firsts();
    }
    let table = All {
        model,
        order,
        firsts: &firsts,
        ngrams: ngrams.map_or(&[], |ngrams| ngrams.rows),
    };
    let mut bytes = Vec::with_capacity(options.codec.row_len(model.dims) * table.count());
    let mut unit = 1.0;
    match options.codec {
        Codec::F32 => {
            table.for_each_row(|values| {
                bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            })?;
        }
        Codec::F16 => {
            table.for_each_row(|values| {
                bytes.extend(values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()));
            })?;
        }
        Codec::Int8 => unit = table.int8(most_rows, &mut bytes)?,
        codec => {
            let mut values = Vec::with_capacity(table.count() * model.dims);
            table.for_each_row(|row| values.extend_from_slice(row))?;
            let values = Table {
                values: &values,
                dims: model.dims,
            };
            let mut quantization = options.quantization.clone();
            if let Some(weights) = &mut quantization.row_weights {
                let of_ngrams = std::iter::repeat_n(1.0, firsts.len());
                *weights = order
                    .iter()
                    .map(|&id| weights[id as usize])
                    .chain(of_ngrams)
                    .collect();
            }
            return quantize::quantize(values, codec, &quantization, most_rows, progress);
        }
    }
    Ok(Quantized {
        rows: bytes,
        codebooks: Vec::new(),
        unit,
    })
}

/// All rows of an image.
struct All<'a> {
    model: &'a StaticModel,
    /// The ids of tokens.
    order: &'a [u32],
    /// The places of n-grams' rows in `ngrams`.
    firsts: &'a [usize],
    ngrams: &'a [f32],
}

impl All<'_> {
    fn count(&self) -> usize {
        self.order.len() + self.firsts.len()
    }

    /// Per row: the smallest integer scale at which the largest value fits 8 bits, then the values.
    ///
    /// Returns the unit: a scale of 1 stands for this much.
    fn int8(&self, most_rows: u32, bytes: &mut Vec<u8>) -> Result<f32> {
        let mut largest = 0.0_f32;
        self.for_each_row(|values| largest = largest.max(self.step(values)))?;
        let quantizer = Bytes::new(largest, most_rows);
        self.for_each_row(|values| {
            let scale = quantizer.scale(self.step(values));
            bytes.extend((scale as u16).to_le_bytes());
            bytes.extend(values.iter().map(|&v| quantizer.integer(v, scale) as u8));
        })?;
        Ok(quantizer.unit)
    }

    /// The distance of neighbouring 8-bit values in a row. Rows that are 8-bit already keep their own step.
    fn step(&self, values: &[f32]) -> f32 {
        match (&self.model.rows, &self.model.weights) {
            (Rows::I8(_), None) if self.firsts.is_empty() => 1.0,
            _ => Bytes::step(values),
        }
    }

    /// Each token's row, through the mapping and times its weight, then each n-gram's, checked.
    fn for_each_row(&self, mut visit: impl FnMut(&[f32])) -> Result<()> {
        let dims = self.model.dims;
        let mut values = vec![0.0_f32; dims];
        for &id in self.order {
            self.model.token_row(id, &mut values)?;
            check(&values, "token", id as usize)?;
            visit(&values);
        }
        for &place in self.firsts {
            let values = &self.ngrams[place * dims..(place + 1) * dims];
            check(values, "n-gram", place)?;
            visit(values);
        }
        Ok(())
    }
}

fn check(values: &[f32], of: &str, number: usize) -> Result<()> {
    match values
        .iter()
        .find(|v| v.abs() > image::MAX_VALUE || v.is_nan())
    {
        Some(bad) => Err(Error::Model {
            what: format!(
                "the row of {of} {number} has the value {bad}; values must be finite and at most 65504"
            ),
        }),
        None => Ok(()),
    }
}
