use std::path::PathBuf;

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Reads a file of these bytes.
    fn read(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<LabelledTexts> {
        read(&self.write(name, bytes), &options_of(name))
    }

    /// What is wrong with a file of these bytes, without its folder.
    fn refused(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let message = self.read(name, bytes).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        let folder = format!("{}/", self.0.path().display());
        message.strip_prefix(&folder).unwrap().to_owned()
    }
}

/// Names tell what a file is read for.
fn options_of(name: &str) -> ReadOptions {
    ReadOptions {
        multi_label: name.starts_with("multi").then(|| "|".to_owned()),
        regression: name.starts_with("values"),
        ..ReadOptions::default()
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

#[test]
fn formats_tell_the_same() {
    let files = Files::new();
    let expected = LabelledTexts {
        labels: words(["ham", "spam"]),
        texts: words(["win \"now\", again", "see you", "é, two"]),
        targets: Targets::Single(vec![1, 0, 0]),
        lines: vec![2, 3, 4],
    };
    let tsv = "label\ttext\nspam\twin \"now\", again\nham\tsee you\n ham \té, two\n";
    assert_eq!(files.read("a.tsv", tsv).unwrap(), expected);
    let ended = format!("\u{feff}{}", tsv.replace('\n', "\r\n"));
    assert_eq!(files.read("b.TSV", ended).unwrap(), expected);
    let csv = "id,text,label\r\n1,\"win \"\"now\"\", again\",spam\r\n2,see you,ham\r\n,\"é, two\",\"ham\"";
    assert_eq!(files.read("a.csv", csv).unwrap(), expected);
    let json = r#"
{"text": "win \"now\", again", "label": "spam", "id": [{"a": 1}]}
{"label": "ham", "text": "see you"}
{"label": "ham", "text": "\u00e9, two"}"#;
    assert_eq!(files.read("a.jsonl", json).unwrap(), expected);
}

#[test]
fn tsv_without_a_header_line_has_labels_first() {
    let files = Files::new();
    let read = files.read("a.tsv", "b\tone\n\na\ttwo\n").unwrap();
    assert_eq!(read.labels, ["a", "b"]);
    assert_eq!(read.texts, ["one", "two"]);
    assert_eq!(read.targets, Targets::Single(vec![1, 0]));
    assert_eq!(read.lines, [1, 3]);
}

#[test]
fn columns_and_format_can_be_named() {
    let files = Files::new();
    let options = ReadOptions {
        format: Some(Format::Csv),
        label_column: "intent".to_owned(),
        text_column: "utterance".to_owned(),
        ..ReadOptions::default()
    };
    let path = files.write(
        "a.dat",
        "utterance,text,intent\nplay,no,music\nring,no,alarm\n",
    );
    let found = read(&path, &options).unwrap();
    assert_eq!(found.texts, ["play", "ring"]);
    assert_eq!(found.labels, ["alarm", "music"]);
    let error = read(&path, &ReadOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("say which format it has"),
        "{error}"
    );
    // A header line is certain where columns were named.
    let tsv = files.write("a.tsv", "music\tplay\nalarm\tring\n");
    let options = ReadOptions {
        format: None,
        ..options
    };
    let error = read(&tsv, &options).unwrap_err().to_string();
    assert!(
        error.contains(
            "line 1: no column \"utterance\" in the header line, which has \"music\", \"play\""
        ),
        "{error}"
    );
}

#[test]
fn quoted_cells_go_over_lines() {
    let files = Files::new();
    let read = files
        .read("a.csv", "label,text\na,\"one\n\ntwo \"\"2\"\"\"\nb,three\n")
        .unwrap();
    assert_eq!(read.texts, ["one\n\ntwo \"2\"", "three"]);
    assert_eq!(read.lines, [2, 5]);
}

#[test]
fn any_cell_can_be_quoted() {
    let files = Files::new();
    let pieces = ["a", "\"", ",", "\n", " ", "é", "\"\"", "b,c"];
    let texts: Vec<String> = (0..pieces.len().pow(3))
        .map(|at| {
            let piece = |place: u32| pieces[at / pieces.len().pow(place) % pieces.len()];
            // No text is empty.
            format!("{}x{}{}", piece(0), piece(1), piece(2))
        })
        .collect();
    let mut csv = "text,label\n".to_owned();
    for (at, text) in texts.iter().enumerate() {
        csv += &format!("\"{}\",\"{}\"\n", text.replace('"', "\"\""), at % 2);
    }
    let read = files.read("a.csv", &csv).unwrap();
    assert_eq!(read.texts, texts);
    assert_eq!(read.lines.last().copied(), Some(csv.lines().count()));
}

#[test]
fn texts_can_have_many_labels() {
    let files = Files::new();
    let expected = Targets::Multi(vec![vec![0, 1], vec![], vec![2]]);
    for (name, bytes) in [
        ("multi.tsv", "label\ttext\nb| a\tx\n\ty\nc\tz\n"),
        ("multi.csv", "label,text\nb|a,x\n,y\nc,z\n"),
        (
            "list.jsonl",
            r#"{"text":"x","label":["b","a"]}
{"text":"y","label":[]}
{"text":"z","label":"c"}"#,
        ),
    ] {
        let read = files.read(name, bytes).unwrap();
        assert_eq!(read.targets, expected, "{name}");
        assert_eq!(read.labels, ["a", "b", "c"], "{name}");
    }
}

#[test]
fn numbers_are_learnt_where_asked() {
    let files = Files::new();
    for (name, bytes) in [
        ("values.tsv", "label\ttext\n1.5\tx\n-2\ty\n"),
        (
            "values.jsonl",
            "{\"text\":\"x\",\"label\":1.5}\n{\"text\":\"y\",\"label\":-2}\n",
        ),
    ] {
        let read = files.read(name, bytes).unwrap();
        assert_eq!(read.targets, Targets::Values(vec![1.5, -2.0]), "{name}");
        assert_eq!(read.labels, ["label"], "{name}");
    }
    // Class numbers must not become a regression by accident.
    assert_eq!(
        files.refused("a.jsonl", "{\"text\":\"x\",\"label\":1}"),
        "a.jsonl, line 1: the label is the number 1; ask for regression to learn numbers, or put it in quotes if it is \
         a label's name"
    );
}

#[test]
fn tests_have_the_labels_of_training() {
    let files = Files::new();
    let train = files.read("train.tsv", "b\tx\na\ty\nc\tz\n").unwrap();
    let options = ReadOptions::default();
    let dev = read_like(&files.write("dev.tsv", "c\tp\nc\tq\n"), &options, &train).unwrap();
    assert_eq!(dev.labels, train.labels);
    assert_eq!(dev.targets, Targets::Single(vec![2, 2]));
    let bad = files.write("bad.csv", "text,label\np,c\nq,d\n");
    let error = read_like(&bad, &options, &train).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "bad.csv, line 3: the label \"d\" is unknown; known are \"a\", \"b\", \"c\""
        ),
        "{error}"
    );

    let many: String = (0..20).map(|at| format!("l{at:02}\tx\n")).collect();
    let train = files.read("many.tsv", many).unwrap();
    let error = read_like(&bad, &options, &train).unwrap_err().to_string();
    assert!(
        error.ends_with("\"l06\", \"l07\", ... (20 in all)"),
        "{error}"
    );

    let train = files.read("values.tsv", "1\tx\n2\ty\n").unwrap();
    let path = files.write("values-dev.tsv", "3\tx\n3\ty\n");
    let dev = read_like(&path, &options, &train).unwrap();
    assert_eq!(dev.targets, Targets::Values(vec![3.0, 3.0]));
    assert_eq!(dev.labels, train.labels);

    let train = files
        .read("multi.tsv", "label\ttext\na|b\tx\nc\ty\n")
        .unwrap();
    let options = options_of("multi");
    let path = files.write("multi-dev.tsv", "label\ttext\nc|b\tx\n\ty\n");
    let dev = read_like(&path, &options, &train).unwrap();
    assert_eq!(dev.targets, Targets::Multi(vec![vec![1, 2], vec![]]));
}

