//! What an encoder computes, as its `config.json` says it.

mod config;

use std::path::Path;

use crate::Result;

/// The non-linearity of the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Activation {
    /// `x/2 · (1 + erf(x/√2))`
    Gelu,
    /// The same with `tanh` in place of `erf`.
    GeluTanh,
    Relu,
}

impl Activation {
    /// By the name that it has in `config.json`.
    fn named(name: &str) -> Option<Self> {
        match name {
            "gelu" => Some(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Some(Self::GeluTanh),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }
}

/// The families of encoders, by whose names the weights are saved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Family {
    Bert,
    /// RoBERTa and XLM-R: BERT with other positions.
    Roberta,
    DistilBert,
    MpNet,
    ModernBert,
}

/// A table of one learned vector a position, added to the words' embeddings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AbsolutePositions {
    /// Rows of the table.
    pub rows: usize,
    /// RoBERTa's way: a text's first position is the row behind this one's, and the token of this id stands
    /// on this row, wherever it is, and is not counted.
    pub padding: Option<u32>,
}

impl AbsolutePositions {
    /// The table's row for each token of a sequence.
    pub fn rows<'a>(&self, ids: &'a [u32]) -> impl Iterator<Item = usize> + use<'a> {
        let padding = self.padding;
        let first = padding.map_or(0, |padding| padding as usize + 1);
        ids.iter().scan(first, move |next, id| {
            if Some(*id) == padding {
                return Some(first - 1);
            }
            *next += 1;
            Some(*next - 1)
        })
    }
}

/// What differs between the attention of one layer and another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LayerAttention {
    /// Rotary positions: head dimension `i` of `d/2` turns by `position · base^(-2i/d)`.
    pub rotary_base: Option<f64>,
    /// A token sees those at most so many positions away; `None`: all.
    pub reach: Option<usize>,
}

/// An encoder's sizes and parts.
///
/// A layer is attention, then a feed-forward part, each with what went into it added to what comes out. Norms are
/// after the addition, or before the part (`pre_norm`) and once more after the last layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Architecture {
    pub family: Family,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub heads: usize,
    pub intermediate_size: usize,
    /// Most tokens a sequence may have.
    pub max_positions: usize,
    pub positions: Option<AbsolutePositions>,
    /// Rows of the token types' table; 0 if there is none.
    pub token_types: usize,
    /// Rows of the table of MPNet's bias by distance; 0 if there is none.
    pub distance_buckets: usize,
    pub pre_norm: bool,
    /// The feed-forward part is twice as wide inside, and its activated first half is multiplied by the second.
    pub gated: bool,
    pub norm_bias: bool,
    pub attention_bias: bool,
    pub feed_forward_bias: bool,
    pub activation: Activation,
    pub epsilon: f32,
    pub layers: Vec<LayerAttention>,
}

impl Architecture {
    /// Reads `config.json` in `folder`.
    ///
    /// # Errors
    /// [`Error::MissingFile`](crate::Error::MissingFile), [`Error::UnsupportedTeacher`](crate::Error::UnsupportedTeacher)
    /// if it is of none of the families, [`Error::Config`](crate::Error::Config) for what no backend computes.
    pub fn read(folder: &Path) -> Result<Self> {
        config::read(folder)
    }

    /// Values of one head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.heads
    }

    /// The bases of the layers' rotary positions, each once.
    pub fn rotary_bases(&self) -> Vec<f64> {
        let mut bases = Vec::new();
        for base in self.layers.iter().filter_map(|layer| layer.rotary_base) {
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        bases
    }

    /// MPNet's biases, in `table` by bucket, laid out by distance: `heads × (2 · positions - 1)`, row-major, the
    /// farthest to the left first.
    pub fn biases_by_distance(&self, table: &[f32]) -> Vec<f32> {
        let (heads, positions) = (self.heads, self.max_positions as isize);
        let biases = (0..heads).flat_map(|head| {
            (1 - positions..positions)
                .map(move |distance| table[distance_bucket(distance) * heads + head])
        });
        biases.collect()
    }
}

/// `cos` and `sin` of rotary positions: `positions × width/2` each, row-major.
pub(crate) fn rotary_table(base: f64, positions: usize, width: usize) -> (Vec<f32>, Vec<f32>) {
    let half = width / 2;
    let angles = (0..positions * half).map(|at| {
        let exponent = (2 * (at % half)) as f32 / width as f32;
        // In f32, as PyTorch does: at far positions the rounding shows.
        let frequency = 1.0 / (base as f32).powf(exponent);
        (at / half) as f32 * frequency
    });
    angles.map(|angle| (angle.cos(), angle.sin())).unzip()
}

/// The row of MPNet's table for `distance`, the other token's position less the own one: half of the
/// rows for either direction, half of those for one distance each and the others for ranges that grow.
fn distance_bucket(distance: isize) -> usize {
    const BUCKETS: usize = 16;
    const EXACT: usize = BUCKETS / 2;
    const FARTHEST: f32 = 128.0;
    let away = distance.unsigned_abs();
    let side = if distance > 0 { BUCKETS } else { 0 };
    if away < EXACT {
        return side + away;
    }
    let growth = (away as f32 / EXACT as f32).ln() / (FARTHEST / EXACT as f32).ln();
    let range = EXACT + (growth * (BUCKETS - EXACT) as f32) as usize;
    side + range.min(BUCKETS - 1)
}

#[cfg(test)]
mod tests;
