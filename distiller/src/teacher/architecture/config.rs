//! `config.json`, by family.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{AbsolutePositions, Activation, Architecture, Family, LayerAttention};
use crate::files::read_json;
use crate::{Error, Result};

/// Rows of MPNet's table of biases that are used, whatever `config.json` says.
const DISTANCE_BUCKETS: usize = 32;
/// MPNet pads with this id, whatever `config.json` says.
const MPNET_PADDING: u32 = 1;

/// The fields as saved, under BERT's names; what is absent has Python's default.
#[derive(Deserialize)]
struct Saved {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: Option<usize>,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
    pad_token_id: Option<u32>,
    relative_attention_num_buckets: Option<usize>,
    #[serde(flatten)]
    modern: Modern,
}

/// ModernBERT's own fields. The pattern of its layers and the rotary bases were saved otherwise at first.
#[derive(Deserialize)]
struct Modern {
    layer_types: Option<Vec<String>>,
    global_attn_every_n_layers: Option<usize>,
    local_attention: Option<usize>,
    rope_parameters: Option<Value>,
    rope_scaling: Option<Value>,
    global_rope_theta: Option<f64>,
    local_rope_theta: Option<f64>,
    norm_bias: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
}

const NEED: &str =
    "a teacher folder holds config.json, tokenizer.json and the weights, model.safetensors say";

pub(super) fn read(folder: &Path) -> Result<Architecture> {
    let path = folder.join("config.json");
    if !path.is_file() {
        return Err(Error::MissingFile {
            folder: folder.to_owned(),
            file: "config.json",
            need: NEED,
        });
    }
    let mut json = read_json(&path)?;
    let family = family(&path, &json)?;
    rename(&mut json, family);
    let wrong = |what: String| Error::Config {
        path: path.clone(),
        what,
    };
    let saved: Saved = serde_json::from_value(json).map_err(|e| wrong(e.to_string()))?;
    saved.architecture(family).map_err(wrong)
}

fn family(path: &Path, json: &Value) -> Result<Family> {
    let model_type = json.get("model_type").and_then(Value::as_str);
    let architecture = json.pointer("/architectures/0").and_then(Value::as_str);
    let named = match model_type {
        Some("bert") => Some(Family::Bert),
        Some("roberta" | "xlm-roberta" | "camembert") => Some(Family::Roberta),
        Some("distilbert") => Some(Family::DistilBert),
        Some("mpnet") => Some(Family::MpNet),
        Some("modernbert") => Some(Family::ModernBert),
        Some(_) => None,
        None => architecture.and_then(|name| {
            let families = [
                ("Bert", Family::Bert),
                ("Roberta", Family::Roberta),
                ("XLMRoberta", Family::Roberta),
                ("DistilBert", Family::DistilBert),
                ("MPNet", Family::MpNet),
                ("ModernBert", Family::ModernBert),
            ];
            families
                .into_iter()
                .find_map(|(start, family)| name.starts_with(start).then_some(family))
        }),
    };
    named.ok_or_else(|| Error::UnsupportedTeacher {
        path: path.to_owned(),
        found: match (model_type, architecture) {
            (None, None) => "no stated model_type".to_owned(),
            (Some(model_type), None) => format!("model_type {model_type}"),
            (None, Some(architecture)) => format!("architecture {architecture}"),
            (Some(model_type), Some(architecture)) => {
                format!("model_type {model_type} ({architecture})")
            }
        },
    })
}

/// Gives fields that a family names in its own way the names that BERT has for them.
fn rename(json: &mut Value, family: Family) {
    let names: &[(&str, &str)] = match family {
        Family::DistilBert => &[
            ("dim", "hidden_size"),
            ("n_layers", "num_hidden_layers"),
            ("n_heads", "num_attention_heads"),
            ("hidden_dim", "intermediate_size"),
            ("activation", "hidden_act"),
        ],
        Family::ModernBert => &[
            ("norm_eps", "layer_norm_eps"),
            ("hidden_activation", "hidden_act"),
        ],
        _ => &[],
    };
    let Some(fields) = json.as_object_mut() else {
        return;
    };
    for (own, name) in names {
        if let Some(value) = fields.remove(*own) {
            fields.insert((*name).to_owned(), value);
        }
    }
}

