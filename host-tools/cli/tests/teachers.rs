//! What runs a teacher, where, and what it sees before every text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../distiller/tests/data")
        .join(name)
}

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flashvec"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The rows that the tiny teacher is distilled to, as bytes.
fn distilled(folder: &Path, args: &[&str]) -> Vec<u8> {
    let teacher = data("tiny-bert");
    let common = [
        "distill",
        teacher.to_str().unwrap(),
        "-o",
        "out",
        "--dims",
        "8",
        "--codec",
        "f32",
    ];
    let output = run(folder, &[&common, args].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    let rows = fs::read(folder.join("out/model.safetensors")).unwrap();
    fs::remove_dir_all(folder.join("out")).unwrap();
    rows
}

/// The one line that a failing distillation prints.
fn failure(folder: &Path, teacher: &Path, args: &[&str]) -> String {
    let common = ["distill", teacher.to_str().unwrap(), "-o", "out"];
    let output = run(folder, &[&common, args].concat());
    assert!(!output.status.success(), "{args:?} succeeded");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    assert!(!folder.join("out").exists(), "{args:?}");
    stderr
}

#[test]
fn a_prompt_goes_before_every_entry() {
    let sandbox = tempfile::tempdir().unwrap();
    let plain = distilled(sandbox.path(), &[]);
    assert_eq!(
        plain,
        distilled(sandbox.path(), &["--backend", "candle", "--device", "cpu"])
    );
    assert_ne!(plain, distilled(sandbox.path(), &["--prompt", "bad cab: "]));
    let message = failure(sandbox.path(), &data("tiny-bert"), &["--prompt", " "]);
    assert!(
        message.contains("prompt") && message.contains("no tokens"),
        "{message}"
    );
}

#[test]
fn features_made_with_another_prompt_are_refused() {
    let sandbox = tempfile::tempdir().unwrap();
    fs::write(sandbox.path().join("corpus.txt"), "bad\ncab dab\n").unwrap();
    let teacher = data("tiny-bert");
    let make = |args: &[&str]| {
        let common = [
            "pretrain",
            teacher.to_str().unwrap(),
            "--corpus",
            "corpus.txt",
            "--max-tokens",
            "12",
            "--features",
            "features",
            "--shard",
            "1/1",
        ];
        run(sandbox.path(), &[&common, args].concat())
    };
    assert!(make(&[]).status.success());
    let other = make(&["--prompt", "bad: "]);
    let stderr = String::from_utf8(other.stderr).unwrap();
    assert!(
        !other.status.success() && stderr.contains("other settings"),
        "{stderr}"
    );
    // The prompt is part of what the teacher reads.
    let short = make(&["--prompt", "a a a a a a a a a"]);
    let stderr = String::from_utf8(short.stderr).unwrap();
    assert!(
        !short.status.success() && stderr.contains("takes 13 to 32"),
        "{stderr}"
    );
}

#[test]
fn a_gpu_is_asked_of_libtorch() {
    let sandbox = tempfile::tempdir().unwrap();
    let message = failure(
        sandbox.path(),
        &data("tiny-bert"),
        &["--backend", "candle", "--device", "cuda:1"],
    );
    assert!(message.contains("libtorch"), "{message}");
}

/// A teacher that is none of the families.
fn script() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("teachers/torchscript/encoder.pt", "encoder.pt"),
        ("teachers/torchscript/config.json", "config.json"),
        ("tiny-bert/tokenizer.json", "tokenizer.json"),
    ] {
        fs::copy(data(from), folder.path().join(to)).unwrap();
    }
    folder
}

#[cfg(not(feature = "libtorch"))]
#[test]
fn without_libtorch_it_says_what_to_install() {
    let sandbox = tempfile::tempdir().unwrap();
    let script = script();
    let file = script.path().join("encoder.pt");
    for (teacher, args) in [
        (data("tiny-bert").as_path(), &["--backend", "libtorch"][..]),
        (data("tiny-bert").as_path(), &["--device", "cuda"]),
        (script.path(), &[]),
        (&file, &[]),
    ] {
        let message = failure(sandbox.path(), teacher, args);
        let says = ["pip install torch==2.11.0", "--features libtorch"];
        assert!(says.iter().all(|what| message.contains(what)), "{message}");
    }
}

#[cfg(feature = "libtorch")]
#[test]
fn libtorch_distils_encoders_and_torchscript() {
    let sandbox = tempfile::tempdir().unwrap();
    distilled(sandbox.path(), &["--backend", "libtorch"]);
    let script = script();
    for teacher in [script.path(), &script.path().join("encoder.pt")] {
        let common = [
            "distill",
            teacher.to_str().unwrap(),
            "--dims",
            "8",
            "-o",
            "out.fvec",
        ];
        let output = run(sandbox.path(), &common);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        fs::remove_file(sandbox.path().join("out.fvec")).unwrap();
    }
    let message = failure(sandbox.path(), script.path(), &["--backend", "candle"]);
    assert!(message.contains("libtorch"), "{message}");
}
