//! The weights of an encoder, whatever names and files they were saved under.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::architecture::{Architecture, Family};
use crate::files::read_json;
use crate::tensors::{TensorFile, hex};
use crate::{Error, Result};

/// The file of a checkpoint that is in one piece.
pub(crate) const WHOLE: &str = "model.safetensors";
/// The file that names the pieces of one that is not.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// The mapped safetensors files of a checkpoint.
pub(crate) struct WeightFiles(Vec<TensorFile>);

impl WeightFiles {
    /// Maps `model.safetensors`, or else the files that `model.safetensors.index.json` names.
    pub fn open(folder: &Path) -> Result<Self> {
        let paths = if folder.join(WHOLE).is_file() || !folder.join(INDEX).is_file() {
            vec![folder.join(WHOLE)]
        } else {
            shards(&read_json(&folder.join(INDEX))?)
                .map(|names| names.iter().map(|name| folder.join(name)).collect())
                .ok_or_else(|| Error::Config {
                    path: folder.join(INDEX),
                    what: "its weight_map names no files beside it; fetch the file again"
                        .to_owned(),
                })?
        };
        let files = paths.into_iter().map(|path| {
            if path.is_file() {
                return TensorFile::open(&path);
            }
            Err(missing(folder, &path))
        });
        Ok(Self(files.collect::<Result<_>>()?))
    }

    /// SHA-256 over all files in order, lower-case hex.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.0.iter().for_each(|file| hash.update(file.bytes()));
        hex(&hash.finalize())
    }
}

fn missing(folder: &Path, path: &PathBuf) -> Error {
    if path == &folder.join(WHOLE) {
        return Error::MissingFile {
            folder: folder.to_owned(),
            file: WHOLE,
            need: "the teacher's weights are read from it (pytorch_model.bin is not)",
        };
    }
    Error::Config {
        path: folder.join(INDEX),
        what: format!(
            "it names {}, which is not there; fetch the file",
            path.display()
        ),
    }
}

/// The files that an index names, each once, in order; none if they are not plain names.
pub(crate) fn shards(index: &Value) -> Option<Vec<String>> {
    let map = index.get("weight_map")?.as_object()?;
    let mut names = map
        .values()
        .map(|name| name.as_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()?;
    names.sort_unstable();
    names.dedup();
    let plain = |name: &String| !name.contains(['/', '\\']) && name.ends_with(".safetensors");
    (!names.is_empty() && names.iter().all(plain)).then_some(names)
}

/// `x ↦ W x + b`
pub(crate) struct Dense {
    /// `outputs × inputs`, row-major, as it is saved.
    pub weight: Vec<f32>,
    pub bias: Option<Vec<f32>>,
    pub outputs: usize,
    pub inputs: usize,
}

/// A norm's scale and shift.
pub(crate) struct Norm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// What comes before the layers.
pub(crate) struct Embeddings {
    /// `vocab_size × hidden`
    pub words: Vec<f32>,
    /// `rows × hidden`; empty if the architecture has none.
    pub positions: Vec<f32>,
    /// Of the first type: the teacher sees one sentence at a time. Empty if the architecture has none.
    pub token_type: Vec<f32>,
    pub norm: Norm,
    /// `buckets × heads`; empty if the architecture has none.
    pub distance_bias: Vec<f32>,
}

/// One layer.
pub(crate) struct LayerWeights {
    /// Of query, key and value, below one another.
    pub query_key_value: Dense,
    pub attention_output: Dense,
    /// After attention, or before it with `pre_norm`; ModernBERT's first layer has none.
    pub attention_norm: Option<Norm>,
    pub intermediate: Dense,
    pub output: Dense,
    /// After the feed-forward part, or before it with `pre_norm`.
    pub output_norm: Norm,
}

/// A layer's tensors, behind the prefix and without `.weight` and `.bias`.
struct Names {
    query_key_value: &'static [&'static str],
    attention_output: &'static str,
    attention_norm: &'static str,
    intermediate: &'static str,
    output: &'static str,
    output_norm: &'static str,
}