impl Saved {
    /// The canonical description, or what is wrong.
    fn architecture(self, family: Family) -> std::result::Result<Architecture, String> {
        let name = self.hidden_act.as_deref().unwrap_or("gelu");
        let activation = Activation::named(name).ok_or_else(|| {
            format!("hidden_act {name:?} is not supported; supported: gelu, gelu_new, relu")
        })?;
        if let Some(kind) = self
            .position_embedding_type
            .as_ref()
            .filter(|kind| *kind != "absolute")
        {
            return Err(format!(
                "position_embedding_type {kind:?} is not supported; supported: absolute"
            ));
        }
        let modern = family == Family::ModernBert;
        let rows = self
            .max_position_embeddings
            .unwrap_or(if modern { 8192 } else { 512 });
        let padding = match family {
            Family::Roberta => Some(self.pad_token_id.unwrap_or(1)),
            Family::MpNet => Some(MPNET_PADDING),
            _ => None,
        };
        let lost = padding.map_or(0, |padding| padding as usize + 1);
        let token_types = match family {
            Family::Bert | Family::Roberta => self.type_vocab_size.unwrap_or(2),
            _ => 0,
        };
        let distance_buckets = match family {
            Family::MpNet => self
                .relative_attention_num_buckets
                .unwrap_or(DISTANCE_BUCKETS),
            _ => 0,
        };
        let sizes = [
            self.vocab_size,
            self.hidden_size,
            self.num_attention_heads,
            self.intermediate_size,
            rows.saturating_sub(lost),
        ];
        if sizes.contains(&0)
            || (token_types == 0 && matches!(family, Family::Bert | Family::Roberta))
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            return Err(
                "sizes must not be 0, and hidden_size a multiple of num_attention_heads".to_owned(),
            );
        }
        if family == Family::MpNet && distance_buckets < DISTANCE_BUCKETS {
            return Err(format!(
                "relative_attention_num_buckets {distance_buckets} is not supported; supported: {DISTANCE_BUCKETS}"
            ));
        }
        if modern && !(self.hidden_size / self.num_attention_heads).is_multiple_of(2) {
            return Err("rotary positions need heads of an even size".to_owned());
        }
        Ok(Architecture {
            family,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            max_positions: rows - lost,
            positions: (!modern).then_some(AbsolutePositions { rows, padding }),
            token_types,
            distance_buckets,
            pre_norm: modern,
            gated: modern,
            norm_bias: !modern || self.modern.norm_bias.unwrap_or(false),
            attention_bias: !modern || self.modern.attention_bias.unwrap_or(false),
            feed_forward_bias: !modern || self.modern.mlp_bias.unwrap_or(false),
            activation,
            epsilon: self
                .layer_norm_eps
                .unwrap_or(if modern { 1e-5 } else { 1e-12 }) as f32,
            layers: if modern {
                self.modern.layers(self.num_hidden_layers)?
            } else {
                vec![LayerAttention::default(); self.num_hidden_layers]
            },
        })
    }
}

impl Modern {
    fn layers(&self, count: usize) -> std::result::Result<Vec<LayerAttention>, String> {
        let every = self.global_attn_every_n_layers.unwrap_or(3).max(1);
        let is_local: Vec<bool> = match &self.layer_types {
            Some(types) => types
                .iter()
                .map(|kind| match kind.as_str() {
                    "sliding_attention" => Ok(true),
                    "full_attention" => Ok(false),
                    _ => Err(format!(
                        "layer_types has {kind:?}; supported: full_attention, sliding_attention"
                    )),
                })
                .collect::<std::result::Result<_, _>>()?,
            None => (0..count)
                .map(|layer| !layer.is_multiple_of(every))
                .collect(),
        };
        if is_local.len() != count {
            return Err(format!(
                "layer_types has {} entries for {count} layers",
                is_local.len()
            ));
        }
        let global = self.rotary_base(
            "full_attention",
            self.global_rope_theta.unwrap_or(160_000.0),
        )?;
        let local = self.rotary_base(
            "sliding_attention",
            self.local_rope_theta.unwrap_or(10_000.0),
        )?;
        // The whole window is stated; a token sees half of it on either side.
        let reach = self.local_attention.unwrap_or(128) / 2;
        Ok(is_local
            .into_iter()
            .map(|is_local| LayerAttention {
                rotary_base: Some(if is_local { local } else { global }),
                reach: is_local.then_some(reach),
            })
            .collect())
    }

    fn rotary_base(&self, layers: &str, default: f64) -> std::result::Result<f64, String> {
        let own = self
            .rope_parameters
            .as_ref()
            .and_then(|all| all.get(layers));
        for parameters in [own, self.rope_scaling.as_ref()].into_iter().flatten() {
            let kind = parameters
                .get("rope_type")
                .or_else(|| parameters.get("type"));
            if let Some(kind) = kind
                .and_then(Value::as_str)
                .filter(|kind| *kind != "default")
            {
                return Err(format!(
                    "rope_type {kind:?} is not supported; supported: default"
                ));
            }
        }
        let base = own
            .and_then(|parameters| parameters.get("rope_theta"))
            .and_then(Value::as_f64)
            .unwrap_or(default);
        if base > 0.0 {
            Ok(base)
        } else {
            Err(format!("rope_theta {base} is not positive"))
        }
    }
}
