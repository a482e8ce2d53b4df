//! `flashvec classify` on golden classifiers: its lines say what the library says, in the order of the texts.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use flashvec::{Head, Model, Task};
use tempfile::TempDir;

/// One label a text; texts may be out of scope.
const SOFTMAX: &str = "tiny-v4-classifier0.fvec";
/// Any number of labels.
const SIGMOID: &str = "tiny-v4-classifier2.fvec";
const REGRESSION: &str = "tiny-v4-classifier3.fvec";
/// Without a head.
const BASE: &str = "tiny-v3-int8.fvec";
const HEAD: &str = "tiny-head1-int8.fvhead";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data")
        .join(name)
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashvec"));
    command
        .arg("classify")
        .args(args)
        .current_dir(data(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = command(args).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // Whoever follows answers before the end. A command that fails early closes its input, which is no failure
        // of the test.
        scope.spawn(move || input.write_all(stdin));
        child.wait_with_output().unwrap()
    })
}

fn stdout(args: &[&str], stdin: impl AsRef<[u8]>) -> String {
    let output = run(args, stdin.as_ref());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that a failing command prints.
fn failure(args: &[&str], stdin: &str) -> String {
    let output = run(args, stdin.as_bytes());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{args:?} succeeded");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    stderr
}

/// What the library says of a text: the scores, the scope score, whether it is in scope.
fn library(image: &str, head: Option<&str>, text: &[u8]) -> (Vec<f32>, f32, bool) {
    let image = fs::read(data(image)).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let head_bytes = head.map(|name| fs::read(data(name)).unwrap());
    let head = match &head_bytes {
        Some(bytes) => Head::from_bytes(bytes, &model).unwrap(),
        None => *model.head().unwrap(),
    };
    let mut scratch = vec![0; head.scratch_len(&model)];
    let said = head.classify_bytes(&model, text, &mut scratch).unwrap();
    let scores = said.scores().to_vec();
    (scores, said.scope_score(), said.is_in_scope())
}

/// Labels by falling probability.
fn ranked(scores: &[f32]) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = scores.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked
}

fn pairs(labels: &[(usize, f32)]) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(label, p)| format!("label {label}\t{p:.4}"))
        .collect();
    pairs.join("\t")
}

const TEXTS: [&str; 6] = [
    "turn on the light",
    "play music",
    "",
    "kitchen lamp off, please!",
    "the the the",
    "Straße",
];

#[test]
fn one_label_a_line_or_none() {
    let lines = stdout(&[SOFTMAX], TEXTS.join("\n"));
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), TEXTS.len());
    let mut none = 0;
    for (line, text) in lines.iter().zip(TEXTS) {
        let (scores, scope, in_scope) = library(SOFTMAX, None, text.as_bytes());
        if in_scope {
            assert_eq!(*line, pairs(&ranked(&scores)[..1]));
        } else {
            none += 1;
            assert_eq!(*line, format!("-\t{scope:.4}"));
        }
    }
    assert!((1..TEXTS.len()).contains(&none), "{lines:?}");
}

#[test]
fn top_and_all_rank_labels() {
    let texts = TEXTS.join("\n");
    let (top, all) = (
        stdout(&[SOFTMAX, "--top", "2"], &texts),
        stdout(&[SOFTMAX, "--all"], &texts),
    );
    for ((top, all), text) in top.lines().zip(all.lines()).zip(TEXTS) {
        let (scores, scope, in_scope) = library(SOFTMAX, None, text.as_bytes());
        let none = if in_scope {
            String::new()
        } else {
            format!("-\t{scope:.4}\t")
        };
        assert_eq!(top, format!("{none}{}", pairs(&ranked(&scores)[..2])));
        assert_eq!(all, format!("{none}{}", pairs(&ranked(&scores))));
    }
}

#[test]
fn all_labels_above_a_half_where_a_text_may_have_many() {
    let lines = stdout(&[SIGMOID], TEXTS.join("\n"));
    let mut counts = Vec::new();
    for (line, text) in lines.lines().zip(TEXTS) {
        let (scores, scope, in_scope) = library(SIGMOID, None, text.as_bytes());
        let mut found = ranked(&scores);
        found.retain(|(_, p)| in_scope && *p >= 0.5);
        counts.push(found.len());
        if found.is_empty() {
            assert_eq!(line, format!("-\t{scope:.4}"));
        } else {
            assert_eq!(line, pairs(&found));
        }
    }
    assert!(counts.iter().any(|&count| count > 1), "{counts:?}");
}