impl Family {
    /// What layers' names begin with, up to their number.
    fn layers(self) -> &'static str {
        match self {
            Self::Bert | Self::Roberta | Self::MpNet => "encoder.layer",
            Self::DistilBert => "transformer.layer",
            Self::ModernBert => "layers",
        }
    }

    fn names(self) -> Names {
        match self {
            Self::Bert | Self::Roberta => Names {
                query_key_value: &[
                    "attention.self.query",
                    "attention.self.key",
                    "attention.self.value",
                ],
                attention_output: "attention.output.dense",
                attention_norm: "attention.output.LayerNorm",
                intermediate: "intermediate.dense",
                output: "output.dense",
                output_norm: "output.LayerNorm",
            },
            Self::DistilBert => Names {
                query_key_value: &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
                attention_output: "attention.out_lin",
                attention_norm: "sa_layer_norm",
                intermediate: "ffn.lin1",
                output: "ffn.lin2",
                output_norm: "output_layer_norm",
            },
            Self::MpNet => Names {
                query_key_value: &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
                attention_output: "attention.attn.o",
                attention_norm: "attention.LayerNorm",
                intermediate: "intermediate.dense",
                output: "output.dense",
                output_norm: "output.LayerNorm",
            },
            Self::ModernBert => Names {
                query_key_value: &["attn.Wqkv"],
                attention_output: "attn.Wo",
                attention_norm: "attn_norm",
                intermediate: "mlp.Wi",
                output: "mlp.Wo",
                output_norm: "mlp_norm",
            },
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::ModernBert => "embeddings.tok_embeddings.weight",
            _ => "embeddings.word_embeddings.weight",
        }
    }

    fn embedding_norm(self) -> &'static str {
        match self {
            Self::ModernBert => "embeddings.norm",
            _ => "embeddings.LayerNorm",
        }
    }
}

/// What models that hold an encoder keep it under: heads trained for other tasks, and
/// sentence-transformers' own wrappers.
const PREFIXES: [&str; 8] = [
    "",
    "bert.",
    "roberta.",
    "distilbert.",
    "mpnet.",
    "auto_model.",
    "model.",
    "0.auto_model.",
];

/// The tensors of a checkpoint by their canonical roles.
pub(crate) struct Weights<'a> {
    architecture: &'a Architecture,
    files: Vec<(&'a TensorFile, SafeTensors<'a>)>,
    prefix: &'static str,
}

impl<'a> Weights<'a> {
    /// # Errors
    /// [`Error::Tensor`] if it is no checkpoint of the architecture's family.
    pub fn new(files: &'a WeightFiles, architecture: &'a Architecture) -> Result<Self> {
        let files = files
            .0
            .iter()
            .map(|file| Ok((file, file.tensors()?)))
            .collect::<Result<Vec<_>>>()?;
        let mut weights = Self {
            architecture,
            files,
            prefix: "",
        };
        let probe = architecture.family.words();
        let prefix = PREFIXES
            .into_iter()
            .find(|prefix| weights.find(&format!("{prefix}{probe}")).is_some());
        weights.prefix = prefix.ok_or_else(|| {
            let what = format!(
                "is missing; this is no {:?} checkpoint, as config.json says it is",
                architecture.family
            );
            weights.error(probe, what)
        })?;
        Ok(weights)
    }

    fn find(&self, name: &str) -> Option<(&'a TensorFile, TensorView<'a>)> {
        self.files
            .iter()
            .find_map(|(file, tensors)| Some((*file, tensors.tensor(name).ok()?)))
    }

    /// For a tensor that no file has.
    fn error(&self, name: &str, what: impl Into<String>) -> Error {
        match self.files.first() {
            Some((file, _)) => file.tensor_error(name, what),
            None => Error::Model { what: what.into() },
        }
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let full = format!("{}{name}", self.prefix);
        // Checkpoints converted from TensorFlow call a norm's weight and bias gamma and beta.
        let old = full
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        let found = self.find(&full).or_else(|| self.find(&old));
        let (file, view) =
            found.ok_or_else(|| self.error(&full, "is missing, though config.json asks for it"))?;
        if view.shape() != shape {
            let what = format!(
                "has shape {:?}, but config.json asks for {shape:?}",
                view.shape()
            );
            return Err(file.tensor_error(&full, what));
        }
        file.finite_f32(&full, &view)
    }

