//! `config.json` of a BERT teacher.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::kernels::Activation;
use crate::files::read_json;
use crate::{Error, Result};

/// The sizes of a BERT encoder.
pub(super) struct BertConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub layer_norm_eps: f64,
    pub activation: Activation,
}

/// The fields as saved; what is absent has the default of Python's `BertConfig`.
#[derive(Deserialize)]
struct Saved {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    #[serde(default = "default_types")]
    type_vocab_size: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

fn default_positions() -> usize {
    512
}

fn default_types() -> usize {
    2
}

fn default_epsilon() -> f64 {
    1e-12
}

fn default_activation() -> String {
    "gelu".to_owned()
}

impl BertConfig {
    /// Reads `config.json` in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        if !path.is_file() {
            let need = "a teacher folder holds config.json, model.safetensors and tokenizer.json";
            return Err(Error::MissingFile {
                folder: folder.to_owned(),
                file: "config.json",
                need,
            });
        }
        let json = read_json(&path)?;
        check_architecture(&path, &json)?;
        let wrong = |what: String| Error::Config {
            path: path.clone(),
            what,
        };
        let saved: Saved = serde_json::from_value(json).map_err(|e| wrong(e.to_string()))?;
        let activation = Activation::named(&saved.hidden_act).ok_or_else(|| {
            wrong(format!(
                "hidden_act {:?} is not supported; supported: gelu, gelu_new, relu",
                saved.hidden_act
            ))
        })?;
        if let Some(kind) = saved
            .position_embedding_type
            .filter(|kind| kind != "absolute")
        {
            return Err(wrong(format!(
                "position_embedding_type {kind:?} is not supported; supported: absolute"
            )));
        }
        let sizes = [
            saved.vocab_size,
            saved.hidden_size,
            saved.num_attention_heads,
            saved.intermediate_size,
            saved.max_position_embeddings,
            saved.type_vocab_size,
        ];
        if sizes.contains(&0) || !saved.hidden_size.is_multiple_of(saved.num_attention_heads) {
            return Err(wrong(
                "sizes must not be 0, and hidden_size a multiple of num_attention_heads".to_owned(),
            ));
        }
        Ok(Self {
            vocab_size: saved.vocab_size,
            hidden_size: saved.hidden_size,
            num_hidden_layers: saved.num_hidden_layers,
            num_attention_heads: saved.num_attention_heads,
            intermediate_size: saved.intermediate_size,
            max_position_embeddings: saved.max_position_embeddings,
            type_vocab_size: saved.type_vocab_size,
            layer_norm_eps: saved.layer_norm_eps,
            activation,
        })
    }
}

fn check_architecture(path: &Path, json: &Value) -> Result<()> {
    let model_type = json.get("model_type").and_then(Value::as_str);
    let architecture = json.pointer("/architectures/0").and_then(Value::as_str);
    let is_bert = match (model_type, architecture) {
        (Some(model_type), _) => model_type == "bert",
        (None, Some(architecture)) => architecture.starts_with("Bert"),
        (None, None) => false,
    };
    if is_bert {
        return Ok(());
    }
    let found = match (model_type, architecture) {
        (None, None) => "no stated model_type".to_owned(),
        (Some(model_type), None) => format!("model_type {model_type}"),
        (None, Some(architecture)) => format!("architecture {architecture}"),
        (Some(model_type), Some(architecture)) => {
            format!("model_type {model_type} ({architecture})")
        }
    };
    Err(Error::UnsupportedTeacher {
        path: path.to_owned(),
        found,
    })
}
