//! Reading a Model2Vec folder.

use std::path::{Path, PathBuf};

use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use crate::files::read_json;
use crate::model::DEFAULT_MAX_LENGTH;
use crate::source::{fetch_from_hub, front_matter};
use crate::tensors::{TensorFile, values};
use crate::{Error, Pipeline, Provenance, Result, Rows, StaticModel};

use super::head;

/// Where the parts of a model lie in its folder.
struct Layout {
    config: &'static str,
    tensors: &'static str,
    tokenizer: &'static str,
    rows: &'static str,
}

/// Model2Vec's own layout, then those of sentence-transformers, in the order in which Python tries them.
const LAYOUTS: [Layout; 3] = [
    Layout {
        config: "config.json",
        tensors: "model.safetensors",
        tokenizer: "tokenizer.json",
        rows: "embeddings",
    },
    Layout {
        config: "config_sentence_transformers.json",
        tensors: "model.safetensors",
        tokenizer: "tokenizer.json",
        rows: "embedding.weight",
    },
    Layout {
        config: "config_sentence_transformers.json",
        tensors: "0_StaticEmbedding/model.safetensors",
        tokenizer: "0_StaticEmbedding/tokenizer.json",
        rows: "embedding.weight",
    },
];

/// Reads the Model2Vec model `name`: a folder, or `org/name` on the Hugging Face hub. A path that exists wins. Of a classifier
/// it is the model without the head.
///
/// # Errors
/// [`Error::MissingFile`], [`Error::Json`], [`Error::Tensors`] or [`Error::Io`] if a file is missing or
/// broken; [`Error::Tensor`] if rows, weights or mapping have the wrong type or shape, a value that is
/// not finite, or do not fit the tokenizer; [`Error::Fetch`] or [`Error::Source`] if `name` cannot be found.
pub fn read(name: &str) -> Result<StaticModel> {
    read_folder(&find(name, &["README.md"])?, name)
}

/// Reads a model as [`read`](fn@read) does, and the head in the folder if it is a classifier's, as Python's
/// `StaticModelPipeline` saves it. The head's weights are rounded to 8 bits, each output's by its own scale; labels that are
/// numbers become their digits, outputs without labels are called by their numbers, from 0.
///
/// # Errors
/// Those of [`read`](fn@read), of the head's files too; [`Error::Config`] for a head that an image cannot hold or one of a
/// version of Model2Vec before 0.10.
pub fn read_pipeline(name: &str) -> Result<Pipeline> {
    let folder = find(name, &["README.md", head::FILE, head::OLD_FILE])?;
    let model = read_folder(&folder, name)?;
    let config = folder.join(find_layout(&folder)?.config);
    Ok(Pipeline {
        head: head::read(&folder, &config, model.dims)?,
        model,
    })
}

/// The folder of this name, or with what the hub has under it.
fn find(name: &str, optional: &[&str]) -> Result<PathBuf> {
    if Path::new(name).exists() {
        Ok(PathBuf::from(name))
    } else {
        fetch(name, optional)
    }
}

/// Fetches the files of the first layout that the hub has all of, and those of `optional` that it has.
fn fetch(name: &str, optional: &[&str]) -> Result<PathBuf> {
    let [first, others @ ..] = &LAYOUTS;
    let of = |layout: &Layout| {
        let files = [layout.config, layout.tokenizer, layout.tensors];
        fetch_from_hub(name, &files, optional)
    };
    let refused = match of(first) {
        Err(error @ Error::Absent { .. }) => error,
        result => return result,
    };
    for layout in others {
        match of(layout) {
            Err(Error::Absent { .. }) => {}
            result => return result,
        }
    }
    // Of a repository in none of the layouts, or of none at all, the first layout's file says most.
    Err(refused)
}

fn read_folder(folder: &Path, name: &str) -> Result<StaticModel> {
    let layout = find_layout(folder)?;
    let config_path = folder.join(layout.config);
    let config = read_json(&config_path)?;
    let tokenizer_path = folder.join(layout.tokenizer);
    let tokenizer = read_json(&tokenizer_path)?;
    let tokens = token_count(&tokenizer).map_err(|what| Error::Config {
        path: tokenizer_path,
        what,
    })?;

    let file = TensorFile::open(&folder.join(layout.tensors))?;
    let tensors = file.tensors()?;
    let view = tensors.tensor(layout.rows).map_err(|_| {
        file.tensor_error(
            layout.rows,
            "is missing; is this a Model2Vec folder, or a teacher to distil first?",
        )
    })?;
    let &[rows, dims] = view.shape() else {
        let what = format!("has shape {:?}; expected rows × dimensions", view.shape());
        return Err(file.tensor_error(layout.rows, what));
    };
    if rows == 0 || dims == 0 {
        return Err(file.tensor_error(layout.rows, "is empty; a model has rows"));
    }
    let weights = optional(&tensors, "weights");
    let weights = weights
        .map(|view| read_weights(&file, &view, tokens))
        .transpose()?;
    let mapping = optional(&tensors, "mapping");
    let mapping = mapping
        .map(|view| read_mapping(&file, &view, tokens, rows))
        .transpose()?;
    if mapping.is_none() && rows != tokens {
        let what = format!(
            "has {rows} rows, but the tokenizer has {tokens} tokens and there is no mapping"
        );
        return Err(file.tensor_error(layout.rows, what));
    }
    let setting = |what: &str| Error::Config {
        path: config_path.clone(),
        what: what.to_owned(),
    };
    Ok(StaticModel {
        rows: read_rows(&file, layout.rows, &view)?,
        dims,
        weights,
        mapping,
        normalize: match config.get("normalize") {
            None => false,
            Some(value) => value
                .as_bool()
                .ok_or_else(|| setting("normalize is neither true nor false"))?,
        },
        max_length: match config.get("max_length") {
            None => Some(DEFAULT_MAX_LENGTH),
            Some(Value::Null) => None,
            Some(value) => {
                let length = value
                    .as_u64()
                    .and_then(|length| usize::try_from(length).ok());
                Some(
                    length
                        .ok_or_else(|| setting("max_length is neither null nor a whole number"))?,
                )
            }
        },
        provenance: provenance(&config, folder, name),
        tokenizer,
    })
}

