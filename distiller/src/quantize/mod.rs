//! Quantising rows: from floats to the bytes of an image's row section.

pub(crate) mod integers;
mod product;
mod rotation;
mod row;

use flashvec::{Codec, ProductQuantizer, rows_layout};

pub use rotation::Rotation;
pub use row::RowQuantizer;

use crate::Progress;
use crate::error::{Error, Result};

/// The codec of a name on the command line: `f32`, `f16`, `int8`, `int4`, `int2`, or `pq`, the bits of
/// a code, `x`, the dimensions of a sub-vector, and `s` for a shared codebook, as in `pq8x16s`.
pub fn parse_codec(name: &str) -> Option<Codec> {
    match name {
        "f32" => Some(Codec::F32),
        "f16" => Some(Codec::F16),
        "int8" => Some(Codec::Int8),
        "int4" => Some(Codec::Int4),
        "int2" => Some(Codec::Int2),
        _ => {
            let sizes = name.strip_prefix("pq")?;
            let own = sizes.strip_suffix('s');
            let (code_bits, sub_dims) = own.unwrap_or(sizes).split_once('x')?;
            let pq = ProductQuantizer {
                code_bits: code_bits.parse().ok()?,
                sub_dims: sub_dims.parse().ok()?,
                shared: own.is_some(),
            };
            // Whether it divides a row is known only when there is one.
            pq.fits(usize::from(pq.sub_dims)).then_some(Codec::Pq(pq))
        }
    }
}

/// How rows become codes. The default is what scores best; the rest is there to be compared with it.
#[derive(Clone, Debug, Default)]
pub struct Quantization {
    /// How rows are turned before `int4`, `int2` and product quantisers.
    pub rotation: Rotation,
    /// Whose scale a product quantiser's rows have.
    pub row_scale: RowScale,
    /// How often a product quantiser's codebooks look at each row, by token id; `None`: at all alike.
    pub row_weights: Option<Vec<f64>>,
}

/// Whose scale the rows of a product quantiser have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowScale {
    /// Each its own: codebooks hold directions.
    #[default]
    Own,
    /// All rows the same: codebooks hold lengths as well.
    Shared,
}

/// A table of rows, row-major.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) dims: usize,
}

/// Rows and codebooks as sections.
#[derive(Clone, Debug)]
pub(crate) struct Quantized {
    pub(crate) rows: Vec<u8>,
    /// Empty unless the codec is a product quantiser.
    pub(crate) codebooks: Vec<u8>,
    /// The header's `unit`: what 1 at scale 1 stands for.
    pub(crate) unit: f32,
}

/// Quantises a table with a codec whose scales have 8 bits: `int4`, `int2` or a product quantiser.
///
/// Rows are rotated first, which no cosine notices and which spreads a row's length evenly over its
/// dimensions. `most_rows` rows can be added up without overflow. The same arguments give the same
/// bytes on the same machine.
///
/// # Errors
///
/// [`Error::Codec`] if sub-vectors do not divide the dimensions or the codec is another one.
pub(crate) fn quantize(
    table: Table<'_>,
    codec: Codec,
    quantization: &Quantization,
    most_rows: u32,
    progress: &dyn Progress,
) -> Result<Quantized> {
    let impossible = |what: String| Error::Codec { codec, what };
    match codec {
        Codec::Int4 | Codec::Int2 => {
            let rotated = quantization.rotation.apply(table, None)?;
            let rotated = Table {
                values: &rotated,
                dims: table.dims,
            };
            Ok(match codec {
                Codec::Int4 => integers::quantize::<2>(rotated, rows_layout::INT4_MAX, most_rows),
                _ => integers::quantize::<4>(rotated, rows_layout::INT2_MAX, most_rows),
            })
        }
        Codec::Pq(pq) if pq.fits(table.dims) => {
            let rotated = quantization.rotation.apply(table, Some(pq))?;
            let rotated = Table {
                values: &rotated,
                dims: table.dims,
            };
            product::quantize(rotated, pq, quantization, most_rows, progress)
        }
        Codec::Pq(pq) => Err(impossible(format!(
            "codes have 4 or 8 bits and sub-vectors 2 to 32 dimensions that divide a row's; {} do not divide {}",
            pq.sub_dims, table.dims
        ))),
        _ => Err(impossible(
            "only int4, int2 and product quantisers have 8-bit scales".to_owned(),
        )),
    }
}

/// The scales that a row's first byte can name, up to what `most_rows` rows of values up to
/// `largest_value` can be added up with.
#[derive(Clone, Debug)]
struct Scales(Vec<f32>);

impl Scales {
    fn new(largest_value: u32, most_rows: u32) -> Self {
        let largest = i32::MAX as u32 / largest_value / most_rows.max(1);
        Self(
            (0..=u8::MAX)
                .map(rows_layout::scale)
                .take_while(|&scale| scale <= largest)
                .map(|scale| scale as f32)
                .collect(),
        )
    }

    /// What 1 at scale 1 stands for, if the largest scale is to stand for `step`.
    fn unit(&self, step: f32) -> f32 {
        match self.0.last() {
            Some(&largest) if step > 0.0 && largest > 0.0 => step / largest,
            _ => 1.0,
        }
    }

    /// The byte whose scale is nearest.
    fn nearest(&self, scale: f32) -> u8 {
        let above = self.0.partition_point(|&known| known < scale);
        let below = above.saturating_sub(1);
        let distance = |at: usize| {
            self.0
                .get(at)
                .map_or(f32::MAX, |&known| (known - scale).abs())
        };
        let nearest = if distance(above) < distance(below) {
            above
        } else {
            below
        };
        nearest as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codecs_are_the_same_thing() {
        let names = [
            "f32", "f16", "int8", "int4", "int2", "pq4x8", "pq8x16s", "pq8x32", "pq4x2s",
        ];
        for name in names {
            assert_eq!(parse_codec(name).unwrap().to_string(), name);
        }
        for wrong in [
            "", "pq", "pq8", "pq5x8", "pq8x1", "pq8x33", "pq8x", "pq200x8", "int3",
        ] {
            assert_eq!(parse_codec(wrong), None, "{wrong}");
        }
    }
}
