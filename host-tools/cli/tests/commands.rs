//! The command line on good and bad input: output, exit codes, one line on stderr, files left whole.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use tempfile::TempDir;

/// A scratch folder with a copy of the committed example image.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../firmware-examples/models/english-256k.fvec");
        fs::copy(example, folder.path().join("model.fvec")).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn run(&self, args: &[&str], stdin: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_flashvec"))
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails early closes its input, which is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn stdout(&self, args: &[&str], stdin: &str) -> String {
        let output = self.run(args, stdin);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.stdout(args, "")).unwrap()
    }

    /// A folder for `eval --retrieval`, with these judgements.
    fn write_retrieval(&self, name: &str, qrels: &str) {
        fs::create_dir_all(self.path(name)).unwrap();
        self.write(
            &format!("{name}/corpus.tsv"),
            "doc_id\ttitle\ttext\nd1\tdogs\tthe dog ran home\nd2\tlamps\tturn on the light\n",
        );
        self.write(
            &format!("{name}/queries.tsv"),
            "query_id\ttext\nq1\tlamps turn on the light\nq2\tnobody answers this\n",
        );
        self.write(&format!("{name}/qrels.tsv"), qrels);
    }

    /// The one line that a failing command prints.
    fn failure(&self, args: &[&str], stdin: &str) -> String {
        let output = self.run(args, stdin);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?} succeeded");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn tokenize_prints_a_json_array_a_line() {
    let sandbox = Sandbox::new();
    let tokens = sandbox.stdout(&["tokenize", "model.fvec"], "Turn on the light!\n\n");
    assert_eq!(tokens, "[\"turn\",\"on\",\"the\",\"light\",\"!\"]\n[]\n");
    let ids = sandbox.stdout(&["tokenize", "model.fvec", "--ids"], "the\n");
    assert!(serde_json::from_str::<Vec<u32>>(ids.trim()).unwrap().len() == 1);
}

#[test]
fn encode_gives_one_row_a_line_in_order() {
    let sandbox = Sandbox::new();
    let lines = sandbox.stdout(
        &["encode", "model.fvec"],
        "turn on the light\n\nplay music\n",
    );
    let rows: Vec<Vec<f32>> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        rows.iter().map(Vec::len).collect::<Vec<_>>(),
        [256, 256, 256]
    );
    assert!(rows[1].iter().all(|&x| x == 0.0));

    sandbox.write(
        "texts.jsonl",
        "{\"text\": \"turn on the light\"}\n\"\"\n{\"text\": \"play music\"}\n",
    );
    let from_json = sandbox.stdout(
        &[
            "encode",
            "model.fvec",
            "--input",
            "texts.jsonl",
            "--json-lines",
        ],
        "",
    );
    assert_eq!(from_json, lines);

    sandbox.stdout(
        &["encode", "model.fvec", "-o", "out.npy"],
        "turn on the light\n\nplay music\n",
    );
    let npy = fs::read(sandbox.path("out.npy")).unwrap();
    assert!(npy.starts_with(b"\x93NUMPY\x01\x00"));
    assert!(String::from_utf8_lossy(&npy[..128]).contains("'shape': (3, 256)"));
    let values: Vec<f32> = npy[128..]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect();
    assert_eq!(values, rows.concat());
}

