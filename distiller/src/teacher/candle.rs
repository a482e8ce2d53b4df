//! The BERT family in pure Rust, over candle's matrix products.

mod config;
mod kernels;

use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;

use self::config::BertConfig;
use self::kernels::{Attention, BiasActivation, LayerNorm, Residual};
use super::Teacher;
use crate::tensors::TensorFile;
use crate::{Error, Result};

/// A BERT encoder on the CPU.
///
/// Sequences are packed one after another with no padding: everything but attention works on a
/// matrix of one row a token, and attention knows where each sequence begins.
pub struct CandleTeacher {
    config: BertConfig,
    words: Vec<f32>,
    positions: Vec<f32>,
    token_type: Vec<f32>,
    embedding_norm: LayerNorm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Query, key and value weights side by side: `hidden × 3 hidden`.
    query_key_value: Tensor,
    query_key_value_bias: Vec<f32>,
    attention_output: Tensor,
    attention_residual: Residual,
    intermediate: Tensor,
    intermediate_bias: BiasActivation,
    output: Tensor,
    output_residual: Residual,
}

impl CandleTeacher {
    /// Loads `config.json` and `model.safetensors` from `folder`.
    ///
    /// # Errors
    /// [`Error::MissingFile`] names the file; [`Error::UnsupportedTeacher`] names the architecture;
    /// [`Error::Tensors`] and [`Error::Tensor`] say which weights are missing, misshapen or not finite.
    pub fn load(folder: &Path) -> Result<Self> {
        let config = BertConfig::read(folder)?;
        let path = folder.join("model.safetensors");
        if !path.is_file() {
            let need = "the teacher's weights are read from it (pytorch_model.bin is not)";
            return Err(Error::MissingFile {
                folder: folder.to_owned(),
                file: "model.safetensors",
                need,
            });
        }
        let file = TensorFile::open(&path)?;
        let weights = Weights::new(&file)?;
        let hidden = config.hidden_size;
        let words = weights.values(
            "embeddings.word_embeddings.weight",
            &[config.vocab_size, hidden],
        )?;
        let positions = weights.values(
            "embeddings.position_embeddings.weight",
            &[config.max_position_embeddings, hidden],
        )?;
        let mut token_type = weights.values(
            "embeddings.token_type_embeddings.weight",
            &[config.type_vocab_size, hidden],
        )?;
        // Every token is of the first type: the teacher sees one sentence at a time.
        token_type.truncate(hidden);
        let embedding_norm = weights.norm("embeddings", &config)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| weights.layer(index, &config))
            .collect::<Result<_>>()?;
        Ok(Self {
            config,
            words,
            positions,
            token_type,
            embedding_norm,
            layers,
        })
    }

    /// Word, position and type embeddings summed and normalised, one row a token.
    fn embed(&self, batch: &[&[u32]]) -> Vec<f32> {
        let hidden = self.config.hidden_size;
        let mut rows =
            Vec::with_capacity(batch.iter().map(|ids| ids.len()).sum::<usize>() * hidden);
        for ids in batch {
            for (&id, position) in ids.iter().zip(self.positions.chunks_exact(hidden)) {
                let word = &self.words[id as usize * hidden..][..hidden];
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
            (rows, self.config.hidden_size),
            &Device::Cpu,
        )?;
        for layer in &self.layers {
            let attention = Attention {
                heads: self.config.num_attention_heads,
                bias: &layer.query_key_value_bias,
                lengths: &lengths,
            };
            let context = states
                .matmul(&layer.query_key_value)?
                .apply_op1_no_bwd(&attention)?;
            let attended = context.matmul(&layer.attention_output)?;
            attended.inplace_op2(&states, &layer.attention_residual)?;
            let wide = attended.matmul(&layer.intermediate)?;
            wide.inplace_op1(&layer.intermediate_bias)?;
            states = wide.matmul(&layer.output)?;
            states.inplace_op2(&attended, &layer.output_residual)?;
        }
        states.flatten_all()?.to_vec1()
    }
}

impl Teacher for CandleTeacher {
    fn hidden_size(&self) -> usize {
        self.config.hidden_size
    }

