//! What builds without a distiller say of what they lack.
#![cfg(not(feature = "distiller"))]

use std::fs;
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flashvec"))
        .args(args)
        .output()
        .unwrap()
}

/// The one line that a failing command prints.
fn failure(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    stderr
}

#[test]
fn commands_of_the_distiller_are_named() {
    for args in [
        &["distill", "org/name", "-o", "x.fvec"][..],
        &["convert", "folder", "-o", "x.fvec"],
        &["pretrain"],
        &["train", "--data", "train.tsv"],
        &["eval", "--help"],
    ] {
        let message = failure(args);
        assert!(
            message.contains(args[0]) && message.contains("no distiller"),
            "{message}"
        );
    }
    // What no build has is a mistake like any other.
    let output = run(&["destill"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("unrecognized") && !stderr.contains("no distiller"),
        "{stderr}"
    );

    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(
        help.contains("classify") && !help.contains("distill "),
        "{help}"
    );
}

#[test]
fn folders_are_no_models() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_str().unwrap();
    for command in ["classify", "encode", "tokenize", "inspect"] {
        let message = failure(&[command, name]);
        assert!(
            message.contains(name) && message.contains("no distiller"),
            "{message}"
        );
    }
}

#[cfg(not(feature = "arrow"))]
#[test]
fn arrow_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.arrow");
    let image = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/tiny-v3-int8.fvec"
    );
    let message = failure(&["encode", image, "-o", output.to_str().unwrap()]);
    assert!(message.contains("Arrow"), "{message}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[cfg(feature = "manual")]
#[test]
fn the_manual_has_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["manual", folder.path().to_str().unwrap()]);
    assert!(output.status.success());
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for command in [
        "bench", "classify", "encode", "inspect", "tokenize", "verify",
    ] {
        assert!(page(&format!("man/flashvec-{command}.1")).contains(".TH"));
        for completions in ["bash/flashvec.bash", "fish/flashvec.fish", "zsh/_flashvec"] {
            assert!(page(completions).contains(command), "{completions}");
        }
    }
    assert!(page("man/flashvec.1").contains("classify"));
    assert!(!page("man/flashvec.1").contains("manual"));
    assert!(!page("bash/flashvec.bash").contains("manual"));
}