/// The numbers of an npy file.
fn npy_values(bytes: &[u8]) -> Vec<f32> {
    let values = bytes[128..].as_chunks::<4>().0;
    values.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

/// Texts that fill many blocks: short and long lines, and one that is longer than a block.
fn many_texts() -> String {
    let mut texts = String::new();
    for line in 0..60_000 {
        let words = ["turn", "on", "the", "light", "größer", "2024", "!"];
        let word = |at: usize| words[(line * 7 + at * (line % 5 + 1)) % words.len()];
        let count = if line % 97 == 0 { 300 } else { line % 19 };
        let text: Vec<&str> = (0..count).map(word).collect();
        texts.push_str(&text.join(" "));
        texts.push_str(&format!(" {line}\n"));
        if line == 9_999 {
            texts.push_str(&"a long line ".repeat(60_000));
            texts.push('\n');
        }
    }
    assert!(texts.len() > 3_000_000);
    texts
}

#[test]
fn encode_gives_the_same_bytes_whatever_the_threads_and_the_blocks() {
    let sandbox = Sandbox::new();
    let texts = many_texts();
    sandbox.write("texts.txt", &texts);
    for output in ["out.npy", "out.arrow", "out.jsonl"] {
        let encode = |threads: &str, input: &str, stdin: &str| {
            let mut args = vec!["encode", "model.fvec", "-o", output, "--threads", threads];
            if !input.is_empty() {
                args.extend(["--input", input]);
            }
            sandbox.stdout(&args, stdin);
            fs::read(sandbox.path(output)).unwrap()
        };
        let one = encode("1", "texts.txt", "");
        assert!(one == encode("4", "texts.txt", ""), "{output}");
        assert!(one == encode("3", "", &texts), "{output}");
    }
    let values = npy_values(&fs::read(sandbox.path("out.npy")).unwrap());
    assert_eq!(values.len(), 256 * 60_001);

    // As the library encodes each text.
    let image = fs::read(sandbox.path("model.fvec")).unwrap();
    let model = flashvec::Model::from_bytes(&image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    for (text, row) in texts.lines().zip(values.chunks_exact(256)) {
        assert!(model.encode(text, &mut scratch).unwrap() == row);
    }
    let lines = fs::read_to_string(sandbox.path("out.jsonl")).unwrap();
    let from_json = lines
        .lines()
        .flat_map(|line| serde_json::from_str::<Vec<f32>>(line).unwrap());
    assert!(from_json.eq(values.iter().copied()));

    let file = fs::File::open(sandbox.path("out.arrow")).unwrap();
    let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
    let mut from_arrow = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        assert_eq!(batch.schema().field(0).name(), "embedding");
        let lists = batch.column(0).as_fixed_size_list().clone();
        assert_eq!(lists.value_length(), 256);
        from_arrow.extend_from_slice(lists.values().as_primitive::<Float32Type>().values());
    }
    assert!(from_arrow == values);
}

#[test]
fn encode_writes_files_without_rows() {
    let sandbox = Sandbox::new();
    for (output, expected) in [
        ("out.npy", &b"'shape': (0, 256)"[..]),
        ("out.arrow", b"ARROW1"),
    ] {
        sandbox.stdout(&["encode", "model.fvec", "-o", output], "");
        let bytes = fs::read(sandbox.path(output)).unwrap();
        assert!(bytes.windows(expected.len()).any(|bytes| bytes == expected));
    }
    assert_eq!(sandbox.stdout(&["encode", "model.fvec"], ""), "");
}

#[test]
fn encode_names_the_first_bad_line_of_any_block() {
    let sandbox = Sandbox::new();
    let lines = 200_000;
    let mut texts = b"turn on the light\n".repeat(lines);
    texts.extend(b"good\nnot \xFF good\n");
    texts.extend(b"\xFF\n".repeat(lines));
    sandbox.write("texts.txt", &texts);
    sandbox.write("old.npy", "precious");
    for threads in ["1", "4"] {
        let args = [
            "encode",
            "model.fvec",
            "--input",
            "texts.txt",
            "-o",
            "old.npy",
            "--threads",
            threads,
        ];
        let message = sandbox.failure(&args, "");
        assert!(
            message.contains(&format!("line {}:", lines + 2)) && message.contains("byte 5"),
            "{message}"
        );
        assert_eq!(fs::read(sandbox.path("old.npy")).unwrap(), b"precious");
    }
    // What is no JSON comes before what is no UTF-8.
    let mut texts = b"\"turn on the light\"\n".repeat(lines);
    texts.extend(b"nonsense\n\xFF\n");
    sandbox.write("texts.jsonl", &texts);
    let args = [
        "encode",
        "model.fvec",
        "--input",
        "texts.jsonl",
        "--json-lines",
        "-o",
        "x.npy",
    ];
    let message = sandbox.failure(&args, "");
    assert!(
        message.contains(&format!("line {}:", lines + 1)),
        "{message}"
    );
    assert_eq!(
        sandbox.files(),
        ["model.fvec", "old.npy", "texts.jsonl", "texts.txt"]
    );
}

#[test]
fn bench_reports_every_way() {
    let sandbox = Sandbox::new();
    sandbox.write("texts.txt", "turn on the light\nplay music\n");
    let bench = [
        "bench",
        "model.fvec",
        "texts.txt",
        "--threads",
        "2",
        "--rounds",
        "2",
    ];
    let report = sandbox.json(&[&bench[..], &["--json"]].concat());
    assert_eq!(
        (&report["texts"], &report["tokens"]),
        (&2.into(), &6.into())
    );
    let measured = report["measured"].as_array().unwrap();
    assert_eq!(measured.len(), 4);
    for way in measured {
        assert!(way["texts_per_s"].as_f64().unwrap() > 0.0, "{way}");
    }
    assert!(sandbox.stdout(&bench, "").contains("memory"));
    sandbox.write("texts.txt", "");
    assert!(sandbox.failure(&bench, "").contains("no texts"));
}

#[test]
fn inspect_accounts_for_every_byte() {
    let sandbox = Sandbox::new();
    let report = sandbox.stdout(&["inspect", "model.fvec", "--json"], "");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let parts = report["parts"].as_array().unwrap();
    let sum: u64 = parts
        .iter()
        .map(|part| part["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, fs::metadata(sandbox.path("model.fvec")).unwrap().len());
    assert_eq!(report["bytes"], sum);
    assert!(
        sandbox
            .stdout(&["inspect", "model.fvec"], "")
            .contains("whole image")
    );
    assert!(
        sandbox
            .stdout(&["verify", "model.fvec"], "")
            .contains("sound")
    );
}

#[test]
fn eval_prints_spearman() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "sts.tsv",
        "score\tsentence1\tsentence2\n5.0\tturn on the light\tTurn on the light!\n\
         3.0\tturn on the light\tturn off the light\n0.0\tturn on the light\tthe dog ran home\n",
    );
    let report = sandbox.stdout(&["eval", "model.fvec", "--sts", "sts.tsv", "--json"], "");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["sts"][0]["pairs"], 3);
    assert!(report["sts"][0]["spearman"].as_f64().unwrap() > 0.0);
    sandbox.write(
        "bad.tsv",
        "score\tsentence1\tsentence2\n1.0\ta\tb\nx\ta\tb\n",
    );
    assert!(
        sandbox
            .failure(&["eval", "model.fvec", "--sts", "bad.tsv"], "")
            .contains("line 3")
    );
    sandbox.write("bad.tsv", "1.0\ta\n");
    assert!(
        sandbox
            .failure(&["eval", "model.fvec", "--sts", "bad.tsv"], "")
            .contains("2 columns")
    );
}

