//! TorchScript files, as [`LibtorchTeacher`](super::LibtorchTeacher) describes them.

use std::path::Path;

use serde_json::Value;
use tch::{CModule, Device, IValue, TchError, Tensor};

use super::batch::{Batch, Run, together};
use super::{Sizes, forward_error};
use crate::files::read_json;
use crate::{Error, Result};

/// A TorchScript module on a device.
pub(super) struct Script {
    module: CModule,
    takes_mask: bool,
}

impl Script {
    /// Loads the module at `path`. Its sizes are in `config.json` in `folder`: `hidden_size`, `vocab_size` and
    /// `max_position_embeddings` (512 if it is not there).
    pub fn load(path: &Path, folder: &Path, device: Device) -> Result<(Self, Sizes)> {
        let sizes = Sizes::read(&folder.join("config.json"))?;
        let mut module = CModule::load_on_device(path, device).map_err(|error| Error::Config {
            path: path.to_owned(),
            what: match forward_error(error) {
                Error::Forward { what } => format!("not a TorchScript file ({what})"),
                other => other.to_string(),
            },
        })?;
        module.f_set_eval().map_err(forward_error)?;
        let mut script = Self {
            module,
            takes_mask: true,
        };
        // Tried out at once: what does not fit is said now, not after the vocabulary was prepared.
        let probe = Batch::new(&[&[0, 0]], device).map_err(forward_error)?;
        let states = tch::no_grad(|| {
            script.forward(&probe).or_else(|with_mask| {
                script.takes_mask = false;
                script.forward(&probe).map_err(|_| with_mask)
            })
        });
        let shape = states.map_err(forward_error)?.size();
        if shape != [2, sizes.hidden_size as i64] {
            let what = format!(
                "hidden_size is {}, but the TorchScript file gives rows of {}",
                sizes.hidden_size,
                shape.last().copied().unwrap_or_default()
            );
            return Err(Error::Config {
                path: folder.join("config.json"),
                what,
            });
        }
        Ok((script, sizes))
    }

    /// Hidden states, one row a token.
    pub fn forward(&self, batch: &Batch) -> std::result::Result<Tensor, TchError> {
        let states = batch.runs.iter().map(|run| {
            let Run { count, length, .. } = *run;
            let ids = run.of(&batch.ids)?.f_reshape([count, length])?;
            let mut inputs = vec![];
            if self.takes_mask {
                inputs.push(IValue::Tensor(ids.f_ones_like()?));
            }
            inputs.insert(0, IValue::Tensor(ids));
            let states = hidden_states(self.module.forward_is(&inputs)?).ok_or_else(|| {
                TchError::Torch(
                    "the TorchScript file gives no tensor, tuple or dictionary of hidden states"
                        .to_owned(),
                )
            })?;
            states.f_reshape([count * length, -1])
        });
        together(states.collect::<std::result::Result<_, _>>()?)
    }
}

fn hidden_states(output: IValue) -> Option<Tensor> {
    match output {
        IValue::Tensor(states) => Some(states),
        IValue::Tuple(parts) => parts.into_iter().next().and_then(hidden_states),
        IValue::GenericDict(entries) => {
            let is_wanted =
                |key: &IValue| matches!(key, IValue::String(key) if key == "last_hidden_state");
            let wanted = entries.into_iter().find(|(key, _)| is_wanted(key));
            wanted.and_then(|(_, states)| hidden_states(states))
        }
        _ => None,
    }
}

impl Sizes {
    fn read(path: &Path) -> Result<Self> {
        let config = read_json(path)?;
        let size = |names: &[&str]| {
            let values = names.iter().filter_map(|name| config.get(name));
            let size = values.filter_map(Value::as_u64).next();
            size.and_then(|size| usize::try_from(size).ok())
                .filter(|&size| size > 0)
        };
        let needed = |names: &[&str]| {
            size(names).ok_or_else(|| Error::Config {
                path: path.to_owned(),
                what: format!("no {}, which a TorchScript teacher needs there", names[0]),
            })
        };
        Ok(Self {
            hidden_size: needed(&["hidden_size", "dim", "d_model"])?,
            vocab_size: needed(&["vocab_size"])?,
            max_positions: size(&["max_position_embeddings", "n_positions"]).unwrap_or(512),
        })
    }
}