    fn max_positions(&self) -> usize {
        self.config.max_position_embeddings
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
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

/// The tensors of a BERT checkpoint, whatever prefix they were saved under.
struct Weights<'a> {
    file: &'a TensorFile,
    tensors: SafeTensors<'a>,
    prefix: &'static str,
}

impl<'a> Weights<'a> {
    fn new(file: &'a TensorFile) -> Result<Self> {
        let tensors = file.tensors()?;
        let probe = "embeddings.word_embeddings.weight";
        // Heads trained for other tasks keep the encoder under `bert.`; sentence-transformers' own
        // wrappers under `auto_model.`.
        let prefix = ["", "bert.", "auto_model.", "model."]
            .into_iter()
            .find(|prefix| tensors.tensor(&format!("{prefix}{probe}")).is_ok())
            .ok_or_else(|| file.tensor_error(probe, "is missing; this is no BERT checkpoint"))?;
        Ok(Self {
            file,
            tensors,
            prefix,
        })
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let full = format!("{}{name}", self.prefix);
        // Checkpoints converted from TensorFlow call a norm's weight and bias gamma and beta.
        let old = full
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        let view = self
            .tensors
            .tensor(&full)
            .or_else(|_| self.tensors.tensor(&old))
            .map_err(|_| {
                self.file
                    .tensor_error(&full, "is missing, though config.json asks for it")
            })?;
        if view.shape() != shape {
            let what = format!(
                "has shape {:?}, but config.json asks for {shape:?}",
                view.shape()
            );
            return Err(self.file.tensor_error(&full, what));
        }
        self.file.finite_f32(&full, &view)
    }

    fn norm(&self, name: &str, config: &BertConfig) -> Result<LayerNorm> {
        let shape = [config.hidden_size];
        Ok(LayerNorm {
            weight: self.values(&format!("{name}.LayerNorm.weight"), &shape)?,
            bias: self.values(&format!("{name}.LayerNorm.bias"), &shape)?,
            epsilon: config.layer_norm_eps as f32,
        })
    }

    fn residual(&self, name: &str, config: &BertConfig) -> Result<Residual> {
        let bias = self.values(&format!("{name}.dense.bias"), &[config.hidden_size])?;
        Ok(Residual {
            bias,
            norm: self.norm(name, config)?,
        })
    }

    /// A dense layer's weights, `inputs × outputs` (the transpose of how they are saved).
    fn dense(&self, names: &[&str], outputs: usize, inputs: usize) -> Result<Tensor> {
        let mut saved = Vec::new();
        for name in names {
            saved.extend(self.values(&format!("{name}.weight"), &[outputs, inputs])?);
        }
        Tensor::from_vec(saved, (names.len() * outputs, inputs), &Device::Cpu)
            .and_then(|weights| weights.t()?.contiguous())
            .map_err(forward_error)
    }

    fn layer(&self, index: usize, config: &BertConfig) -> Result<Layer> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let layer = format!("encoder.layer.{index}");
        let projections =
            ["query", "key", "value"].map(|part| format!("{layer}.attention.self.{part}"));
        let mut query_key_value_bias = Vec::with_capacity(3 * hidden);
        for projection in &projections {
            query_key_value_bias.extend(self.values(&format!("{projection}.bias"), &[hidden])?);
        }
        let attention = format!("{layer}.attention.output");
        let intermediate = format!("{layer}.intermediate.dense");
        let output = format!("{layer}.output");
        Ok(Layer {
            query_key_value: self.dense(
                &projections.each_ref().map(String::as_str),
                hidden,
                hidden,
            )?,
            query_key_value_bias,
            attention_output: self.dense(&[&format!("{attention}.dense")], hidden, hidden)?,
            attention_residual: self.residual(&attention, config)?,
            intermediate: self.dense(&[&intermediate], wide, hidden)?,
            intermediate_bias: BiasActivation {
                bias: self.values(&format!("{intermediate}.bias"), &[wide])?,
                activation: config.activation,
            },
            output: self.dense(&[&format!("{output}.dense")], hidden, wide)?,
            output_residual: self.residual(&output, config)?,
        })
    }
}

#[cfg(test)]
mod tests;