/// Two labels that any model can tell apart.
const TRAIN: &str = "label\ttext\nmusic\tplay a song\nlight\tturn on the light\n\
                     music\tplay some music\nlight\tswitch off the lamp\n";

#[test]
fn eval_classifies() {
    let sandbox = Sandbox::new();
    sandbox.write("train.tsv", TRAIN);
    // Columns are found by their names; line ends may be those of Windows.
    sandbox.write(
        "test.tsv",
        "text\tid\tlabel\r\nplay a song\t1\tmusic\r\nthe light\t2\tlight\r\n",
    );
    let eval = ["eval", "model.fvec", "--classify", "train.tsv", "test.tsv"];
    let report = sandbox.json(&[&eval[..], &["--json"]].concat());
    let score = &report["classify"][0];
    assert_eq!(score["texts"], 2);
    assert_eq!(score["labels"], 2);
    assert_eq!(score["accuracy"], 100.0);
    assert_eq!(score["macro_f1"], 100.0);
    assert!(sandbox.stdout(&eval, "").contains("100.00"));

    // Without a header line, and with a label that nobody could know.
    sandbox.write("test.tsv", "music\tplay a song\nweather\tis it raining\n");
    let output = sandbox.run(&[&eval[..], &["--json"]].concat(), "");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("weather")
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["classify"][0]["accuracy"], 50.0);

    for (test, expected) in [
        (
            "label\ttext\nmusic\tplay\nmusic\tplay\tnow\n",
            "line 3: 3 columns",
        ),
        ("label\tsentence\nmusic\tplay\n", "\"text\""),
        ("label\ttext\n\tplay\n", "line 2"),
        ("label\ttext\n", "no texts"),
        ("", "empty"),
    ] {
        sandbox.write("test.tsv", test);
        let message = sandbox.failure(&eval, "");
        assert!(
            message.contains("test.tsv") && message.contains(expected),
            "{message}"
        );
    }
    sandbox.write("train.tsv", "label\ttext\nmusic\tplay a song\n");
    sandbox.write("test.tsv", TRAIN);
    assert!(sandbox.failure(&eval, "").contains("two labels"));
}