#[test]
fn thresholds_are_for_all_labels_or_for_one() {
    let text = "turn on the light";
    let (scores, scope, _) = library(SIGMOID, None, text.as_bytes());
    let ranked = ranked(&scores);
    let (label, best) = ranked[0];
    assert!(best < 1.0);
    assert_eq!(
        stdout(&[SIGMOID, "--threshold", "1"], text),
        format!("-\t{scope:.4}\n")
    );
    assert_eq!(
        stdout(&[SIGMOID, "--threshold", "0"], text),
        format!("{}\n", pairs(&ranked))
    );
    // Whatever comes first.
    let named = format!("label {label}=0.001");
    let line = stdout(&[SIGMOID, "--threshold", &named, "--threshold", "1"], text);
    assert_eq!(line, format!("{}\n", pairs(&ranked[..1])));

    // The most probable label, or none: never another.
    let (scores, scope, in_scope) = library(SOFTMAX, None, text.as_bytes());
    assert!(in_scope && scores.iter().all(|&p| p < 1.0));
    assert_eq!(
        stdout(&[SOFTMAX, "--threshold", "1"], text),
        format!("-\t{scope:.4}\n")
    );
}

#[test]
fn regression_prints_all_values() {
    let (scores, _, _) = library(REGRESSION, None, b"play music");
    assert_eq!(
        stdout(&[REGRESSION], "play music\n"),
        format!("label 0\t{}\tlabel 1\t{}\n", scores[0], scores[1])
    );
    assert_eq!(stdout(&[REGRESSION], "\n").split('\t').next(), Some("-"));
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&[REGRESSION, "--json"], "play music")).unwrap();
    assert_eq!(
        json["labels"][1]["value"].as_f64().unwrap() as f32,
        scores[1]
    );
    assert!(failure(&[REGRESSION, "--threshold", "0.5"], "x").contains("values"));
}

#[test]
fn json_has_every_bit() {
    let lines = stdout(&[SOFTMAX, "--json", "--all"], TEXTS.join("\n"));
    assert_eq!(lines.lines().count(), TEXTS.len());
    for (line, text) in lines.lines().zip(TEXTS) {
        let (scores, scope, in_scope) = library(SOFTMAX, None, text.as_bytes());
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["none"], !in_scope);
        assert_eq!(json["scope_score"].as_f64().unwrap() as f32, scope);
        let labels = json["labels"].as_array().unwrap();
        assert_eq!(labels.len(), scores.len());
        for (found, (label, p)) in labels.iter().zip(ranked(&scores)) {
            assert_eq!(found["label"], format!("label {label}"));
            let read = found["probability"].as_f64().unwrap() as f32;
            assert_eq!(read.to_bits(), p.to_bits());
        }
    }
    let none = stdout(&[SOFTMAX, "--json"], "\n");
    assert!(none.starts_with("{\"none\":true,") && none.ends_with("\"labels\":[]}\n"));
}

#[test]
fn a_head_file_stands_in_for_a_head() {
    let line = stdout(&[BASE, "--head", HEAD], "turn on the light");
    let (scores, scope, in_scope) = library(BASE, Some(HEAD), b"turn on the light");
    if in_scope {
        assert_eq!(line, format!("{}\n", pairs(&ranked(&scores)[..1])));
    } else {
        assert_eq!(line, format!("-\t{scope:.4}\n"));
    }
    assert!(failure(&[SOFTMAX, "--head", HEAD], "x").contains(HEAD));
    assert!(failure(&[BASE, "--head", "absent.fvhead"], "x").contains("absent.fvhead"));
    let message = failure(&[BASE], "x");
    assert!(
        message.contains(BASE) && message.contains("no head"),
        "{message}"
    );
}

#[test]
fn bytes_that_are_no_utf8_are_classified() {
    let texts: [&[u8]; 3] = [b"turn \xFF on", b"\xE4\xB8 the light", b"play music"];
    let lines = stdout(&[SOFTMAX, "--json", "--all"], texts.join(&b'\n'));
    assert_eq!(lines.lines().count(), 3);
    for (line, text) in lines.lines().zip(texts) {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let (_, scope, _) = library(SOFTMAX, None, text);
        assert_eq!(json["scope_score"].as_f64().unwrap() as f32, scope);
    }
}

