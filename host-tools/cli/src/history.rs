//! The file in which `flashvec pretrain` keeps how training went and from which `flashvec report` draws it.

use std::path::Path;

use flashvec_distiller::pretrain::Epoch;
use flashvec_support::files::write_file;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// As JSON, an object with an array `epochs`, of objects with `loss` and `held_out`.
#[derive(Serialize, Deserialize)]
pub struct History {
    /// At least one.
    pub epochs: Vec<EpochScores>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct EpochScores {
    /// As in [`Epoch`].
    pub loss: f64,
    /// The mean cosine of texts held out.
    pub held_out: f64,
}

/// What goes beyond this is no loss and no cosine, and would leave a plot without digits to tell values apart.
const LARGEST: f64 = 1e6;

impl History {
    /// # Errors
    /// [`Error::Io`]; [`Error::Arguments`] for anything but a history of one epoch or more.
    pub fn read(path: &Path) -> Result<Self> {
        let refuse = |what: String| {
            Error::Arguments(format!(
                "{}: {what}; give a file that `flashvec pretrain --history` wrote",
                path.display()
            ))
        };
        let text = std::fs::read(path).map_err(Error::io(path))?;
        let history: Self =
            serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
        if history.epochs.is_empty() {
            return Err(refuse("there are no epochs".to_owned()));
        }
        for (epoch, scores) in (1..).zip(&history.epochs) {
            for (name, value) in [("loss", scores.loss), ("held_out", scores.held_out)] {
                if value.abs() > LARGEST {
                    return Err(refuse(format!("epoch {epoch}: {name} cannot be {value:e}")));
                }
            }
        }
        Ok(history)
    }
}

/// Writes a file that [`History::read`] reads.
///
/// # Errors
/// Those of [`write_file`].
pub fn write(path: &Path, epochs: &[Epoch]) -> Result<()> {
    let epochs = epochs.iter().map(|epoch| EpochScores {
        loss: f64::from(epoch.loss),
        held_out: f64::from(epoch.held_out),
    });
    let history = serde_json::json!(History {
        epochs: epochs.collect()
    });
    Ok(write_file(path, format!("{history:#}\n").as_bytes())?)
}