#[test]
fn eval_learns_from_a_few_examples() {
    let sandbox = Sandbox::new();
    // One text of a label is there twice: both of its distinct texts are drawn every time.
    sandbox.write("train.tsv", format!("{TRAIN}music\tplay a song\n"));
    sandbox.write(
        "test.tsv",
        "label\ttext\nmusic\tplay a song\nlight\tthe light\nweather\tis it raining\nmusic\t\n",
    );
    sandbox.write("unrelated.tsv", "text\nabsolute zero\nturn on the light\n");
    let eval = [
        "eval",
        "model.fvec",
        "--few-shot",
        "train.tsv",
        "test.tsv",
        "--examples",
        "2",
    ];
    let report = sandbox.json(&[&eval[..], &["--unrelated", "unrelated.tsv", "--json"]].concat());
    let score = &report["few_shot"][0];
    assert_eq!((&score["texts"], &score["labels"]), (&4.into(), &2.into()));
    assert_eq!(
        (&score["examples"], &score["draws"]),
        (&2.into(), &100.into())
    );
    assert_eq!(
        (&score["accuracy"], &score["accuracy_deviation"]),
        (&50.0.into(), &0.0.into())
    );
    assert_eq!(score["unrelated_rejected"], 50.0);
    assert!(sandbox.stdout(&eval, "").contains("50.00"));

    let both = [
        "eval",
        "model.fvec",
        "model.fvec",
        "--few-shot",
        "train.tsv",
        "test.tsv",
    ];
    let one_example = [&both[..], &["--examples", "1", "--draws", "3"]].concat();
    let table = sandbox.stdout(&one_example, "");
    assert!(table.contains("1-shot accuracy"), "{table}");
    assert_eq!(sandbox.stdout(&one_example, ""), table);
    sandbox.write("test.tsv", "label\ttext\n");
    assert!(sandbox.failure(&eval, "").contains("no texts"));
}

