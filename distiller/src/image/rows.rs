//! Quantising rows for an image.

use flashvec::{Codec, image};
use half::f16;

use super::ImageOptions;
use crate::Progress;
use crate::error::{Error, Result};
use crate::model::{Rows, StaticModel};
use crate::quantize::{self, Quantized, Table};

/// Most tokens of a text that count with integer rows: the more may be added up, the coarser the
/// scales that no sum of 32 bits overflows with.
pub const MAX_INTEGER_TOKENS: u32 = 8192;

/// The rows of a model as a section, in the order of `order` (old ids), and what goes with it.
///
/// # Errors
///
/// [`Error::Model`] for values that the codec cannot hold; those of [`quantize::quantize`].
pub(super) fn section(
    model: &StaticModel,
    order: &[u32],
    options: &ImageOptions,
    max_tokens: u32,
    progress: &dyn Progress,
) -> Result<Quantized> {
    let mut bytes = Vec::with_capacity(options.codec.row_len(model.dims) * order.len());
    let mut unit = 1.0;
    match options.codec {
        Codec::F32 => {
            for_each_row(model, order, |values| {
                bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            })?;
        }
        Codec::F16 => {
            for_each_row(model, order, |values| {
                bytes.extend(values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()));
            })?;
        }
        Codec::Int8 => unit = int8(model, order, max_tokens, &mut bytes)?,
        codec => {
            let mut values = Vec::with_capacity(order.len() * model.dims);
            for_each_row(model, order, |row| values.extend_from_slice(row))?;
            let table = Table {
                values: &values,
                dims: model.dims,
            };
            let mut quantization = options.quantization.clone();
            if let Some(weights) = &mut quantization.row_weights {
                *weights = order.iter().map(|&id| weights[id as usize]).collect();
            }
            return quantize::quantize(table, codec, &quantization, max_tokens, progress);
        }
    }
    Ok(Quantized {
        rows: bytes,
        codebooks: Vec::new(),
        unit,
    })
}

/// Per row: the smallest integer scale at which the largest value fits 8 bits, then the values.
///
/// Returns the unit: a scale of 1 stands for this much.
fn int8(model: &StaticModel, order: &[u32], max_tokens: u32, bytes: &mut Vec<u8>) -> Result<f32> {
    // What the image's reader proves: scale * 128 * tokens fits 31 bits. Vectors on hosts multiply by
    // signed scales of 16 bits.
    let largest_scale = (i32::MAX as u32 / 128 / max_tokens).clamp(1, i16::MAX as u32) as f32;
    let mut scales = Vec::with_capacity(order.len());
    for_each_row(model, order, |values| scales.push(step(model, values)))?;
    let largest = scales.iter().copied().fold(0.0_f32, f32::max);
    let unit = if largest > 0.0 {
        largest / largest_scale
    } else {
        1.0
    };
    for_each_row(model, order, |values| {
        let scale = (step(model, values) / unit)
            .ceil()
            .clamp(1.0, largest_scale);
        bytes.extend((scale as u16).to_le_bytes());
        bytes.extend(
            values
                .iter()
                .map(|v| (v / (scale * unit)).round().clamp(-127.0, 127.0) as i8 as u8),
        );
    })?;
    Ok(unit)
}

/// The distance of neighbouring 8-bit values in a row: its largest value is 127 steps away from
/// 0. Rows that are 8-bit already keep their own step.
fn step(model: &StaticModel, values: &[f32]) -> f32 {
    match (&model.rows, &model.weights) {
        (Rows::I8(_), None) => 1.0,
        _ => values.iter().fold(0.0_f32, |most, v| most.max(v.abs())) / 127.0,
    }
}

/// Each token's row, through the mapping and times its weight, checked.
fn for_each_row(model: &StaticModel, order: &[u32], mut visit: impl FnMut(&[f32])) -> Result<()> {
    let mut values = vec![0.0_f32; model.dims];
    for &id in order {
        model.token_row(id, &mut values)?;
        if let Some(bad) = values
            .iter()
            .find(|v| v.abs() > image::MAX_VALUE || v.is_nan())
        {
            return Err(Error::Model {
                what: format!(
                    "the row of token {id} has the value {bad}; values must be finite and at most 65504"
                ),
            });
        }
        visit(&values);
    }
    Ok(())
}
