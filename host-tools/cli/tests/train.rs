//! `flashvec train`: from labelled texts to a classifier, or to one clear line.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// An image to begin from, with 256 dimensions.
const BASE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../firmware-examples/models/english-256k.fvec"
);

struct Sandbox(TempDir);

impl Sandbox {
    /// A folder with texts of three labels to learn and to test with.
    fn new() -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        sandbox.write("train.tsv", &commands(0..120));
        sandbox.write("test.tsv", &commands(120..180));
        sandbox.write(
            "foreign.txt",
            "zebras graze\nquantum physics is hard\nmy passport expired\n",
        );
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_flashvec"))
            .args(args)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    fn success(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one line that a failing command prints.
    fn failure(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?} succeeded");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        stderr
    }

    /// What `eval --test` says of a classifier.
    fn tested(&self, args: &[&str]) -> Value {
        let all = [&["eval"], args, &["--test", "test.tsv", "--json"]].concat();
        let report: Value = serde_json::from_str(&self.success(&all)).unwrap();
        report["test"][0].clone()
    }
}

fn commands(numbers: std::ops::Range<usize>) -> String {
    let mut rows = "label\ttext\n".to_owned();
    for at in numbers {
        let place = ["kitchen", "bedroom", "garden", "attic", "hall"][at / 3 % 5];
        let polite = ["", "please ", "would you ", "now "][at / 15 % 4];
        rows += &match at % 3 {
            0 => format!("light\t{polite}turn the lamp on in the {place}\n"),
            1 => format!("music\t{polite}play some jazz in the {place}\n"),
            _ => format!("weather\t{polite}tell me whether it rains in the {place}\n"),
        };
    }
    rows
}

#[test]
fn a_classifier_of_a_base_fits_its_bytes_and_knows_what_is_foreign() {
    let sandbox = Sandbox::new();
    let train = |out| {
        [
            "train",
            "--data",
            "train.tsv",
            "--base",
            BASE,
            "--flash",
            "16K",
            "-o",
            out,
        ]
    };
    sandbox.success(&train("a.fvec"));
    sandbox.success(&train("b.fvec"));
    let image = fs::read(sandbox.path("a.fvec")).unwrap();
    assert!(image.len() <= 16 * 1024);
    // The command's words, and so the output's name, are in the header.
    let same = fs::read(sandbox.path("b.fvec")).unwrap();
    let different = image[20..]
        .iter()
        .zip(&same[20..])
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!((same.len(), different), (image.len(), 1));
    let score = sandbox.tested(&["a.fvec", "--out-of-scope", "foreign.txt"]);
    assert!(score["accuracy"].as_f64().unwrap() >= 98.0, "{score}");
    let classified = sandbox.success(&["classify", "a.fvec", "--input", "test.tsv"]);
    assert_eq!(classified.lines().count(), 61);
}

#[test]
fn a_head_beside_a_base_that_stays() {
    let sandbox = Sandbox::new();
    let head = [
        "train",
        "--data",
        "train.tsv",
        "--base",
        BASE,
        "--frozen",
        "-o",
        "x.fvhead",
    ];
    sandbox.success(&head);
    let score = sandbox.tested(&[BASE, "--head", "x.fvhead"]);
    assert!(score["accuracy"].as_f64().unwrap() >= 95.0, "{score}");
    let wrong = [&head[..7], &["x.fvec"]].concat();
    assert!(sandbox.failure(&wrong).contains("ends in .fvhead"));
}