#[test]
fn eval_retrieves() {
    let sandbox = Sandbox::new();
    let header = "query_id\tdoc_id\tgrade\n";
    sandbox.write_retrieval("lamps", &format!("{header}q1\td2\t1\nq2\td1\t0\n"));
    let report = sandbox.json(&["eval", "model.fvec", "--retrieval", "lamps", "--json"]);
    let score = &report["retrieval"][0];
    assert_eq!(score["documents"], 2);
    assert_eq!(score["queries"], 1);
    assert_eq!(score["ndcg_at_10"], 100.0);

    for (rows, expected) in [
        (
            "q1\td2\t1\nq1\td9\t1\n",
            "line 3: corpus.tsv has no document \"d9\"",
        ),
        ("q7\td2\t1\n", "queries.tsv has no query \"q7\""),
        ("q1\td2\tgood\n", "\"good\" is not a number"),
        ("q1\td2\t1\nq1\td2\t2\n", "line 3"),
        ("q1\td2\t-1\n", "grade above 0"),
    ] {
        sandbox.write_retrieval("lamps", &format!("{header}{rows}"));
        let message = sandbox.failure(&["eval", "model.fvec", "--retrieval", "lamps"], "");
        assert!(
            message.contains("qrels.tsv") && message.contains(expected),
            "{message}"
        );
    }
    sandbox.write("lamps/corpus.tsv", "doc_id\ttext\nd1\tdogs\nd1\tlamps\n");
    let message = sandbox.failure(&["eval", "model.fvec", "--retrieval", "lamps"], "");
    assert!(
        message.contains("line 3") && message.contains("line 2"),
        "{message}"
    );
}

