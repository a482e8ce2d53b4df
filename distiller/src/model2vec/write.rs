//! Writing a Model2Vec folder.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::read::token_count;
use super::{RowType, card, head};
use crate::files::{publish, read_json, temporary_beside};
use crate::image::HeadParts;
use crate::{Error, Result, Rows, StaticModel};

/// Files of a Model2Vec folder. A folder that holds anything else is not replaced.
const FILES: [&str; 6] = [
    "README.md",
    "config.json",
    head::FILE,
    "model.safetensors",
    "modules.json",
    "tokenizer.json",
];

/// The sequence length that Model2Vec writes for a model without one.
const UNLIMITED: u32 = 1_000_000;

/// Writes `model` as a folder that Python's `StaticModel.from_pretrained` loads, rows stored as `row_type`.
///
/// The folder is made beside `folder` and moved into place whole. What was there before is replaced
/// only if it was empty or a Model2Vec folder, and untouched on any error.
///
/// # Errors
/// [`Error::WontReplace`] if something else is at `folder`; [`Error::Model`] if the model's parts do not
/// fit each other or its rows `row_type`; [`Error::Io`].
pub fn write(model: &StaticModel, folder: &Path, row_type: RowType) -> Result<()> {
    write_pipeline(model, None, folder, row_type)
}

/// Writes `model` as [`write`](fn@write) does, with a head if there is one: a folder that Python's
/// `StaticModelPipeline.from_pretrained` loads. Labels are strings; Python takes no notice of
/// [`out_of_scope`](HeadParts::out_of_scope), which [`read_pipeline`](super::read_pipeline) finds again.
///
/// # Errors
/// Those of [`write`](fn@write); [`Error::Model`] for a head that does not fit the model, or one over rows that lose their
/// scale as `row_type`.
pub fn write_pipeline(
    model: &StaticModel,
    head: Option<&HeadParts>,
    folder: &Path,
    row_type: RowType,
) -> Result<()> {
    check_target(folder)?;
    check_model(model)?;
    if let Some(head) = head {
        // Checks all that an image would.
        head.section(model.dims)?;
        let scaled =
            model.normalize || row_type != RowType::I8 || model.rows.row_type() == row_type;
        if !scaled {
            let what = "a head over embeddings that are not normalised needs the rows' scale, which a Model2Vec folder has \
                        no place for with int8; store the rows as f32 or f16";
            return Err(Error::Model {
                what: what.to_owned(),
            });
        }
    }
    let work = temporary_beside(folder)?;
    let made = work.path().join("model");
    fs::create_dir(&made).map_err(Error::io(&made))?;
    let put = |name: &str, bytes: &[u8]| {
        let path = made.join(name);
        fs::write(&path, bytes).map_err(Error::io(path))
    };
    put("model.safetensors", &tensors(model, row_type)?)?;
    put("tokenizer.json", model.tokenizer.to_string().as_bytes())?;
    let mut config = config(model, row_type);
    if let Some(parts) = head {
        put(head::FILE, &serialize(&head::tensors(parts))?)?;
        config["head_config"] = head::config(parts);
    }
    put("config.json", format!("{config:#}\n").as_bytes())?;
    put("modules.json", format!("{:#}\n", modules(model)).as_bytes())?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    put("README.md", card::model_card(model, head, &name).as_bytes())?;
    publish(&made, folder)
}

/// Whether [`write`](fn@write) may put a model at `folder`: nothing is there, or an empty folder, or a Model2Vec
/// folder with no other files in it. Worth asking before a long distillation.
///
/// # Errors
/// [`Error::WontReplace`] says what is there; [`Error::Io`].
pub fn check_target(folder: &Path) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::WontReplace {
            path: folder.to_owned(),
            what,
        })
    };
    // Made and removed again: the surest way to know that a folder can be made there.
    temporary_beside(folder)?;
    if !folder.exists() && !folder.is_symlink() {
        return Ok(());
    }
    if folder.is_symlink() || !folder.is_dir() {
        return refuse("there is a file or link of this name".to_owned());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        names.push(entry.map_err(Error::io(folder))?.file_name());
    }
    if names.is_empty() {
        return Ok(());
    }
    if let Some(other) = names
        .iter()
        .find(|name| FILES.iter().all(|file| name != file))
    {
        return refuse(format!(
            "it holds {}, which is no part of a Model2Vec folder",
            other.to_string_lossy()
        ));
    }
    let model_type = read_json(&folder.join("config.json")).ok();
    let model_type = model_type
        .as_ref()
        .and_then(|config| config.get("model_type")?.as_str());
    if model_type != Some("model2vec") {
        return refuse("it is not a Model2Vec folder".to_owned());
    }
    Ok(())
}

