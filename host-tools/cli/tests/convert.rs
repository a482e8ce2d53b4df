//! `flashvec convert` of classifiers: folders that Python saved, images, head files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A scratch folder with copies of committed files.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (file, name) in [
            ("tests/data/tiny-v3-int8.fvec", "base.fvec"),
            ("tests/data/tiny-v3-int4.fvec", "other.fvec"),
            ("tests/data/tiny-head1-int8.fvhead", "head.fvhead"),
            ("tests/data/tiny-v4-classifier0.fvec", "ngrams.fvec"),
        ] {
            fs::copy(root.join(file), sandbox.path(name)).unwrap();
        }
        let saved = root.join("distiller/tests/data/pipelines/softmax");
        fs::create_dir(sandbox.path("saved")).unwrap();
        for file in [
            "config.json",
            "head.safetensors",
            "model.safetensors",
            "tokenizer.json",
        ] {
            fs::copy(saved.join(file), sandbox.path("saved").join(file)).unwrap();
        }
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashvec"));
        let output = command
            .args(args)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), stderr)
    }

    /// What a command that succeeds says.
    fn success(&self, args: &[&str]) -> String {
        let (ok, stderr) = self.run(args);
        assert!(ok, "{args:?}: {stderr}");
        stderr
    }

    /// The one line of a command that fails.
    fn failure(&self, args: &[&str]) -> String {
        let (ok, stderr) = self.run(args);
        assert!(!ok, "{args:?} succeeded");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        stderr
    }
}

#[test]
fn a_classifier_becomes_an_image_and_goes_back() {
    let sandbox = Sandbox::new();
    let said = sandbox.success(&["convert", "saved", "-o", "c.fvec"]);
    assert!(said.contains("4 labels"), "{said}");
    let image = fs::read(sandbox.path("c.fvec")).unwrap();
    assert_eq!(image[4], 4, "the format of classifiers");
    sandbox.success(&["verify", "c.fvec"]);
    sandbox.success(&["convert", "c.fvec", "-o", "back"]);
    let config = fs::read(sandbox.path("back/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["head_config"]["activation"], "softmax");
    assert_eq!(config["head_config"]["classes"][2], "musique, ça");
    assert!(sandbox.path("back/head.safetensors").is_file());
    let said = sandbox.success(&["convert", "back", "--codec", "int4", "-o", "again.fvec"]);
    assert!(said.contains("4 labels"), "{said}");
}

#[test]
fn a_head_file_goes_along_with_its_base() {
    let sandbox = Sandbox::new();
    let convert = |input: &'static str| ["convert", input, "--head", "head.fvhead", "-o", "folder"];
    let said = sandbox.success(&convert("base.fvec"));
    assert!(said.contains("labels"), "{said}");
    assert!(sandbox.path("folder/head.safetensors").is_file());
    let said = sandbox.failure(&convert("other.fvec"));
    assert!(said.contains("head.fvhead"), "{said}");
    let said = sandbox.failure(&convert("saved"));
    assert!(said.contains("--head"), "{said}");
}

#[test]
fn what_no_conversion_can_keep_is_refused() {
    let sandbox = Sandbox::new();
    let said = sandbox.failure(&["convert", "ngrams.fvec", "-o", "folder"]);
    assert!(said.contains("n-grams"), "{said}");
    let said = sandbox.failure(&["convert", "saved", "--flash", "8K", "-o", "c.fvec"]);
    assert!(said.contains("flashvec train"), "{said}");
    let said = sandbox.failure(&["convert", "saved", "--codec", "f32", "-o", "c.fvec"]);
    assert!(said.contains("head"), "{said}");
    assert!(!sandbox.path("folder").exists() && !sandbox.path("c.fvec").exists());
}