#[test]
fn eval_compares_models_in_one_table() {
    let sandbox = Sandbox::new();
    fs::copy(sandbox.path("model.fvec"), sandbox.path("other.fvec")).unwrap();
    let pairs =
        "3.0\tturn on the light\tturn off the light\n1.0\tturn on the light\tthe dog ran home\n";
    let sts = "score\tsentence1\tsentence2\n".to_owned() + &pairs.repeat(10);
    sandbox.write("sts.tsv", sts + "5.0\tturn\tturn\n");
    sandbox.write("train.tsv", TRAIN);
    sandbox.write_retrieval("lamps", "query_id\tdoc_id\tgrade\nq1\td2\t1\n");
    let sets = [
        "--sts",
        "sts.tsv",
        "--by-length",
        "--classify",
        "train.tsv",
        "train.tsv",
        "--classify",
        "train.tsv",
        "train.tsv",
        "--retrieval",
        "lamps",
    ];
    let both = [&["eval", "model.fvec", "other.fvec"], &sets[..]].concat();
    let report = sandbox.json(&[&both[..], &["--json"]].concat());
    let one = sandbox.json(&[&["eval", "model.fvec"], &sets[..], &["--json"]].concat());
    assert_eq!(report["models"][0], one);
    assert_eq!(report["models"][1]["model"], "other.fvec");
    assert_eq!(report["models"][1]["sts"], one["sts"]);
    assert_eq!(
        one["bytes"],
        fs::metadata(sandbox.path("model.fvec")).unwrap().len()
    );
    assert_eq!(one["classify"].as_array().unwrap().len(), 2);
    let lengths = one["sts"][0]["by_length"].as_array().unwrap();
    let counts: Vec<u64> = lengths
        .iter()
        .map(|length| length["pairs"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [1, 20, 0, 0]);
    assert_eq!(lengths[0]["spearman"], serde_json::Value::Null);
    assert!(lengths[1]["spearman"].is_f64());

    let table = sandbox.stdout(&both, "");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(
        lines[0].contains("sts.tsv") && lines[0].contains("lamps"),
        "{table}"
    );
    assert!(
        lines[1].contains("macro-F1") && lines[1].contains("nDCG@10"),
        "{table}"
    );
    assert!(lines[2].starts_with("model.fvec") && lines[3].starts_with("other.fvec"));
    assert!(lines[2].contains("- (1)"), "{table}");

    let message = sandbox.failure(&["eval", "model.fvec"], "");
    assert!(
        message.contains("--sts") && message.contains("--retrieval"),
        "{message}"
    );
}

#[test]
fn an_image_converts_to_a_folder_and_back() {
    let sandbox = Sandbox::new();
    sandbox.stdout(&["convert", "model.fvec", "-o", "folder"], "");
    sandbox.stdout(&["convert", "folder", "-o", "again.fvec"], "");
    let text = "turn on the kitchen light, s'il vous plaît\n";
    let tokens = sandbox.stdout(&["tokenize", "model.fvec"], text);
    assert_eq!(tokens, sandbox.stdout(&["tokenize", "again.fvec"], text));
    let embedding = |model: &str| -> Vec<f32> {
        serde_json::from_str(&sandbox.stdout(&["encode", model], text)).unwrap()
    };
    for (a, b) in embedding("model.fvec").iter().zip(embedding("again.fvec")) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    // A folder serves as a model as it is.
    assert_eq!(tokens, sandbox.stdout(&["tokenize", "folder"], text));
}

#[test]
fn flash_makes_an_image_of_the_size_and_says_what_was_chosen() {
    let sandbox = Sandbox::new();
    let args = [
        "convert",
        "model.fvec",
        "--flash",
        "48K",
        "-o",
        "small.fvec",
    ];
    let output = sandbox.run(&args, "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("of 12590 tokens") && said.contains("of 49152 bytes"),
        "{said}"
    );
    let bytes = fs::metadata(sandbox.path("small.fvec")).unwrap().len();
    assert!((48_000..=49_152).contains(&bytes), "{bytes}");
    let tokens = sandbox.stdout(&["tokenize", "small.fvec"], "turn on the light");
    // Words whose tokens went are in pieces.
    let tokens: Vec<String> = serde_json::from_str(&tokens).unwrap();
    assert_eq!(tokens.concat().replace("##", ""), "turnonthelight");

    let before = fs::read(sandbox.path("small.fvec")).unwrap();
    let args = ["convert", "model.fvec", "--flash", "1K", "-o", "small.fvec"];
    let error = sandbox.failure(&args, "");
    assert!(
        error.contains("1024 bytes are too few") && error.contains("smallest"),
        "{error}"
    );
    assert_eq!(fs::read(sandbox.path("small.fvec")).unwrap(), before);

    let args = ["convert", "model.fvec", "--codec", "int4", "-o", "folder"];
    assert!(sandbox.failure(&args, "").contains("cannot hold int4 rows"));
    let args = ["convert", "model.fvec", "--flash", "48K", "-o", "folder"];
    assert!(sandbox.failure(&args, "").contains("ends in .fvec"));
    assert_eq!(sandbox.files(), ["model.fvec", "small.fvec"]);
}

#[test]
fn pareto_scores_sizes_and_writes_one_page() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pairs.tsv",
        "score\tsentence1\tsentence2\n5\tturn on the light\tswitch the lamp on\n\
         2\tturn on the light\tturn off the music\n0\tit is raining\tplay some music\n",
    );
    let args = [
        "pareto",
        "model.fvec",
        "--sts",
        "pairs.tsv",
        "--sizes",
        "24K",
        "64K",
        "-o",
        "page.html",
        "--json",
    ];
    let report = sandbox.json(&args);
    let models = report["models"].as_array().unwrap();
    assert_eq!(
        (models.len(), report["peers"].as_array().unwrap().len()),
        (2, 3)
    );
    for (model, most) in models.iter().zip([24 * 1024, 64 * 1024]) {
        assert!(model["bytes"].as_u64().unwrap() <= most, "{model}");
        assert!(model["sts"][0]["spearman"].is_number(), "{model}");
        assert_eq!(model["sts"][0]["by_length"].as_array().unwrap().len(), 4);
    }
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("pairs.tsv") && !page.contains("src="));
    assert_eq!(sandbox.files(), ["model.fvec", "page.html", "pairs.tsv"]);
}

