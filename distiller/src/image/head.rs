//! Heads of classifiers, as a section of an image or a file of their own.

use std::collections::HashSet;

use flashvec::Task;
use flashvec::head_layout::{
    HeadHeader, MAGIC, MAX_HIDDEN, MAX_LABELS, MAX_PARAMETER, PRELUDE_LEN, VERSION,
};
use flashvec::image::{CRC_OFFSET, crc32};

use crate::error::{Error, Result};

/// A layer: output *o* is the sum of weight × input, times `scales[o]`, plus `biases[o]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Output by output, an integer for each input.
    pub weights: Vec<i8>,
    /// One an output, 0 to a million.
    pub scales: Vec<f32>,
    /// One an output, of a magnitude of at most a million.
    pub biases: Vec<f32>,
}

impl Layer {
    /// A layer of floats, each output's weights rounded to its own scale. `weights` are output by output, `inputs` each,
    /// at least one; `biases` one an output.
    pub fn from_floats(weights: &[f32], inputs: usize, biases: &[f32]) -> Self {
        let (mut integers, mut scales) = (Vec::with_capacity(weights.len()), Vec::new());
        for of_output in weights.chunks_exact(inputs) {
            let largest = of_output.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
            let step = largest / 127.0;
            scales.push(step);
            let integer = |w: &f32| {
                if step > 0.0 {
                    (w / step).round() as i8
                } else {
                    0
                }
            };
            integers.extend(of_output.iter().map(integer));
        }
        Self {
            weights: integers,
            scales,
            biases: biases.to_vec(),
        }
    }

    /// The weights as floats, output by output.
    pub fn to_floats(&self) -> Vec<f32> {
        let inputs = self.weights.len().checked_div(self.scales.len());
        let rows = self.weights.chunks_exact(inputs.unwrap_or(0).max(1));
        rows.zip(&self.scales)
            .flat_map(|(row, scale)| row.iter().map(move |&w| f32::from(w) * scale))
            .collect()
    }
}

/// A head.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadParts {
    /// What the scores are.
    pub task: Task,
    /// Distinct, not empty, at most 255 bytes each, without control characters.
    pub labels: Vec<String>,
    /// One, or a hidden one before the one whose outputs are labels.
    pub layers: Vec<Layer>,
    /// The scope score below which a text has none of the labels; only with [`Task::Softmax`].
    pub out_of_scope: Option<f32>,
}

impl HeadParts {
    /// The section's bytes, for embeddings of `inputs` dimensions.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] for what a section cannot hold.
    pub fn section(&self, inputs: usize) -> Result<Vec<u8>> {
        let wrong = |what: String| Error::Model {
            what: format!("a classifier's head: {what}"),
        };
        if self.labels.is_empty() || self.labels.len() > usize::from(MAX_LABELS) {
            return Err(wrong(format!(
                "{} labels; there are 1 to {MAX_LABELS}",
                self.labels.len()
            )));
        }
        let mut known = HashSet::new();
        for label in &self.labels {
            if label.is_empty() || label.len() > 255 || label.chars().any(char::is_control) {
                return Err(wrong(format!(
                    "label {label:?}; labels have 1 to 255 bytes and no control characters"
                )));
            }
            if !known.insert(label) {
                return Err(wrong(format!("label {label:?} is there twice")));
            }
        }
        if let Some(least) = self.out_of_scope
            && (self.task != Task::Softmax || !least.is_finite())
        {
            return Err(wrong(format!(
                "out of scope below {least}; that is a number, for one label a text only"
            )));
        }
        let hidden = match self.layers.as_slice() {
            [_] => 0,
            [hidden, _] if (1..=usize::from(MAX_HIDDEN)).contains(&hidden.scales.len()) => {
                hidden.scales.len()
            }
            _ => {
                return Err(wrong(format!(
                    "{} layers; there is one, or a hidden one of at most {MAX_HIDDEN} outputs before it",
                    self.layers.len()
                )));
            }
        };
        let header = HeadHeader {
            task: self.task,
            labels: self.labels.len() as u16,
            inputs: u16::try_from(inputs).map_err(|_| wrong(format!("{inputs} inputs")))?,
            hidden: hidden as u16,
            out_of_scope: self.out_of_scope,
        };
        let mut section = postcard::to_allocvec(&header).map_err(|e| wrong(e.to_string()))?;
        for label in &self.labels {
            section.push(label.len() as u8);
            section.extend(label.as_bytes());
        }
        let mut layer_inputs = inputs;
        for (at, layer) in self.layers.iter().enumerate() {
            let last = at + 1 == self.layers.len();
            let outputs = if last { self.labels.len() } else { hidden };
            if layer.scales.len() != outputs
                || layer.biases.len() != outputs
                || layer.weights.len() != layer_inputs * outputs
            {
                return Err(wrong(format!(
                    "layer {at} has {} weights, {} scales and {} biases for {layer_inputs} inputs and {outputs} outputs",
                    layer.weights.len(),
                    layer.scales.len(),
                    layer.biases.len()
                )));
            }
            let sound = layer
                .scales
                .iter()
                .all(|s| (0.0..=MAX_PARAMETER).contains(s))
                && layer.biases.iter().all(|b| b.abs() <= MAX_PARAMETER);
            if !sound {
                return Err(wrong(format!(
                    "layer {at} has a scale that is not 0 to {MAX_PARAMETER}, or a bias beyond that"
                )));
            }
            // A zero has no sign.
            section.extend(layer.scales.iter().flat_map(|s| (s + 0.0).to_le_bytes()));
            section.extend(layer.biases.iter().flat_map(|b| b.to_le_bytes()));
            section.extend(layer.weights.iter().map(|&w| w as u8));
            layer_inputs = outputs;
        }
        Ok(section)
    }

    /// A head file, to be used beside the image `base`. It is read back before it is returned.
    ///
    /// # Errors
    ///
    /// Those of [`section`](Self::section); [`Error::Image`] if `base` is no image, or one of float rows.
    pub fn file(&self, base: &[u8]) -> Result<Vec<u8>> {
        let image_error = |path: &'static str| {
            move |source| Error::Image {
                path: path.into(),
                source,
            }
        };
        let model =
            flashvec::Model::from_bytes(base).map_err(image_error("the head's base image"))?;
        let section = self.section(model.dims())?;
        let mut file = vec![0; PRELUDE_LEN];
        file[..4].copy_from_slice(&MAGIC);
        file[4..6].copy_from_slice(&VERSION.to_le_bytes());
        file[8..12].copy_from_slice(&((PRELUDE_LEN + section.len()) as u32).to_le_bytes());
        file[12..16].copy_from_slice(&base[CRC_OFFSET..CRC_OFFSET + 4]);
        file[16..20].copy_from_slice(&crc32(&section).to_le_bytes());
        file.extend(section);
        flashvec::Head::from_bytes(&file, &model)
            .map_err(image_error("the head file just made"))?;
        Ok(file)
    }
}
