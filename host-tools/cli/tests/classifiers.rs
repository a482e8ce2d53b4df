//! What the command line says of trained classifiers, against what core says of the same image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flashvec::Model;
use serde_json::Value;
use tempfile::TempDir;

const TEXTS: [&str; 8] = [
    "turn on the light",
    "turn off the kitchen lamp",
    "play music",
    "play the a",
    "off off off",
    "the lamp, the light!",
    "kitchen music",
    "on",
];

/// A scratch folder with golden images of classifiers: one label a text, many labels, numbers.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
        for (from, to) in [
            ("tiny-v4-classifier0.fvec", "one.fvec"),
            ("tiny-v4-classifier1.fvec", "hidden.fvec"),
            ("tiny-v4-classifier2.fvec", "many.fvec"),
            ("tiny-v4-classifier3.fvec", "numbers.fvec"),
            ("tiny-v3-int8.fvec", "base.fvec"),
            ("tiny-head1-int8.fvhead", "base.fvhead"),
        ] {
            fs::copy(data.join(from), folder.path().join(to)).unwrap();
        }
        Self(folder)
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

    fn stdout(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.stdout(&[args, &["--json"]].concat())).unwrap()
    }

    /// The one line that a failing command prints.
    fn failure(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?} succeeded");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        stderr
    }

    /// The labels that an image finds for [`TEXTS`], most probable first, and their probabilities; whether a text is
    /// in scope.
    fn classified(&self, image: &str) -> Vec<(Vec<(String, f32)>, bool)> {
        let bytes = fs::read(self.path(image)).unwrap();
        let model = Model::from_bytes(&bytes).unwrap();
        let head = model.head().unwrap();
        let mut scratch = vec![0; model.scratch_len()];
        TEXTS
            .map(|text| {
                let found = model.classify(text, &mut scratch).unwrap();
                let name = |label| head.label(label).unwrap().to_owned();
                let labels = found
                    .top(head.label_count())
                    .map(|found| (name(found.label), found.probability));
                (labels.collect(), found.is_in_scope())
            })
            .to_vec()
    }
}

fn assert_near(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() < 1e-4, "{value} for {expected}");
}

