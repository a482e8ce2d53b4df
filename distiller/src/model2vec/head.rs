//! The head in a classifier's folder: `head.safetensors`, and `head_config` in the config.

use std::path::Path;

use flashvec::Task;
use safetensors::Dtype;
use serde_json::{Value, json};

use super::write::Part;
use crate::files::read_json;
use crate::image::{HeadParts, Layer};
use crate::tensors::TensorFile;
use crate::{Error, Result};

/// Where a head's weights lie.
pub(super) const FILE: &str = "head.safetensors";
/// Where they lay before Model2Vec 0.10.
pub(super) const OLD_FILE: &str = "pipeline.skops";

/// The head in a folder of a model of `dims` dimensions; `None` if there is none, or one that leaves embeddings as they are.
pub(super) fn read(folder: &Path, config_path: &Path, dims: usize) -> Result<Option<HeadParts>> {
    let wrong = |what: String| Error::Config {
        path: config_path.to_owned(),
        what,
    };
    let path = folder.join(FILE);
    let config = read_json(config_path)?;
    let config = config.get("head_config").filter(|config| !config.is_null());
    if !path.is_file() {
        return if config.is_some() {
            Err(Error::MissingFile {
                folder: folder.to_owned(),
                file: FILE,
                need: "its config has a head_config, so it is a classifier's; fetch the file as well",
            })
        } else if folder.join(OLD_FILE).is_file() {
            Err(Error::Config {
                path: folder.join(OLD_FILE),
                what: "a head of Model2Vec before 0.10; load the folder with Python's StaticModelPipeline of 0.10 and save it \
                       again"
                    .to_owned(),
            })
        } else {
            Ok(None)
        };
    }
    let config =
        config.ok_or_else(|| wrong(format!("no head_config, but there is {FILE} beside it")))?;
    let task = match config
        .get("activation")
        .map_or(Some("identity"), Value::as_str)
    {
        Some("softmax") => Task::Softmax,
        Some("sigmoid") => Task::Sigmoid,
        Some("identity") => Task::Regression,
        _ => {
            let what = "head_config.activation is neither softmax nor sigmoid nor identity";
            return Err(wrong(what.to_owned()));
        }
    };
    let count = config.get("n_layers").and_then(Value::as_u64);
    match count {
        Some(0) if task == Task::Regression => return Ok(None),
        Some(1 | 2) => {}
        Some(count) => {
            return Err(wrong(format!(
                "the head has {count} layers; an image holds one, or a hidden one before it: train with n_layers=0 or 1"
            )));
        }
        None => return Err(wrong("head_config.n_layers is no whole number".to_owned())),
    }
    let file = TensorFile::open(&path)?;
    let mut layers: Vec<Layer> = Vec::new();
    for number in 0..count.unwrap_or(0) {
        let inputs = layers.last().map_or(dims, |layer| layer.scales.len());
        layers.push(read_layer(&file, number, inputs)?);
    }
    let outputs = layers.last().map_or(0, |layer| layer.scales.len());
    let labels = labels(config.get("classes"), outputs).map_err(wrong)?;
    let least = config.get("out_of_scope").and_then(Value::as_f64);
    let head = HeadParts {
        task,
        labels,
        layers,
        out_of_scope: least.map(|least| least as f32),
    };
    head.section(dims)?;
    Ok(Some(head))
}

fn read_layer(file: &TensorFile, number: u64, inputs: usize) -> Result<Layer> {
    let tensors = file.tensors()?;
    let tensor = |what: &str| {
        let name = format!("head.{number}.{what}");
        match tensors.tensor(&name) {
            Ok(view) => Ok((view.shape().to_vec(), file.finite_f32(&name, &view)?)),
            Err(_) => Err(file.tensor_error(&name, "is missing")),
        }
    };
    let (shape, weights) = tensor("weight")?;
    let (bias_shape, biases) = tensor("bias")?;
    match shape[..] {
        [outputs, found] if found == inputs && outputs > 0 && bias_shape == [outputs] => {
            Ok(Layer::from_floats(&weights, inputs, &biases))
        }
        _ => Err(file.tensor_error(
            &format!("head.{number}.weight"),
            format!("has shape {shape:?}, its bias {bias_shape:?}; expected outputs × {inputs}, and outputs"),
        )),
    }
}

/// The names of a head's outputs.
fn labels(classes: Option<&Value>, outputs: usize) -> std::result::Result<Vec<String>, String> {
    let classes = match classes {
        None | Some(Value::Null) => return Ok((0..outputs).map(|n| n.to_string()).collect()),
        Some(classes) => classes.as_array().ok_or("head_config.classes is no list")?,
    };
    if classes.len() != outputs {
        return Err(format!(
            "head_config.classes names {} labels, but the head has {outputs} outputs",
            classes.len()
        ));
    }
    let name = |class: &Value| match class {
        Value::String(name) => Ok(name.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(class.to_string()),
        _ => Err(format!(
            "head_config.classes has {class}; a label is a string or a number"
        )),
    };
    classes.iter().map(name).collect()
}

/// A head's weights and biases in f32.
pub(super) fn tensors(head: &HeadParts) -> Vec<Part<String>> {
    let bytes = |values: &[f32]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let parts = head.layers.iter().enumerate().flat_map(|(number, layer)| {
        let outputs = layer.biases.len();
        let weights = layer.to_floats();
        let shape = vec![outputs, weights.len() / outputs.max(1)];
        [
            (
                format!("head.{number}.weight"),
                Dtype::F32,
                shape,
                bytes(&weights),
            ),
            (
                format!("head.{number}.bias"),
                Dtype::F32,
                vec![outputs],
                bytes(&layer.biases),
            ),
        ]
    });
    parts.collect()
}

/// `head_config`: Python's, and the scope score in an entry of its own, which goes when Python saves another head.
pub(super) fn config(head: &HeadParts) -> Value {
    let activation = match head.task {
        Task::Softmax => "softmax",
        Task::Sigmoid => "sigmoid",
        _ => "identity",
    };
    let mut config = json!({
        "n_layers": head.layers.len(),
        "activation": activation,
        "classes": head.labels,
    });
    if let Some(least) = head.out_of_scope {
        config["out_of_scope"] = Value::from(least);
    }
    config
}
