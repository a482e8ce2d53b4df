//! `flashvec pretrain` with a teacher of random weights: the same rows however the work is cut, stopped and resumed.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use tempfile::TempDir;

const WORDS: [&str; 12] = [
    "bad", "cab", "dab", "bead", "decade", "cede", "face", "a", "b", "aced", "ebb", "é",
];

/// Numbers that look random and are the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn new() -> Self {
        Self(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }
}

/// A scratch folder with a corpus of two shards and a bit; word lists make it three and a bit.
struct Sandbox(TempDir);

const SHARDS: usize = 4;

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut numbers = Numbers::new();
        let mut corpus = String::new();
        for _ in 0..2100 {
            for _ in 0..=numbers.below(3) {
                write!(corpus, "{} ", WORDS[numbers.below(WORDS.len())]).unwrap();
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
    assert_eq!(sandbox.files("whole").len(), SHARDS);
    assert!(sandbox.files("parts") == sandbox.files("whole"));
    sandbox.success(&["--features", "parts", "-o", "folder", "--codec", "f32"]);
    assert!(sandbox.path("folder/model.safetensors").is_file());
}

#[test]
fn a_history_is_what_report_draws() {
    let sandbox = Sandbox::new();
    let stderr = sandbox.success(&["-o", "one.fvec", "--history", "history.json"]);
    let history = fs::read(sandbox.path("history.json")).unwrap();
    let history: serde_json::Value = serde_json::from_slice(&history).unwrap();
    let cosines = history["epochs"].as_array().unwrap().iter();
    let cosines: Vec<f64> = cosines
        .map(|epoch| epoch["held_out"].as_f64().unwrap())
        .collect();
    let said = held_out(&stderr);
    assert_eq!(cosines.len(), said.len());
    for (cosine, said) in cosines.iter().zip(&said) {
        assert!((cosine - f64::from(*said)).abs() < 1e-4, "{cosine} {said}");
    }
    let mut report = Command::new(env!("CARGO_BIN_EXE_flashvec"));
    report.args("report one.fvec --history history.json -o report.html".split(' '));
    let output = report.current_dir(sandbox.0.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = fs::read_to_string(sandbox.path("report.html")).unwrap();
    let last = cosines.last().unwrap();
    assert!(page.contains(&format!("After epoch {}", cosines.len())));
    assert!(page.contains(&format!("cosine {last:.4}")), "{last}");
}

#[test]
fn features_lie_beside_an_output_folder_not_in_it() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        sandbox.success(&["-o", "folder/", "--codec", "f32", "--epochs", "1"]);
        assert!(sandbox.path("folder/model.safetensors").is_file());
        assert_eq!(sandbox.files("folder.features").len(), SHARDS);
    }
}

/// What there is in the features folder: how many shards, and when training was last kept.
fn seen(sandbox: &Sandbox) -> (usize, Option<SystemTime>) {
    let (mut shards, mut kept) = (0, None);
    for entry in fs::read_dir(sandbox.path("features")).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("features-") {
            shards += 1;
        } else if name.starts_with("training-") && name.ends_with(".safetensors") {
            kept = entry.metadata().and_then(|file| file.modified()).ok();
        }
    }
    (shards, kept)
}

/// Starts the command and kills it when there are so many shards, or `None` if training is to be kept anew, and it
/// has been looked at so many times after that.
fn kill_at(sandbox: &Sandbox, args: &[&str], shards: Option<usize>, looks: usize) {
    let before = seen(sandbox).1;
    let mut child = sandbox.command(args).spawn().unwrap();
    let mut looked = 0;
    while child.try_wait().unwrap().is_none() {
        let (found, kept) = seen(sandbox);
        if shards.map_or(kept.is_some() && kept != before, |shards| found >= shards) {
            looked += 1;
        }
        if looked > looks {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
    }
    panic!("it ended before it was killed");
}

#[test]
fn what_was_killed_goes_on_to_the_same_rows() {
    let sandbox = Sandbox::new();
    let args = [
        "--features",
        "features",
        "-o",
        "out.fvec",
        "--codec",
        "f32",
        "--epochs",
        "200",
        "--patience",
        "200",
    ];
    sandbox.success(&args);
    let expected = fs::read(sandbox.path("out.fvec")).unwrap();
    assert_eq!(sandbox.files("features").len(), SHARDS);
    fs::remove_dir_all(sandbox.path("features")).unwrap();
    fs::remove_file(sandbox.path("out.fvec")).unwrap();
    let mut numbers = Numbers::new();
    for kill in 0..20 {
        let shards = (kill < 2 * SHARDS).then_some(kill / 2);
        kill_at(&sandbox, &args, shards, numbers.below(500));
    }
    assert!(!sandbox.path("out.fvec").exists());
    let resumed = sandbox.success(&args);
    assert!(!resumed.contains("epoch 1:"), "training began again");
    assert!(fs::read(sandbox.path("out.fvec")).unwrap() == expected);
    assert_eq!(seen(&sandbox), (SHARDS, None));
}

#[test]
fn pairs_bring_texts_together() {
    let sandbox = Sandbox::new();
    let cosine = |model: &str| {
        let bytes = fs::read(sandbox.path(model)).unwrap();
        let model = flashvec::Model::from_bytes(&bytes).unwrap();
        let mut encoder = flashvec::Encoder::new(&model);
        let a = encoder.encode("bead").to_vec();
        let b = encoder.encode("face").to_vec();
        flashvec::cosine(&a, &b)
    };
    let args = ["-o", "out.fvec", "--codec", "f32", "--features", "features"];
    sandbox.success(&args);
    let before = cosine("out.fvec");
    let mut scored = "score\tsentence1\tsentence2\n".to_owned();
    let mut positive = "sentence1\tsentence2\n".to_owned();
    for at in 0..60 {
        let (a, b) = (WORDS[at % 7], WORDS[(at * 5 + 1) % 7]);
        write!(scored, "1\t{a} {b}\tdab\n5\tbead\tface\n").unwrap();
        write!(positive, "{a}\t{a} {b}\nbead\tface\n").unwrap();
    }
    for pairs in [scored, positive] {
        fs::write(sandbox.path("pairs.tsv"), pairs).unwrap();
        sandbox.success(&[&args[..], &["--pairs", "pairs.tsv", "--pair-epochs", "20"]].concat());
        let after = cosine("out.fvec");
        assert!(after > before + 0.05, "{before} {after}");
    }
    for (pairs, part) in [
        ("score\tsentence1\n1\ta\n", "sentence2"),
        ("score\tsentence1\tsentence2\nx\ta\tb\n", "the score"),
        ("sentence1\tsentence2\n", "no pairs"),
    ] {
        fs::write(sandbox.path("pairs.tsv"), pairs).unwrap();
        let stderr = sandbox.failure(&[&args[..], &["--pairs", "pairs.tsv"]].concat());
        assert!(
            stderr.contains(part) && stderr.contains("pairs.tsv"),
            "{stderr}"
        );
    }
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
