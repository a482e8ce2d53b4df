//! Encoders in pure Rust, over candle's matrix products.

mod kernels;

use std::path::Path;

use candle_core::{Device, Tensor};

use self::kernels::{
    Attention, BiasActivation, DistanceBias, GatedActivation, LayerNorm, Residual, Rotary,
};
use super::Teacher;
use super::architecture::{Architecture, rotary_table};
use super::weights::{Dense, Embeddings, LayerWeights, Norm, WeightFiles, Weights};
use crate::{Error, Result};

/// An encoder on the CPU: BERT, RoBERTa, XLM-R, DistilBERT, MPNet or ModernBERT.
///
/// Sequences are packed one after another with no padding: everything but attention works on a
/// matrix of one row a token, and attention knows where each sequence begins.
pub struct CandleTeacher {
    architecture: Architecture,
    words: Vec<f32>,
    positions: Vec<f32>,
    token_type: Vec<f32>,
    embedding_norm: LayerNorm,
    distance_bias: Option<DistanceBias>,
    /// One table for each base that layers have.
    rotary: Vec<(f64, Rotary)>,
    layers: Vec<Layer>,
    final_norm: Option<LayerNorm>,
}

struct Layer {
    /// With `pre_norm` alone.
    attention_norm: Option<LayerNorm>,
    /// Query, key and value weights side by side: `hidden × 3 hidden`.
    query_key_value: Tensor,
    query_key_value_bias: Vec<f32>,
    attention_output: Tensor,
    attention_residual: Residual,
    /// With `pre_norm` alone.
    feed_forward_norm: Option<LayerNorm>,
    intermediate: Tensor,
    intermediate_bias: BiasActivation,
    output: Tensor,
    output_residual: Residual,
}

impl CandleTeacher {
    /// Loads `config.json` and `model.safetensors`, or the files that `model.safetensors.index.json` names, from
    /// `folder`.
    ///
    /// # Errors
    /// [`Error::MissingFile`] names the file; [`Error::UnsupportedTeacher`] names the architecture;
    /// [`Error::Tensors`] and [`Error::Tensor`] say which weights are missing, misshapen or not finite.
    pub fn load(folder: &Path) -> Result<Self> {
        let architecture = Architecture::read(folder)?;
        let files = WeightFiles::open(folder)?;
        let weights = Weights::new(&files, &architecture)?;
        let Embeddings {
            words,
            positions,
            mut token_type,
            norm,
            distance_bias,
        } = weights.embeddings()?;
        token_type.resize(architecture.hidden_size, 0.0);
        let layers = (0..architecture.layers.len())
            .map(|index| Layer::new(weights.layer(index)?, &architecture))
            .collect::<Result<_>>()?;
        let norm_of = |norm| layer_norm(norm, &architecture);
        Ok(Self {
            words,
            positions,
            token_type,
            embedding_norm: norm_of(norm),
            distance_bias: (!distance_bias.is_empty()).then(|| DistanceBias {
                values: architecture.biases_by_distance(&distance_bias),
                positions: architecture.max_positions,
            }),
            rotary: rotary_tables(&architecture),
            layers,
            final_norm: weights.final_norm()?.map(norm_of),
            architecture,
        })
    }

    /// Word, position and type embeddings summed and normalised, one row a token.
    fn embed(&self, batch: &[&[u32]]) -> Vec<f32> {
        let hidden = self.architecture.hidden_size;
        let nowhere = vec![0.0; hidden];
        let mut rows =
            Vec::with_capacity(batch.iter().map(|ids| ids.len()).sum::<usize>() * hidden);
        for ids in batch {
            let mut places = self
                .architecture
                .positions
                .map(|positions| positions.rows(ids));
            for &id in *ids {
                let word = &self.words[id as usize * hidden..][..hidden];
                let place = places.as_mut().and_then(Iterator::next);
                let position =
                    place.map_or(nowhere.as_slice(), |row| &self.positions[row * hidden..]);
                let summed = word
                    .iter()
                    .zip(position)
                    .zip(&self.token_type)
                    .map(|((w, p), t)| w + t + p);
                rows.extend(summed);
            }
        }
        self.embedding_norm.apply(&mut rows);
        rows
    }

