//! `flashvec pretrain` with a teacher of random weights: the same rows however the work is cut, stopped and resumed.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const WORDS: [&str; 12] = [
    "bad", "cab", "dab", "bead", "decade", "cede", "face", "a", "b", "aced", "ebb", "é",
];

/// A scratch folder with a corpus of two shards and a bit.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut below = |end: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % end
        };
        let mut corpus = String::new();
        for _ in 0..2100 {
            for _ in 0..=below(3) {
                write!(corpus, "{} ", WORDS[below(WORDS.len())]).unwrap();
            }
            corpus.push('\n');
        }
        fs::write(folder.path().join("corpus.txt"), corpus).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let teacher =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../distiller/tests/data/tiny-bert");
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashvec"));
        command.arg("pretrain").arg(teacher);
        let defaults = [
            ["--corpus", "corpus.txt"],
            ["--dims", "8"],
            ["--max-tokens", "12"],
            ["--epochs", "4"],
            ["--learning-rate", "0.05"],
        ];
        for default in defaults {
            if !args.contains(&default[0]) {
                command.args(default);
            }
        }
        command
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn success(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {stderr}");
        stderr
    }

    /// The one line that a failing command prints.
    fn failure(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?} succeeded");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        stderr
    }

    fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }
}

fn held_out(stderr: &str) -> Vec<f32> {
    let epochs = stderr.lines().filter(|line| line.starts_with("epoch "));
    epochs
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn training_brings_sentences_nearer_to_the_teachers_and_threads_change_nothing() {
    let sandbox = Sandbox::new();
    let stderr = sandbox.success(&["-o", "one.fvec", "--codec", "f32"]);
    let scores = held_out(&stderr);
    assert!(scores.last() > scores.first(), "{stderr}");
    let model = sandbox.path("one.fvec");
    let image = fs::read(&model).unwrap();
    flashvec::Model::from_bytes(&image).unwrap();
    fs::remove_file(model).unwrap();
    let alone = sandbox
        .command(&["-o", "one.fvec", "--codec", "f32"])
        .env("RAYON_NUM_THREADS", "1")
        .status()
        .unwrap();
    assert!(alone.success());
    // The command line is in the image, so it has the same name.
    assert!(fs::read(sandbox.path("one.fvec")).unwrap() == image);
    let other = sandbox.success(&["-o", "one.fvec", "--codec", "f32", "--seed", "1"]);
    assert_ne!(held_out(&other), scores);
}

#[test]
fn parts_make_the_same_features() {
    let sandbox = Sandbox::new();
    for part in ["3/3", "1/3", "2/3"] {
        sandbox.success(&["--features", "parts", "--shard", part]);
    }
    sandbox.success(&["--features", "whole", "--shard", "1/1"]);
    assert_eq!(sandbox.files("whole").len(), 3);
    assert!(sandbox.files("parts") == sandbox.files("whole"));
    sandbox.success(&["--features", "parts", "-o", "folder", "--codec", "f32"]);
    assert!(sandbox.path("folder/model.safetensors").is_file());
}

#[test]
fn features_lie_beside_an_output_folder_not_in_it() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        sandbox.success(&["-o", "folder/", "--codec", "f32", "--epochs", "1"]);
        assert!(sandbox.path("folder/model.safetensors").is_file());
        assert_eq!(sandbox.files("folder.features").len(), 3);
    }
}

/// Kills the command when the features folder has so many entries, of whatever name.
fn kill_at(sandbox: &Sandbox, child: &mut Child, entries: usize) {
    while child.try_wait().unwrap().is_none() {
        let found = fs::read_dir(sandbox.path("features")).map_or(0, Iterator::count);
        if found >= entries {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
    }
}

#[test]
fn what_was_killed_goes_on_to_the_same_rows() {
    let sandbox = Sandbox::new();
    let args = ["--features", "features", "-o", "out.fvec", "--codec", "f32"];
    sandbox.success(&args);
    let expected = fs::read(sandbox.path("out.fvec")).unwrap();
    fs::remove_dir_all(sandbox.path("features")).unwrap();
    fs::remove_file(sandbox.path("out.fvec")).unwrap();
    for entries in [0, 1, 2, 3, 4] {
        let mut child = sandbox.command(&args).spawn().unwrap();
        kill_at(&sandbox, &mut child, entries);
    }
    sandbox.success(&args);
    assert!(fs::read(sandbox.path("out.fvec")).unwrap() == expected);
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.success(&["--features", "features", "--shard", "1/1"]);
    let before = sandbox.files("features");
    let made_of_other = sandbox.failure(&[
        "--features",
        "features",
        "-o",
        "x.fvec",
        "--max-tokens",
        "10",
    ]);
    assert!(
        made_of_other.contains("features-000000.safetensors"),
        "{made_of_other}"
    );
    let too_long = sandbox.failure(&["-o", "x.fvec", "--max-tokens", "100000"]);
    assert!(too_long.contains("max-tokens"), "{too_long}");
    let too_wide = sandbox.failure(&["-o", "x.fvec", "--dims", "500"]);
    assert!(too_wide.contains("500 dimensions"), "{too_wide}");
    fs::write(sandbox.path("few.txt"), "bad cab\n".repeat(8)).unwrap();
    let too_few = sandbox.failure(&["--corpus", "few.txt", "-o", "x.fvec"]);
    assert!(too_few.contains("8 texts are too few"), "{too_few}");
    fs::write(sandbox.path("empty.txt"), "").unwrap();
    for (args, part) in [
        (["--corpus", "empty.txt", "-o", "x.fvec"], "no texts"),
        (["--corpus", "absent.txt", "-o", "x.fvec"], "absent.txt"),
        (["-o", "x.fvec", "--batch", "0"], "--batch"),
        (
            ["-o", "x.fvec", "--learning-rate", "nan"],
            "--learning-rate",
        ),
    ] {
        let stderr = sandbox.failure(&args);
        assert!(stderr.contains(part), "{stderr}");
    }
    assert!(!sandbox.path("x.fvec").exists());
    assert!(sandbox.files("features") == before);
}
