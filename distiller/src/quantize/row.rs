//! Quantising one row at a time, as an image would hold it.

use flashvec::{Codec, rows_layout};

use super::integers::{Bytes, Odds, largest};
use crate::error::{Error, Result};

/// How the rows of a table become those of an image, without a rotation: what training sees of them.
///
/// A value of a row becomes an integer that stands for integer × scale × unit, where the scale is the row's and the unit
/// the table's.
#[derive(Clone, Debug)]
pub struct RowQuantizer(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Bytes(Bytes),
    Odds(Odds),
}

impl RowQuantizer {
    /// For a table of these rows, of which at most `most_rows` are added up
    /// ([`most_rows`](flashvec::ngrams_layout::most_rows) of n-grams' kinds and an image's
    /// [`max_tokens`](crate::image::max_tokens), or the latter alone without n-grams).
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] for other codecs than `int8`, `int4` and `int2`.
    pub fn new<'r>(
        codec: Codec,
        rows: impl IntoIterator<Item = &'r [f32]>,
        most_rows: u32,
    ) -> Result<Self> {
        let largest = rows.into_iter().map(largest).fold(0.0, f32::max);
        let odds = |most| Kind::Odds(Odds::new(most, largest, most_rows));
        match codec {
            Codec::Int8 => Ok(Self(Kind::Bytes(Bytes::new(largest / 127.0, most_rows)))),
            Codec::Int4 => Ok(Self(odds(rows_layout::INT4_MAX))),
            Codec::Int2 => Ok(Self(odds(rows_layout::INT2_MAX))),
            _ => Err(Error::Codec {
                codec,
                what: "its rows are not integers at a scale; int8, int4 and int2 are".to_owned(),
            }),
        }
    }

    /// What 1 at scale 1 stands for.
    pub const fn unit(&self) -> f32 {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.unit,
            Kind::Odds(odds) => odds.unit,
        }
    }

    /// Writes a row's integers, as many as there are values; the row's scale.
    pub fn quantize(&self, row: &[f32], integers: &mut [i8]) -> u32 {
        match &self.0 {
            Kind::Bytes(bytes) => {
                let scale = bytes.scale(Bytes::step(row));
                for (integer, &value) in integers.iter_mut().zip(row) {
                    *integer = bytes.integer(value, scale);
                }
                scale as u32
            }
            Kind::Odds(odds) => odds.quantize(row, integers),
        }
    }
}