    fn forward(&self, batch: &[&[u32]]) -> candle_core::Result<Vec<f32>> {
        let lengths: Vec<usize> = batch.iter().map(|ids| ids.len()).collect();
        let rows: usize = lengths.iter().sum();
        let mut states = Tensor::from_vec(
            self.embed(batch),
            (rows, self.architecture.hidden_size),
            &Device::Cpu,
        )?;
        for (layer, of_layer) in self.layers.iter().zip(&self.architecture.layers) {
            let rotary = of_layer
                .rotary_base
                .and_then(|wanted| self.rotary.iter().find(|(base, _)| *base == wanted));
            let attention = Attention {
                heads: self.architecture.heads,
                bias: &layer.query_key_value_bias,
                lengths: &lengths,
                rotary: rotary.map(|(_, table)| table),
                distance_bias: self.distance_bias.as_ref(),
                reach: of_layer.reach.unwrap_or(usize::MAX),
            };
            let context = normed(&states, layer.attention_norm.as_ref())?
                .matmul(&layer.query_key_value)?
                .apply_op1_no_bwd(&attention)?;
            let attended = context.matmul(&layer.attention_output)?;
            attended.inplace_op2(&states, &layer.attention_residual)?;
            let mut wide =
                normed(&attended, layer.feed_forward_norm.as_ref())?.matmul(&layer.intermediate)?;
            if self.architecture.gated {
                wide = wide.apply_op1_no_bwd(&GatedActivation(&layer.intermediate_bias))?;
            } else {
                wide.inplace_op1(&layer.intermediate_bias)?;
            }
            states = wide.matmul(&layer.output)?;
            states.inplace_op2(&attended, &layer.output_residual)?;
        }
        normed(&states, self.final_norm.as_ref())?
            .flatten_all()?
            .to_vec1()
    }
}

impl Teacher for CandleTeacher {
    fn hidden_size(&self) -> usize {
        self.architecture.hidden_size
    }

    fn max_positions(&self) -> usize {
        self.architecture.max_positions
    }

    fn vocab_size(&self) -> usize {
        self.architecture.vocab_size
    }

    fn hidden_states(&self, batch: &[&[u32]]) -> Result<Vec<f32>> {
        super::check_batch(batch, self.max_positions(), self.vocab_size())?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.forward(batch).map_err(forward_error)
    }
}

fn forward_error(error: candle_core::Error) -> Error {
    Error::Forward {
        what: error.to_string(),
    }
}

/// The rows normalised, or as they are where there is no norm.
fn normed(rows: &Tensor, norm: Option<&LayerNorm>) -> candle_core::Result<Tensor> {
    match norm {
        Some(norm) => rows.apply_op1_no_bwd(norm),
        None => Ok(rows.clone()),
    }
}

fn layer_norm(Norm { weight, bias }: Norm, architecture: &Architecture) -> LayerNorm {
    LayerNorm {
        weight,
        bias,
        epsilon: architecture.epsilon,
    }
}

fn rotary_tables(architecture: &Architecture) -> Vec<(f64, Rotary)> {
    let (positions, width) = (architecture.max_positions, architecture.head_width());
    let tables = architecture.rotary_bases().into_iter().map(|base| {
        let (cos, sin) = rotary_table(base, positions, width);
        (base, Rotary { cos, sin })
    });
    tables.collect()
}

/// A dense layer's weights, `inputs × outputs` (the transpose of how they are saved), and its bias.
fn transposed(dense: Dense) -> Result<(Tensor, Vec<f32>)> {
    let weight = Tensor::from_vec(dense.weight, (dense.outputs, dense.inputs), &Device::Cpu)
        .and_then(|weight| weight.t()?.contiguous())
        .map_err(forward_error)?;
    Ok((
        weight,
        dense.bias.unwrap_or_else(|| vec![0.0; dense.outputs]),
    ))
}

impl Layer {
    fn new(weights: LayerWeights, architecture: &Architecture) -> Result<Self> {
        let place = |norm: Option<Norm>| {
            let norm = norm.map(|norm| layer_norm(norm, architecture));
            if architecture.pre_norm {
                (norm, None)
            } else {
                (None, norm)
            }
        };
        let (attention_norm, after_attention) = place(weights.attention_norm);
        let (feed_forward_norm, after_output) = place(Some(weights.output_norm));
        let (query_key_value, query_key_value_bias) = transposed(weights.query_key_value)?;
        let (attention_output, attention_bias) = transposed(weights.attention_output)?;
        let (intermediate, intermediate_bias) = transposed(weights.intermediate)?;
        let (output, output_bias) = transposed(weights.output)?;
        Ok(Self {
            attention_norm,
            query_key_value,
            query_key_value_bias,
            attention_output,
            attention_residual: Residual {
                bias: attention_bias,
                norm: after_attention,
            },
            feed_forward_norm,
            intermediate,
            intermediate_bias: BiasActivation {
                bias: intermediate_bias,
                activation: architecture.activation,
            },
            output,
            output_residual: Residual {
                bias: output_bias,
                norm: after_output,
            },
        })
    }
}

#[cfg(test)]
mod tests;