fn find_layout(folder: &Path) -> Result<&'static Layout> {
    let holds = |layout: &&Layout| {
        [layout.config, layout.tensors, layout.tokenizer]
            .iter()
            .all(|file| folder.join(file).is_file())
    };
    LAYOUTS.iter().find(holds).ok_or_else(|| {
        let Layout {
            config,
            tensors,
            tokenizer,
            ..
        } = LAYOUTS[0];
        let missing = [config, tensors, tokenizer]
            .into_iter()
            .find(|file| !folder.join(file).is_file());
        let need = "a Model2Vec folder holds config.json, model.safetensors and tokenizer.json";
        Error::MissingFile {
            folder: folder.to_owned(),
            file: missing.unwrap_or(config),
            need,
        }
    })
}

fn optional<'a>(tensors: &'a SafeTensors<'a>, name: &str) -> Option<TensorView<'a>> {
    tensors.tensor(name).ok()
}

/// Number of tokens of a tokenizer whose ids run from 0 without gaps.
pub(super) fn token_count(tokenizer: &Value) -> std::result::Result<usize, String> {
    let vocab = tokenizer
        .pointer("/model/vocab")
        .ok_or("no model.vocab in it; fetch the file again")?;
    let mut ids: Vec<u64> = match vocab {
        Value::Object(vocab) => vocab.values().filter_map(Value::as_u64).collect(),
        Value::Array(vocab) => (0..vocab.len() as u64).collect(),
        _ => {
            return Err(
                "model.vocab is neither an object nor a list; fetch the file again".to_owned(),
            );
        }
    };
    let added = tokenizer
        .get("added_tokens")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    ids.extend(added.filter_map(|token| token.get("id")?.as_u64()));
    ids.sort_unstable();
    ids.dedup();
    match ids.iter().zip(0..).find(|&(&id, expected)| id != expected) {
        None if ids.is_empty() => Err("its vocabulary is empty".to_owned()),
        None => Ok(ids.len()),
        Some((_, expected)) => Err(format!(
            "no token has id {expected}; ids must run from 0 without gaps"
        )),
    }
}

fn read_rows(file: &TensorFile, name: &str, view: &TensorView<'_>) -> Result<Rows> {
    match view.dtype() {
        Dtype::I8 => Ok(Rows::I8(
            view.data().iter().map(|byte| byte.cast_signed()).collect(),
        )),
        Dtype::F16 => {
            file.finite_f32(name, view)?;
            Ok(Rows::F16(values(view.data(), f16::from_le_bytes).collect()))
        }
        _ => Ok(Rows::F32(file.finite_f32(name, view)?)),
    }
}

fn check_length(file: &TensorFile, name: &str, view: &TensorView<'_>, tokens: usize) -> Result<()> {
    if view.shape() == [tokens] {
        return Ok(());
    }
    let what = format!(
        "has shape {:?}, but the tokenizer has {tokens} tokens",
        view.shape()
    );
    Err(file.tensor_error(name, what))
}

fn read_weights(file: &TensorFile, view: &TensorView<'_>, tokens: usize) -> Result<Vec<f32>> {
    check_length(file, "weights", view, tokens)?;
    file.finite_f32("weights", view)
}

fn read_mapping(
    file: &TensorFile,
    view: &TensorView<'_>,
    tokens: usize,
    rows: usize,
) -> Result<Vec<u32>> {
    check_length(file, "mapping", view, tokens)?;
    let data = view.data();
    let indices: Vec<i64> = match view.dtype() {
        Dtype::I64 => values(data, i64::from_le_bytes).collect(),
        Dtype::I32 => values(data, i32::from_le_bytes).map(i64::from).collect(),
        Dtype::U32 => values(data, u32::from_le_bytes).map(i64::from).collect(),
        Dtype::U16 => values(data, u16::from_le_bytes).map(i64::from).collect(),
        other => {
            return Err(file.tensor_error(
                "mapping",
                format!("has type {other:?}; expected I64 or I32"),
            ));
        }
    };
    let index = |(token, &index): (usize, &i64)| {
        u32::try_from(index)
            .ok()
            .filter(|&index| (index as usize) < rows)
            .ok_or_else(|| {
                file.tensor_error(
                    "mapping",
                    format!("sends token {token} to row {index}, but there are {rows} rows"),
                )
            })
    };
    indices.iter().enumerate().map(index).collect()
}

/// What the folder says about its origin: our own note in `config.json`, else the model card.
fn provenance(config: &Value, folder: &Path, name: &str) -> Provenance {
    let card = front_matter(&folder.join("README.md"));
    let noted = |field: &str| {
        config
            .pointer(&format!("/flashvec/{field}"))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let carded = |field: &str| card.get(field).cloned();
    let tokenizer_name = || {
        config
            .get("tokenizer_name")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Provenance {
        teacher: noted("teacher")
            .or_else(|| carded("base_model"))
            .or_else(tokenizer_name)
            .unwrap_or_else(|| name.to_owned()),
        teacher_sha256: noted("teacher_sha256").unwrap_or_default(),
        licence: noted("licence")
            .or_else(|| carded("license"))
            .unwrap_or_default(),
    }
}
