//! What training keeps on disk after each epoch, to go on from if it is stopped.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::table::Table;
use super::training::Epoch;
use crate::files::write_file_again;
use crate::tensors::TensorFile;
use crate::{Error, Result};

const STATE: &str = "state";
const BEST_ROWS: &str = "best_rows";
/// The entries of the file's metadata.
const MADE_OF: &str = "made_of";
const STEPS: &str = "steps";
const SINCE_BEST: &str = "since_best";
/// As bits, so that not one is lost.
const BEST: &str = "best_bits";
/// Two values an epoch: loss and score of held-out texts.
const HISTORY: &str = "history";

/// Training after some epochs.
#[derive(Debug, PartialEq)]
pub(super) struct Progressed {
    /// The epochs that are done.
    pub(super) history: Vec<Epoch>,
    pub(super) since_best: usize,
    pub(super) best: f32,
    pub(super) best_rows: Vec<f32>,
    pub(super) table: Table,
}

/// Where training of one corpus, teacher and set of options is kept.
pub(super) struct Checkpoint {
    path: PathBuf,
    made_of: String,
}

impl Checkpoint {
    /// In a folder; `made_of` says by hash what is trained on what and how.
    pub(super) fn new(folder: &Path, made_of: &str) -> Self {
        let short: String = made_of.chars().take(16).collect();
        Self {
            path: folder.join(format!("training-{short}.safetensors")),
            made_of: made_of.to_owned(),
        }
    }

    /// What was kept; nothing if there is none, or none that can be used: training begins again then.
    pub(super) fn read(&self, values: usize, dims: usize) -> Option<Progressed> {
        let file = TensorFile::open(&self.path).ok()?;
        if file.metadata(MADE_OF)? != self.made_of {
            return None;
        }
        let tensors = file.tensors().ok()?;
        let read = |name: &str, count: usize| {
            let view = tensors.tensor(name).ok()?;
            let values = file.finite_f32(name, &view).ok()?;
            (values.len() == count).then_some(values)
        };
        let number = |name: &str| file.metadata(name)?.parse::<u32>().ok();
        let history = tensors.tensor(HISTORY).ok()?;
        let history = file.finite_f32(HISTORY, &history).ok()?;
        let epochs = history.as_chunks().0.iter();
        Some(Progressed {
            history: epochs
                .map(|&[loss, held_out]| Epoch { loss, held_out })
                .collect(),
            since_best: number(SINCE_BEST)? as usize,
            best: f32::from_bits(number(BEST)?),
            best_rows: read(BEST_ROWS, values)?,
            table: Table {
                state: read(STATE, 3 * values)?,
                dims,
                steps: number(STEPS)?.try_into().ok()?,
            },
        })
    }

    /// # Errors
    /// [`Error::File`], [`Error::Io`].
    pub(super) fn write(&self, now: &Progressed) -> Result<()> {
        let failed = |error: safetensors::SafeTensorError| Error::Model {
            what: error.to_string(),
        };
        let state = bytes(&now.table.state);
        let best_rows = bytes(&now.best_rows);
        let epochs = now.history.iter();
        let history: Vec<f32> = epochs
            .flat_map(|epoch| [epoch.loss, epoch.held_out])
            .collect();
        let history_bytes = bytes(&history);
        let view = |values: &[f32], bytes| TensorView::new(Dtype::F32, vec![values.len()], bytes);
        let tensors = [
            (STATE, view(&now.table.state, &state).map_err(failed)?),
            (BEST_ROWS, view(&now.best_rows, &best_rows).map_err(failed)?),
            (HISTORY, view(&history, &history_bytes).map_err(failed)?),
        ];
        let metadata: HashMap<String, String> = [
            (MADE_OF, self.made_of.clone()),
            (STEPS, now.table.steps.to_string()),
            (SINCE_BEST, now.since_best.to_string()),
            (BEST, now.best.to_bits().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let file = safetensors::serialize(tensors, Some(metadata)).map_err(failed)?;
        write_file_again(&self.path, &file)
    }

    /// Training is done. A file that cannot be removed does no harm.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}