#[test]
fn texts_need_no_labels() {
    let files = Files::new();
    let options = ReadOptions::default();
    for (name, bytes) in [
        ("a.txt", "one\ttab\ntwo\n"),
        ("a.csv", "text\n\"one\ttab\"\ntwo\n"),
        (
            "a.jsonl",
            "{\"text\": \"one\\ttab\"}\n{\"text\": \"two\", \"label\": null}\n",
        ),
    ] {
        let texts = read_texts(&files.write(name, bytes), &options).unwrap();
        assert_eq!(texts, ["one\ttab", "two"], "{name}");
    }
    for bytes in [
        "one\ntwo\n",
        "x\tone\ny\ttwo\n",
        "text\tid\none\t1\ntwo\t2\n",
    ] {
        let texts = read_texts(&files.write("a.tsv", bytes), &options).unwrap();
        assert_eq!(texts, ["one", "two"], "{bytes:?}");
    }
    assert!(
        files
            .refused("a.txt", "one\ntwo\n")
            .starts_with("a.txt: texts without labels;")
    );
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let files = Files::new();
    let long = "x".repeat(1_000_001);
    let label = "l".repeat(256);
    let many: String = (0..4097).map(|at| format!("l{at}\tx\n")).collect();
    for (name, bytes, expected) in [
        ("a.tsv", "", "a.tsv: the file is empty"),
        ("a.tsv", "label\ttext\n", "a.tsv: the file is empty"),
        ("a.csv", "\r\n", "a.csv: the file is empty"),
        ("a.jsonl", "\n", "a.jsonl: the file is empty"),
        (
            "a.tsv",
            "label\tTEXT\na\tx\n",
            "a.tsv, line 1: no column \"text\" in the header line, which has \"label\", \"TEXT\"",
        ),
        (
            "a.csv",
            "class,text\na,x\n",
            "a.csv, line 1: no column \"label\"",
        ),
        (
            "a.csv",
            "label,text,label\na,x,b\n",
            "a.csv, line 1: the column \"label\" twice",
        ),
        (
            "a.tsv",
            "label\ttext\na\tx\nb\tx\ty\n",
            "a.tsv, line 3: 3 cells instead of 2, which are \"label\", \"text\"",
        ),
        (
            "a.tsv",
            "a\tx\nb x\n",
            "a.tsv, line 2: 1 cells instead of 2",
        ),
        (
            "a.csv",
            "label,text\na,x\nb,\"x\ny\",z\n",
            "a.csv, line 3: 3 cells instead of 2",
        ),
        ("a.tsv", "a\tx\nb\t \n", "a.tsv, line 2: an empty text"),
        ("a.tsv", "a\tx\n \ty\n", "a.tsv, line 2: an empty label"),
        (
            "multi.tsv",
            "a|b\tx\na||b\ty\n",
            "multi.tsv, line 2: an empty label",
        ),
        (
            "multi.tsv",
            "a|b\tx\na|b|a\ty\n",
            "multi.tsv, line 2: the label \"a\" twice for one text",
        ),
        (
            "multi.tsv",
            "label\ttext\n\tx\n",
            "multi.tsv: no text has a label",
        ),
        (
            "a.tsv",
            "a\tx\na\ty\n",
            "a.tsv: all texts have the label \"a\"; a classifier needs at least two",
        ),
        (
            "values.tsv",
            "1\tx\n1.0\ty\n",
            "values.tsv: all texts have the same number",
        ),
        (
            "values.tsv",
            "1\tx\nnan\ty\n",
            "values.tsv, line 2: \"nan\" is no number to learn",
        ),
        (
            "values.jsonl",
            "{\"text\":\"x\",\"label\":1e39}",
            "values.jsonl, line 1: 1e39 is beyond",
        ),
        (
            "values.jsonl",
            "{\"text\":\"x\",\"label\":[]}",
            "values.jsonl, line 1: a list of labels, where a number",
        ),
        (
            "a.csv",
            "label,text\n\"a\u{7}b\",x\n",
            "a.csv, line 2: a control character ('\\u{7}') in the label",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\",\"label\":\"a\\nb\"}",
            "a.jsonl, line 1: a control character ('\\n') in the label",
        ),
        (
            "a.tsv",
            &format!("{label}\tx\n"),
            "a.tsv, line 1: a label of 256 bytes",
        ),
        (
            "a.tsv",
            &many,
            "a.tsv, line 4097: label number 4097, \"l4096\"",
        ),
        (
            "a.tsv",
            &format!("a\tx\nb\t{long}\n"),
            "a.tsv, line 2: longer than 1 MB",
        ),
        (
            "a.csv",
            &format!("label,text\na,\"\n{}\n{}", &long[1..500_001], &long[1..]),
            "a.csv, line 2: a quoted cell of more than 1 MB",
        ),
        (
            "a.csv",
            "label,text\na,x \"y\" z\n",
            "a.csv, line 2: a quote inside a cell",
        ),
        (
            "a.csv",
            "label,text\na,\"x\" y\n",
            "a.csv, line 2: a quote inside a cell",
        ),
        (
            "a.csv",
            "label,text\na,x\nb,\"y\nc,z\n",
            "a.csv, line 3: a quote that is opened here is never closed",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\",\"label\":\"a\"}\n{\"text\":\"x\",",
            "a.jsonl, line 2: broken JSON (column 12: EOF while parsing",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\",\"label\":\"a\"} {}",
            "a.jsonl, line 1: broken JSON (column 26: trailing characters)",
        ),
        (
            "a.jsonl",
            "[1]",
            "a.jsonl, line 1: broken JSON (column 1: invalid type: sequence, expected an object with \"text\")",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\",\"label\":\"a\",\"text\":\"y\"}",
            "a.jsonl, line 1: broken JSON (column 35: the field \"text\" twice)",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\",\"label\":\"a\",\"id\":1,\"id\":2}",
            "a.jsonl, line 1: broken JSON (column 38: the field \"id\" twice)",
        ),
        (
            "a.jsonl",
            "{\"label\":\"a\"}",
            "a.jsonl, line 1: no field \"text\"",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\"}",
            "a.jsonl, line 1: no field \"label\"",
        ),
        (
            "a.jsonl",
            "{\"text\":7,\"label\":\"a\"}",
            "a.jsonl, line 1: \"text\" is a number, not a string",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\",\"label\":null}",
            "a.jsonl, line 1: \"label\" is null; a label is",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\",\"label\":[\"a\",1]}",
            "a.jsonl, line 1: \"label\" has a number in its list",
        ),
        (
            "a.jsonl",
            "{\"text\":\"x\",\"label\":\"a\"}\n{\"text\":\"y\",\"label\":[\"b\"]}",
            "a.jsonl, line 2: a list of labels, where texts have one label each",
        ),
    ] {
        let message = files.refused(name, bytes);
        assert!(message.starts_with(expected), "{message}\n{expected}");
    }
    let just = "x".repeat(999_998);
    let read = files.read("a.tsv", format!("\u{feff}a\t{just}\r\nb\ty\n"));
    assert_eq!(read.unwrap().texts[0], just);
}