fn check_model(model: &StaticModel) -> Result<()> {
    let (rows, tokens) = (model.row_count(), model.token_count());
    let values = match &model.rows {
        Rows::F32(values) => values.len(),
        Rows::F16(values) => values.len(),
        Rows::I8(values) => values.len(),
    };
    let known = token_count(&model.tokenizer).map_err(|what| Error::Tokenizer { what })?;
    let what = if rows == 0 || rows * model.dims != values {
        format!(
            "{values} values are not whole rows of {} dimensions",
            model.dims
        )
    } else if model
        .weights
        .as_ref()
        .is_some_and(|weights| weights.len() != tokens)
    {
        format!("there is not one weight for each of {tokens} tokens")
    } else if known != tokens {
        format!("the tokenizer has {known} tokens, the table {tokens}")
    } else if model
        .mapping
        .iter()
        .flatten()
        .any(|&row| row as usize >= rows)
    {
        format!("the mapping leads beyond the last of {rows} rows")
    } else {
        return Ok(());
    };
    Err(Error::Model { what })
}

fn tensors(model: &StaticModel, row_type: RowType) -> Result<Vec<u8>> {
    let rows: Cow<'_, Rows> = if model.rows.row_type() == row_type {
        Cow::Borrowed(&model.rows)
    } else {
        Cow::Owned(model.rows.convert(row_type)?)
    };
    let (dtype, bytes): (_, Vec<u8>) = match rows.as_ref() {
        Rows::F32(values) => (
            Dtype::F32,
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
        Rows::F16(values) => (
            Dtype::F16,
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
        Rows::I8(values) => (
            Dtype::I8,
            values.iter().map(|value| value.cast_unsigned()).collect(),
        ),
    };
    let mut parts = vec![(
        "embeddings",
        dtype,
        vec![model.row_count(), model.dims],
        bytes,
    )];
    if let Some(weights) = &model.weights {
        let bytes = weights
            .iter()
            .flat_map(|weight| weight.to_le_bytes())
            .collect();
        parts.push(("weights", Dtype::F32, vec![weights.len()], bytes));
    }
    if let Some(mapping) = &model.mapping {
        // Signed, as Python's clustering writes it.
        let bytes = mapping
            .iter()
            .flat_map(|&row| i64::from(row).to_le_bytes())
            .collect();
        parts.push(("mapping", Dtype::I64, vec![mapping.len()], bytes));
    }
    serialize(&parts)
}

/// A tensor: name, type, shape, bytes.
pub(super) type Part<S> = (S, Dtype, Vec<usize>, Vec<u8>);

fn serialize<S: AsRef<str> + Ord + std::fmt::Display>(parts: &[Part<S>]) -> Result<Vec<u8>> {
    let failed = |e: safetensors::SafeTensorError| Error::Model {
        what: e.to_string(),
    };
    let views = parts.iter().map(|(name, dtype, shape, bytes)| {
        TensorView::new(*dtype, shape.clone(), bytes)
            .map(|view| (name, view))
            .map_err(failed)
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    safetensors::serialize(views, None).map_err(failed)
}

fn config(model: &StaticModel, row_type: RowType) -> Value {
    let mut config = json!({
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": model.provenance.teacher,
        "hidden_dim": model.dims,
        "seq_length": UNLIMITED,
        "normalize": model.normalize,
        "max_length": model.max_length,
        "embedding_dtype": row_type.name(),
        "flashvec": {
            "teacher": model.provenance.teacher,
            "teacher_sha256": model.provenance.teacher_sha256,
            "licence": model.provenance.licence,
        },
    });
    if model.mapping.is_some() {
        config["vocabulary_quantization"] = Value::from(model.row_count());
    }
    config
}

fn modules(model: &StaticModel) -> Value {
    let module = |index: usize, path: &str, class: &str| {
        json!({
            "idx": index,
            "name": index.to_string(),
            "path": path,
            "type": format!("sentence_transformers.models.{class}"),
        })
    };
    let mut modules = vec![module(0, ".", "StaticEmbedding")];
    if model.normalize {
        modules.push(module(1, "1_Normalize", "Normalize"));
    }
    Value::from(modules)
}