#[test]
fn order_is_kept_whatever_the_threads() {
    let words = [
        "turn", "on", "the", "light", "off", "lamp", "kitchen", "play",
    ];
    let mut texts = String::new();
    for line in 0..20_000 {
        let text = (0..line % 23).map(|at| words[(line * 7 + at * 5) % words.len()]);
        texts.push_str(&text.collect::<Vec<_>>().join(" "));
        texts.push('\n');
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts.txt");
    fs::write(&file, &texts).unwrap();
    let file = file.to_str().unwrap();
    let one = stdout(&[SOFTMAX, "--input", file, "--threads", "1"], "");
    assert_eq!(one.lines().count(), 20_000);
    assert!(one == stdout(&[SOFTMAX, "--input", file, "--threads", "4"], ""));
    assert!(one == stdout(&[SOFTMAX], &texts));
    assert!(one == stdout(&[SOFTMAX, "--follow"], &texts));

    let image = fs::read(data(SOFTMAX)).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    assert_eq!(model.head().unwrap().task(), Task::Softmax);
    let mut scratch = vec![0; model.scratch_len()];
    for (line, text) in one.lines().zip(texts.lines()) {
        let said = model.classify(text, &mut scratch).unwrap();
        let expected = match said.best() {
            Some(best) => pairs(&[(best.label, best.probability)]),
            None => format!("-\t{:.4}", said.scope_score()),
        };
        assert_eq!(line, expected, "{text}");
    }
}

#[test]
fn wrong_arguments_and_lines_are_named() {
    for (args, stdin, expected) in [
        (&[SOFTMAX, "--threshold", "1.5"][..], "", "1.5"),
        (&[SOFTMAX, "--threshold", "nonsense"], "", "nonsense"),
        (&[SOFTMAX, "--threshold", "music=0.5"], "", "\"music\""),
        (&[SOFTMAX, "--input", "absent.txt"], "", "absent.txt"),
        (&["absent.fvec"], "", "absent.fvec"),
        (&[HEAD], "", "FVEC"),
        (&[SOFTMAX, "--json-lines"], "\"the\"\n7\n", "line 2"),
        (&[SOFTMAX, "--json-lines"], "\"the\"\n\"\u{1}\"\n", "line 2"),
        (
            &[SOFTMAX, "--follow", "--json-lines"],
            "\"the\"\n{}\n",
            "line 2",
        ),
        (
            &[SOFTMAX, "--follow", "--input", "absent.txt"],
            "",
            "absent.txt",
        ),
    ] {
        let message = failure(args, stdin);
        assert!(message.contains(expected), "{args:?}: {message}");
    }
    // What comes before a wrong line is printed.
    let output = run(
        &[SOFTMAX, "--json-lines"],
        b"{\"text\": \"the\"}\nnonsense\n\"the\"\n",
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
}

/// A program that follows, and what it prints.
struct Following {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Following {
    fn start(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for the next line.
    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Sends a signal and waits for the end.
    #[cfg(unix)]
    fn end_by(mut self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(self.lines.next().is_none());
    }
}

/// The line for a text.
fn line_of(text: &str) -> String {
    stdout(&[SOFTMAX], text).trim_end().to_owned()
}

#[test]
fn follow_answers_each_line_at_once() {
    let mut following = Following::start(&[SOFTMAX, "--follow"]);
    let mut stdin = following.child.stdin.take().unwrap();
    for text in TEXTS {
        // The answer comes while the input is still open.
        writeln!(stdin, "{text}").unwrap();
        assert_eq!(following.line(), line_of(&format!("{text}\n")));
    }
    // The last line needs no end.
    write!(stdin, "play music").unwrap();
    drop(stdin);
    assert_eq!(following.line(), line_of("play music"));
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn follow_ends_on_signals() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    for signal in ["INT", "TERM"] {
        let mut following = Following::start(&[SOFTMAX, "--follow"]);
        let mut stdin = following.child.stdin.take().unwrap();
        writeln!(stdin, "play music").unwrap();
        assert_eq!(following.line(), line_of("play music"));
        // The input stays open.
        following.end_by(signal);
        drop(stdin);

        fs::write(&log, "play music\n").unwrap();
        let args = [SOFTMAX, "--follow", "--input", log.to_str().unwrap()];
        let mut following = Following::start(&args);
        assert_eq!(following.line(), line_of("play music"));
        fs::write(&log, "the\n").unwrap();
        assert_eq!(following.line(), line_of("the"));
        following.end_by(signal);
    }
}