#[test]
fn other_encodings_are_named() {
    let files = Files::new();
    assert_eq!(
        files.refused("a.tsv", b"a\tx\nb\tna\xefve\n"),
        "a.tsv, line 2: not UTF-8 (byte 5 of the line is 0xef); convert the file to UTF-8"
    );
    for mark in [0xfeff_u16, 0xfffe] {
        let bytes: Vec<u8> = [mark, 0x61].iter().flat_map(|c| c.to_le_bytes()).collect();
        assert_eq!(
            files.refused("a.csv", bytes),
            "a.csv, line 1: UTF-16; convert the file to UTF-8"
        );
    }
}

#[test]
fn options_are_checked_first() {
    let wrong = [
        ReadOptions {
            label_column: "text".to_owned(),
            ..ReadOptions::default()
        },
        ReadOptions {
            multi_label: Some(String::new()),
            ..ReadOptions::default()
        },
        ReadOptions {
            multi_label: Some("|".to_owned()),
            regression: true,
            ..ReadOptions::default()
        },
    ];
    for options in wrong {
        let error = read(Path::new("absent.tsv"), &options).unwrap_err();
        assert!(matches!(error, Error::Option { .. }), "{error}");
    }
    // Where labels do not matter, neither does their column.
    let files = Files::new();
    let path = files.write("a.csv", "label\none\n");
    let options = ReadOptions {
        text_column: "label".to_owned(),
        ..ReadOptions::default()
    };
    assert_eq!(read_texts(&path, &options).unwrap(), ["one"]);
    let error = read(Path::new("absent.tsv"), &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}