#[test]
fn bad_images_are_refused_in_one_line() {
    let sandbox = Sandbox::new();
    let good = fs::read(sandbox.path("model.fvec")).unwrap();
    let mut corrupted = good.clone();
    corrupted[good.len() / 2] ^= 1;
    let mut newer = good.clone();
    newer[4] = 0xFF;
    let cases: [(&str, &[u8], &str); 6] = [
        ("empty.fvec", b"", "not a flashvec image"),
        (
            "random.fvec",
            b"certainly not an image",
            "not a flashvec image",
        ),
        ("short.fvec", &good[..10], "truncated"),
        ("truncated.fvec", &good[..good.len() - 1], "truncated"),
        ("corrupted.fvec", &corrupted, "checksum"),
        ("newer.fvec", &newer, "version 255"),
    ];
    for (name, bytes, expected) in cases {
        sandbox.write(name, bytes);
        for command in ["verify", "inspect", "tokenize", "encode"] {
            let message = sandbox.failure(&[command, name], "");
            assert!(
                message.contains(name) && message.contains(expected),
                "{command}: {message}"
            );
        }
        let message = sandbox.failure(&["convert", name, "-o", "out"], "");
        assert!(message.contains(expected), "{message}");
    }
    assert!(
        sandbox
            .failure(&["verify", "missing.fvec"], "")
            .contains("missing.fvec")
    );
}

#[test]
fn texts_that_are_not_utf8_are_named_by_line() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("texts.txt", b"fine\nalso fine\nnot \xFF fine\n");
    let input = path.to_str().unwrap();
    sandbox.write("old.npy", "precious");
    let message = sandbox.failure(
        &["encode", "model.fvec", "--input", input, "-o", "old.npy"],
        "",
    );
    assert!(
        message.contains("line 3") && message.contains("byte 5"),
        "{message}"
    );
    assert_eq!(fs::read(sandbox.path("old.npy")).unwrap(), b"precious");
    sandbox.write("texts.jsonl", "\"fine\"\n{\"no\": 1}\n");
    let message = sandbox.failure(
        &[
            "encode",
            "model.fvec",
            "--input",
            "texts.jsonl",
            "--json-lines",
        ],
        "",
    );
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn nothing_is_left_behind_where_output_cannot_go() {
    let sandbox = Sandbox::new();
    let before = sandbox.files();
    sandbox.failure(&["convert", "model.fvec", "-o", "missing/out.fvec"], "");
    sandbox.failure(&["encode", "model.fvec", "-o", "missing/out.npy"], "text\n");
    sandbox.failure(&["distill", "no-such-folder", "-o", "out.fvec"], "");
    sandbox.failure(&["convert", "no-such-folder", "-o", "out.fvec"], "");
    assert_eq!(sandbox.files(), before);
    // A full disk: what was there stays.
    if Path::new("/dev/full").exists() {
        let message = sandbox.failure(&["convert", "model.fvec", "-o", "/dev/full/out.fvec"], "");
        assert!(message.contains("/dev/full"), "{message}");
    }
    // A folder that is no model is not replaced.
    fs::create_dir(sandbox.path("photos")).unwrap();
    sandbox.write("photos/cat.jpg", "meow");
    sandbox.failure(&["convert", "model.fvec", "-o", "photos"], "");
    assert_eq!(fs::read(sandbox.path("photos/cat.jpg")).unwrap(), b"meow");
}

#[test]
fn teachers_that_cannot_be_used_are_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("teacher")).unwrap();
    let message = sandbox.failure(&["distill", "teacher", "-o", "out.fvec"], "");
    assert!(message.contains("config.json"), "{message}");
    sandbox.write("teacher/config.json", "{\"model_type\": \"bert\"}");
    sandbox.write("teacher/tokenizer.json", "{}");
    let message = sandbox.failure(&["distill", "teacher", "-o", "out.fvec"], "");
    assert!(message.contains("model.safetensors"), "{message}");
    assert_eq!(sandbox.files(), ["model.fvec", "teacher"]);
}

#[test]
fn help_has_an_example_for_every_command() {
    let sandbox = Sandbox::new();
    for command in [
        "distill", "convert", "encode", "tokenize", "eval", "pareto", "report", "inspect",
        "verify", "bench",
    ] {
        let help = sandbox.stdout(&[command, "--help"], "");
        assert!(help.contains(&format!("flashvec {command}")), "{help}");
        assert!(help.contains("Example"), "{help}");
    }
}