#[test]
fn eval_tests_the_head_of_an_image() {
    let sandbox = Sandbox::new();
    let classified = sandbox.classified("one.fvec");
    // The first text gets its second label.
    let mut test = "text,label\n".to_owned();
    for (at, (text, (labels, _))) in TEXTS.iter().zip(&classified).enumerate() {
        let label = &labels[usize::from(at == 0)].0;
        test += &format!("\"{text}\",{label}\n");
    }
    sandbox.write("test.csv", &test);
    sandbox.write("foreign.txt", "zzz\nq q q\n中\n");
    let eval = ["eval", "one.fvec", "--test", "test.csv"];
    let report = sandbox.json(
        &[
            &eval[..],
            &[
                "--out-of-scope",
                "foreign.txt",
                "--confusion",
                "confusion.svg",
            ],
        ]
        .concat(),
    );
    let report = &report["test"][0];
    assert_eq!(report["texts"], 8);
    assert_near(&report["accuracy"], 87.5);
    let mistakes = report["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0]["label"], classified[0].0[1].0);
    assert_eq!(mistakes[0]["given"], classified[0].0[0].0);
    assert_eq!(report["labels"].as_array().unwrap().len(), 5);
    let texts: u64 = report["labels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| label["texts"].as_u64().unwrap())
        .sum();
    assert_eq!(texts, 8);
    let refused = classified.iter().filter(|(_, in_scope)| !in_scope).count();
    assert!((1..8).contains(&refused), "{refused} of 8 are refused");
    assert_near(&report["refused"], 12.5 * refused as f64);
    let scope = &report["out_of_scope"];
    assert_eq!(scope["texts"], 3);
    assert_near(&scope["threshold"], 1.8);
    assert_eq!(scope["refused_in_scope"], report["refused"]);
    let auroc = scope["auroc"].as_f64().unwrap();
    assert!((0.0..=100.0).contains(&auroc), "{auroc}");
    let svg = fs::read_to_string(sandbox.path("confusion.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("label 4"), "{svg}");

    let text = sandbox.stdout(&eval);
    assert!(text.contains("87.50") && text.contains("label 4"), "{text}");
    // Beside other scores, and of several models in one table.
    sandbox.write("train.tsv", "label 0\tturn on\nlabel 1\tplay music\n");
    let both = ["--classify", "train.tsv", "train.tsv"];
    let text = sandbox.stdout(&[&eval[..1], &["one.fvec"], &eval[1..], &both].concat());
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.contains("calibration error") && text.matches("87.50").count() == 2,
        "{text}"
    );
}

#[test]
fn eval_tests_many_labels() {
    let sandbox = Sandbox::new();
    let mut test = "label\ttext\n".to_owned();
    for (text, (labels, _)) in TEXTS.iter().zip(&sandbox.classified("many.fvec")) {
        let given = labels.iter().filter(|label| label.1 >= 0.5);
        let names: Vec<&str> = given.map(|label| label.0.as_str()).collect();
        test += &format!("{}\t{text}\n", names.join("|"));
    }
    sandbox.write("test.tsv", &test);
    let report = sandbox.json(&["eval", "many.fvec", "--test", "test.tsv"]);
    for score in ["micro_f1", "macro_f1", "subset_accuracy"] {
        assert_near(&report["test"][0][score], 100.0);
    }
    sandbox.write("test.tsv", &test.replacen("label 0", "label 9", 1));
    let message = sandbox.failure(&["eval", "many.fvec", "--test", "test.tsv"]);
    assert!(
        message.contains("the label \"label 9\" is unknown"),
        "{message}"
    );
    let scope = [
        "eval",
        "many.fvec",
        "--test",
        "test.tsv",
        "--out-of-scope",
        "test.tsv",
    ];
    assert!(sandbox.failure(&scope).contains("one label"));
}

#[test]
fn eval_tests_head_files() {
    let sandbox = Sandbox::new();
    sandbox.write("test.tsv", "label 0\tturn on\nlabel 1\tplay music\n");
    let test = ["eval", "base.fvec", "--test", "test.tsv"];
    let head = [&test[..], &["--head", "base.fvhead"]].concat();
    assert_eq!(sandbox.json(&head)["test"][0]["texts"], 2);
    let message = sandbox.failure(&test);
    assert!(
        message.contains("base.fvec: no classifier's image"),
        "{message}"
    );
    let other = [
        "eval",
        "one.fvec",
        "--test",
        "test.tsv",
        "--head",
        "base.fvhead",
    ];
    assert!(sandbox.failure(&other).contains("base.fvhead"));
    for (wrong, expected) in [
        (
            &["eval", "numbers.fvec", "--test", "test.tsv"][..],
            "the head gives 2",
        ),
        (
            &[
                "eval",
                "one.fvec",
                "one.fvec",
                "--test",
                "test.tsv",
                "--confusion",
                "x.svg",
            ],
            "one model",
        ),
        (&["eval", "one.fvec"], "--test FILE"),
        (&["eval", "one.fvec", "--test", "test.dat"], "format"),
    ] {
        let message = sandbox.failure(wrong);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn inspect_says_what_a_classifier_tells() {
    let sandbox = Sandbox::new();
    let text = sandbox.stdout(&["inspect", "one.fvec"]);
    for fact in [
        "one label a text",
        "5: label 0, label 1",
        "below a scope score of 1.800",
        "pairs, pairs with one token between, triples, with start and end",
    ] {
        assert!(text.contains(fact), "{fact}: {text}");
    }
    let report = sandbox.json(&["inspect", "hidden.fvec"]);
    assert_eq!(report["classifier"]["hidden"], 9);
    assert_eq!(report["classifier"]["labels"].as_array().unwrap().len(), 3);
    assert_eq!(report["ngrams"]["kinds"][0], "pairs");
    assert!(report.get("rows").is_none());
    assert!(
        sandbox
            .json(&["inspect", "base.fvec"])
            .get("classifier")
            .is_none()
    );
}

/// All rows of an image, as `inspect` counts their uses in a text.
fn rows_used(sandbox: &Sandbox, image: &str, text: &str) -> Value {
    sandbox.write("text.txt", &format!("{text}\n"));
    sandbox.json(&["inspect", image, "--rows", "100000", "--data", "text.txt"])["rows"].take()
}

#[test]
fn inspect_counts_the_rows_that_core_adds_up() {
    let sandbox = Sandbox::new();
    let bytes = fs::read(sandbox.path("one.fvec")).unwrap();
    let model = Model::from_bytes(&bytes).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let mut vector = vec![0.0; model.dims()];
    let mut ngrams = 0;
    for text in TEXTS {
        let rows = rows_used(&sandbox, "one.fvec", text);
        assert_eq!(rows["count"], model.row_count());
        let (mut mean, mut total) = (vec![0.0; model.dims()], 0.0);
        for row in rows["costly"].as_array().unwrap() {
            let uses = row["uses"].as_f64().unwrap() as f32;
            let id = row["row"].as_u64().unwrap() as u32;
            model.vector(id, &mut vector).unwrap();
            for (sum, x) in mean.iter_mut().zip(&vector) {
                *sum += uses * x;
            }
            total += uses;
            if uses > 0.0 && id as usize >= model.token_count() {
                ngrams += 1;
                let name = row["name"].as_str().unwrap();
                assert!(name.starts_with('"') && name.contains(' '), "{name}");
            }
        }
        let embedding = model.encode(text, &mut scratch).unwrap();
        for (x, sum) in embedding.iter().zip(&mean) {
            assert!(
                (x - sum / total).abs() < 1e-4,
                "{text}: {x}, {sum} / {total}"
            );
        }
    }
    assert!(ngrams > 0, "the texts have no n-gram with a row");
}

#[test]
fn inspect_tells_what_rows_add_to_logits() {
    let sandbox = Sandbox::new();
    let classified = sandbox.classified("one.fvec");
    // Of the logits of labels 0 and 1, what is not the biases' difference.
    let mut offsets = Vec::new();
    for (text, (labels, _)) in TEXTS.iter().zip(&classified) {
        let rows = rows_used(&sandbox, "one.fvec", text);
        let mean = |label: usize| {
            let (mut sum, mut total) = (0.0, 0.0);
            for row in rows["labels"][label]["rows"].as_array().unwrap() {
                let uses = row["uses"].as_f64().unwrap();
                sum += uses * row["push"].as_f64().unwrap();
                total += uses;
            }
            sum / total
        };
        let logit = |name: &str| {
            let found = labels.iter().find(|label| label.0 == name).unwrap();
            f64::from(found.1.ln())
        };
        offsets.push(logit("label 0") - logit("label 1") - (mean(0) - mean(1)));
    }
    for offset in &offsets {
        assert!((offset - offsets[0]).abs() < 2e-2, "{offsets:?}");
    }
}

#[test]
fn inspect_names_rows() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "data.tsv",
        "label 0\tturn on the light\nlabel 1\tplay music\n",
    );
    let text = sandbox.stdout(&["inspect", "many.fvec", "--rows", "3", "--data", "data.tsv"]);
    assert!(text.contains("are never used; these take"), "{text}");
    let label = text
        .lines()
        .find(|line| line.starts_with("label 6: "))
        .unwrap();
    assert_eq!(label.matches(", ").count(), 2, "{label}");
    // Words that share no start with others have more of the trie to themselves.
    let rows = sandbox.json(&["inspect", "one.fvec", "--rows", "1000"])["rows"].take();
    let rows = rows["costly"].as_array().unwrap();
    let bytes = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["bytes"].as_f64().unwrap()
    };
    assert!(bytes("kitchen") > bytes("on") && bytes("on") > bytes("o"));
    assert!(rows[0]["uses"].is_null());
}