#[test]
fn texts_alone_are_enough_and_labels_may_be_many_or_numbers() {
    let sandbox = Sandbox::new();
    let mut many = String::new();
    let mut numbers = "label,text\n".to_owned();
    for at in 0..60 {
        let (a, b) = (at % 2 == 0, at % 3 == 0);
        let text = format!(
            "well{}{}",
            if a { " red" } else { "" },
            if b { " round" } else { "" }
        );
        let labels: Vec<&str> = [(a, "colour"), (b, "shape")]
            .iter()
            .filter(|(has, _)| *has)
            .map(|(_, l)| *l)
            .collect();
        many += &format!("{}\n", serde_json::json!({"text": text, "label": labels}));
        numbers += &format!("{},\"{text}, I say\"\n", u8::from(a) + 2 * u8::from(b));
    }
    sandbox.write("many.jsonl", &many);
    sandbox.write("numbers.csv", &numbers);
    sandbox.success(&[
        "train",
        "--data",
        "many.jsonl",
        "--flash",
        "4K",
        "-o",
        "many.fvec",
    ]);
    let all = sandbox.success(&["eval", "many.fvec", "--test", "many.jsonl", "--json"]);
    let report: Value = serde_json::from_str(&all).unwrap();
    assert!(
        report["test"][0]["micro_f1"].as_f64().unwrap() > 95.0,
        "{report}"
    );
    sandbox.success(&[
        "train",
        "--data",
        "numbers.csv",
        "--regression",
        "--flash",
        "4K",
        "-o",
        "numbers.fvec",
    ]);
    let all = sandbox.success(&["eval", "numbers.fvec", "--test", "numbers.csv", "--json"]);
    let report: Value = serde_json::from_str(&all).unwrap();
    assert!(
        report["test"][0]["pearson"].as_f64().unwrap() > 90.0,
        "{report}"
    );
}

#[test]
fn bad_data_gives_one_line_that_names_the_row_and_leaves_files_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("out.fvec", "precious");
    let long = format!("a\t{}\nb\tx\n", "word ".repeat(300_000));
    let cases: [(&str, &[u8], &str); 9] = [
        ("column.tsv", b"label\ttext\na\tone\nb\n", "line 3"),
        ("empty.tsv", b"label\ttext\na\tone\nb\t\n", "line 3"),
        ("one.tsv", b"label\ttext\na\tone\na\ttwo\n", "a"),
        ("latin.tsv", b"label\ttext\na\tone\nb\tcaf\xE9\n", "line 3"),
        ("long.tsv", long.as_bytes(), "line 1"),
        (
            "broken.jsonl",
            b"{\"text\": \"x\", \"label\": \"a\"}\n{\"text\": \n",
            "line 2",
        ),
        ("quote.csv", b"label,text\na,one\nb,\"two\n", "line 3"),
        ("none.tsv", b"", "empty"),
        ("names.csv", b"topic,body\na,one\nb,two\n", "text"),
    ];
    for (name, bytes, said) in cases {
        fs::write(sandbox.path(name), bytes).unwrap();
        let line = sandbox.failure(&["train", "--data", name, "--flash", "8K", "-o", "out.fvec"]);
        assert!(line.contains(name) && line.contains(said), "{name}: {line}");
    }
    sandbox.write(
        "dev.tsv",
        "label\ttext\nlight\tturn it on\nheating\twarmer please\n",
    );
    let dev = [
        "train",
        "--data",
        "train.tsv",
        "--dev",
        "dev.tsv",
        "--flash",
        "8K",
        "-o",
        "out.fvec",
    ];
    let line = sandbox.failure(&dev);
    assert!(
        line.contains("dev.tsv") && line.contains("line 3") && line.contains("heating"),
        "{line}"
    );
    let small = [
        "train",
        "--data",
        "train.tsv",
        "--flash",
        "200",
        "-o",
        "out.fvec",
    ];
    assert!(sandbox.failure(&small).contains("200 bytes are too few"));
    let weights = [
        "train",
        "--data",
        "train.tsv",
        "--flash",
        "8K",
        "--class-weights",
        "lamp=2",
        "-o",
        "out.fvec",
    ];
    assert!(sandbox.failure(&weights).contains("\"lamp\""));
    assert_eq!(fs::read(sandbox.path("out.fvec")).unwrap(), b"precious");
    let others = fs::read_dir(sandbox.0.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("out.fvec")
    });
    assert_eq!(others.count(), 1, "temporary files");
}