    fn norm(&self, name: &str) -> Result<Norm> {
        let hidden = self.architecture.hidden_size;
        Ok(Norm {
            weight: self.values(&format!("{name}.weight"), &[hidden])?,
            bias: if self.architecture.norm_bias {
                self.values(&format!("{name}.bias"), &[hidden])?
            } else {
                vec![0.0; hidden]
            },
        })
    }

    /// A dense layer saved in parts of `outputs` each, put below one another.
    fn dense(
        &self,
        layer: &str,
        names: &[&str],
        outputs: usize,
        inputs: usize,
        has_bias: bool,
    ) -> Result<Dense> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(self.values(&format!("{layer}.{name}.weight"), &[outputs, inputs])?);
            if has_bias {
                bias.extend(self.values(&format!("{layer}.{name}.bias"), &[outputs])?);
            }
        }
        Ok(Dense {
            weight,
            bias: has_bias.then_some(bias),
            outputs: names.len() * outputs,
            inputs,
        })
    }

    /// # Errors
    /// [`Error::Tensor`] for a tensor that is missing, misshapen or not finite; so for the others.
    pub fn embeddings(&self) -> Result<Embeddings> {
        let Architecture {
            family,
            hidden_size: hidden,
            ..
        } = *self.architecture;
        let table = |name: &str, rows: usize, width: usize| match rows {
            0 => Ok(Vec::new()),
            rows => self.values(name, &[rows, width]),
        };
        let positions = self.architecture.positions.map_or(0, |table| table.rows);
        let types = self.architecture.token_types;
        let mut token_type = table("embeddings.token_type_embeddings.weight", types, hidden)?;
        token_type.truncate(hidden);
        Ok(Embeddings {
            words: self.values(family.words(), &[self.architecture.vocab_size, hidden])?,
            positions: table("embeddings.position_embeddings.weight", positions, hidden)?,
            token_type,
            norm: self.norm(family.embedding_norm())?,
            distance_bias: table(
                "encoder.relative_attention_bias.weight",
                self.architecture.distance_buckets,
                self.architecture.heads,
            )?,
        })
    }

    pub fn layer(&self, index: usize) -> Result<LayerWeights> {
        let architecture = self.architecture;
        let names = architecture.family.names();
        let layer = format!("{}.{index}", architecture.family.layers());
        let (hidden, wide) = (architecture.hidden_size, architecture.intermediate_size);
        let inner = if architecture.gated { 2 * wide } else { wide };
        let (of_attention, of_feed_forward) =
            (architecture.attention_bias, architecture.feed_forward_bias);
        let parts = names.query_key_value;
        let projected = 3 * hidden / parts.len();
        let without_norm = architecture.family == Family::ModernBert && index == 0;
        Ok(LayerWeights {
            query_key_value: self.dense(&layer, parts, projected, hidden, of_attention)?,
            attention_output: self.dense(
                &layer,
                &[names.attention_output],
                hidden,
                hidden,
                of_attention,
            )?,
            attention_norm: (!without_norm)
                .then(|| self.norm(&format!("{layer}.{}", names.attention_norm)))
                .transpose()?,
            intermediate: self.dense(
                &layer,
                &[names.intermediate],
                inner,
                hidden,
                of_feed_forward,
            )?,
            output: self.dense(&layer, &[names.output], hidden, wide, of_feed_forward)?,
            output_norm: self.norm(&format!("{layer}.{}", names.output_norm))?,
        })
    }

    /// The norm after the last layer, with `pre_norm`.
    pub fn final_norm(&self) -> Result<Option<Norm>> {
        self.architecture
            .pre_norm
            .then(|| self.norm("final_norm"))
            .transpose()
    }
}
