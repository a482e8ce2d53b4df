//! `flashvec report`: what is on the page, and that there is none where something is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A scratch folder with two images, sentence pairs and a history of three epochs.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (image, name) in [
            ("firmware-examples/models/english-256k.fvec", "large.fvec"),
            ("tests/data/tiny-v3-pq8x8s.fvec", "small.fvec"),
        ] {
            fs::copy(root.join(image), sandbox.path(name)).unwrap();
        }
        let pairs = "5\tturn on the light\tswitch the lamp on\n3\tturn on the light\tturn off the light\n\
                     0\tit is raining on the hills\tplay some music now\n";
        sandbox.write(
            "sts.tsv",
            "score\tsentence1\tsentence2\n".to_owned() + &pairs.repeat(20),
        );
        let epochs = [(0.5, 0.6), (0.3, 0.7), (0.2, 0.65)];
        let epochs = epochs.map(|(loss, held_out)| json!({"loss": loss, "held_out": held_out}));
        sandbox.write("history.json", json!({ "epochs": epochs }).to_string());
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashvec"));
        command.args(args).current_dir(self.0.path());
        command.output().unwrap()
    }

    fn success(&self, args: &[&str]) -> Vec<u8> {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        output.stdout
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.success(&[args, &["--json"]].concat())).unwrap()
    }

    /// The page that the command makes of these arguments.
    fn page(&self, args: &[&str]) -> String {
        let stdout = self.success(&[&["report"], args, &["-o", "page.html"]].concat());
        assert!(stdout.is_empty());
        fs::read_to_string(self.path("page.html")).unwrap()
    }

    /// The one line that a failing command prints. It leaves what was there.
    fn failure(&self, args: &[&str]) -> String {
        let names = || {
            let entries = fs::read_dir(self.0.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        self.write("page.html", "precious");
        let before = names();
        let output = self.run(&[&["report"], args, &["-o", "page.html"]].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?} succeeded");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert_eq!(fs::read(self.path("page.html")).unwrap(), b"precious");
        assert_eq!(names(), before);
        stderr
    }
}

/// The cells of the table rows that begin with this.
fn rows<'a>(page: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let rows = page.lines().filter_map(|line| {
        let cells = line.strip_prefix("<tr><td>")?.strip_suffix("</td></tr>")?;
        cells.starts_with(first).then_some(cells)
    });
    rows.map(|row| row.split("</td><td>").collect()).collect()
}

/// The curves of a colour: of each the points, to the right and downwards.
fn curves(page: &str, colour: &str) -> Vec<Vec<(i32, i32)>> {
    let polylines = page
        .split("<polyline ")
        .skip(1)
        .map(|rest| rest.split("/>").next().unwrap())
        .filter(|tag| tag.contains(&format!("stroke=\"{colour}\"")));
    let points = polylines.map(|tag| {
        let points = tag.split("points=\"").nth(1).unwrap();
        let points = points.split('"').next().unwrap().split_whitespace();
        points
            .map(|point| {
                let (x, y) = point.split_once(',').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            })
            .collect()
    });
    // A line of this width is the sample of a legend.
    points
        .filter(|points: &Vec<(i32, i32)>| points.len() > 2 || points[1].0 - points[0].0 != 20)
        .collect()
}

#[test]
fn the_page_says_what_models_are_and_what_they_score() {
    let sandbox = Sandbox::new();
    let sets = ["large.fvec", "small.fvec", "--sts", "sts.tsv"];
    let page = sandbox.page(&[&sets[..], &["--history", "history.json"]].concat());
    let evaluated = sandbox.json(&[&["eval"], &sets[..], &["--by-length"]].concat());
    for (at, name) in ["large.fvec", "small.fvec"].into_iter().enumerate() {
        let rows = rows(&page, &format!("{}. {name}", at + 1));
        let [facts, bytes, scores, lengths] = &rows[..] else {
            panic!("{rows:?}");
        };
        let inspected = sandbox.json(&["inspect", name]);
        let said = ["bytes", "tokens", "dims"].map(|fact| inspected[fact].to_string());
        assert_eq!(facts[1..4], said);
        let provenance = &inspected["provenance"];
        assert_eq!(facts[4], inspected["codec"]);
        assert_eq!(facts[5], provenance["teacher"]);
        let licence = provenance["licence"].as_str().unwrap();
        assert_eq!(facts[6], if licence.is_empty() { "-" } else { licence });
        let command = provenance["command"].as_str().unwrap();
        assert!(
            page.contains(&format!("<code>{command}</code>")),
            "{command}"
        );
        // All groups of bytes make up the file.
        let sum: u64 = bytes[2..]
            .iter()
            .map(|len| len.parse::<u64>().unwrap())
            .sum();
        assert_eq!(inspected["bytes"], sum);

        let sts = &evaluated["models"][at]["sts"][0];
        let spearman = |of: &Value| format!("{:.2}", of["spearman"].as_f64().unwrap());
        assert_eq!(scores[1..], [inspected["bytes"].to_string(), spearman(sts)]);
        assert_eq!(lengths[1], format!("{} ({})", spearman(sts), sts["pairs"]));
        for (cell, length) in lengths[2..]
            .iter()
            .zip(sts["by_length"].as_array().unwrap())
        {
            let score = match &length["spearman"] {
                Value::Null => "-".to_owned(),
                _ => spearman(length),
            };
            assert_eq!(*cell, format!("{score} ({})", length["pairs"]));
        }
        assert_eq!(lengths.len(), 2 + 4);
    }

    // Bytes, training and scores.
    assert_eq!(page.matches("<svg ").count(), 3);
    let first = curves(&page, "#0072B2");
    let [loss, spearman] = &first[..] else {
        panic!("{first:?}");
    };
    let [cosine] = &curves(&page, "#D55E00")[..] else {
        panic!("{page}");
    };
    assert!(loss[0].1 < loss[1].1 && loss[1].1 < loss[2].1, "{loss:?}");
    assert!(cosine[1].1 < cosine[2].1 && cosine[2].1 < cosine[0].1);
    // By size, not in the order of the arguments.
    assert!(spearman.len() == 2 && spearman[0].0 < spearman[1].0);

    assert!(page.contains("color-scheme:light dark"));
    for fetched in ["src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(fetched), "{fetched}");
    }
}

#[test]
fn sets_of_every_kind_are_drawn_and_tabled() {
    let sandbox = Sandbox::new();
    let texts = "music\tplay a song\nlight\tturn on the light\nmusic\tplay music\nlight\tswitch off the lamp\n";
    sandbox.write("train.tsv", texts);
    fs::create_dir(sandbox.path("lamps")).unwrap();
    sandbox.write(
        "lamps/corpus.tsv",
        "doc_id\ttext\nd1\tthe dog ran\nd2\tthe light\n",
    );
    sandbox.write(
        "lamps/queries.tsv",
        "query_id\ttext\nq1\tturn on the light\n",
    );
    sandbox.write("lamps/qrels.tsv", "query_id\tdoc_id\tgrade\nq1\td2\t1\n");
    let args = "small.fvec large.fvec --sts sts.tsv sts.tsv --classify train.tsv train.tsv --retrieval lamps";
    let args: Vec<&str> = args.split(' ').collect();
    let page = sandbox.page(&args);
    let evaluated = sandbox.json(&[&["eval"], &args[..]].concat());
    let model = &evaluated["models"][0];
    let scores = [
        &model["sts"][0]["spearman"],
        &model["sts"][1]["spearman"],
        &model["classify"][0]["accuracy"],
        &model["classify"][0]["macro_f1"],
        &model["retrieval"][0]["ndcg_at_10"],
    ];
    let scores = scores.map(|score| format!("{:.2}", score.as_f64().unwrap()));
    assert_eq!(rows(&page, "1. small.fvec")[2][2..], scores);
    // Bytes, and each kind of set.
    assert_eq!(page.matches("<svg ").count(), 4);
    for metric in ["Spearman × 100", "accuracy × 100", "nDCG@10 × 100"] {
        assert!(page.contains(metric), "{metric}");
    }
}

#[test]
fn one_model_alone_has_its_size() {
    let sandbox = Sandbox::new();
    let page = sandbox.page(&["small.fvec", "--title", "Small & <fast>"]);
    assert!(page.contains("<title>Small &amp; &lt;fast&gt;</title>"));
    assert!(page.contains("<h1>Small &amp; &lt;fast&gt;</h1>"));
    assert_eq!(page.matches("<svg ").count(), 1);
    assert!(!page.contains("Training") && !page.contains("Scores"));
    // With scores, but nothing to draw a line through.
    let page = sandbox.page(&["small.fvec", "--sts", "sts.tsv"]);
    assert_eq!(page.matches("<svg ").count(), 1);
    assert!(page.contains("Scores") && page.contains("Spearman by length"));
    // A folder is what `convert` would make of it.
    sandbox.success(&["convert", "small.fvec", "-o", "folder"]);
    let page = sandbox.page(&["folder"]);
    assert_eq!(rows(&page, "1. folder")[0][4], "f32");
    assert!(page.contains("Model2Vec folder") && !page.contains("flashvec report folder"));
}

#[cfg(unix)]
#[test]
fn names_of_files_are_text() {
    let sandbox = Sandbox::new();
    for (from, to) in [("small.fvec", "<b>&1.fvec"), ("sts.tsv", "<i>.tsv")] {
        fs::rename(sandbox.path(from), sandbox.path(to)).unwrap();
    }
    let page = sandbox.page(&["<b>&1.fvec", "large.fvec", "--sts", "<i>.tsv"]);
    assert_eq!(rows(&page, "1. &lt;b&gt;&amp;1.fvec").len(), 4);
    // In the head of a table, above one, and in the plot.
    assert_eq!(page.matches("&lt;i&gt;.tsv").count(), 3);
    assert!(!page.contains("<b>") && !page.contains("<i>"));
}

#[test]
fn histories_of_any_length_are_drawn() {
    let sandbox = Sandbox::new();
    for (count, loss) in [(1, 0.0), (2, 0.5), (700, 1e-7), (30, -1e6)] {
        let epochs = vec![json!({"loss": loss, "held_out": 0.5, "seconds": 3}); count];
        sandbox.write("history.json", json!({ "epochs": epochs }).to_string());
        let page = sandbox.page(&["small.fvec", "--history", "history.json"]);
        assert_eq!(page.matches("<svg ").count(), 2);
        assert!(page.contains(&format!("After epoch {count} ")));
    }
}

#[test]
fn what_is_wrong_is_said_before_anything_is_written() {
    let sandbox = Sandbox::new();
    let epoch = "{\"loss\": 1, \"held_out\": 0.5}";
    for (history, expected) in [
        ("nonsense", "line 1 column 2"),
        ("{\"epochs\": [", "line 1 column 12"),
        (
            "{\"epochs\": [\n{\"loss\": 1}\n]}",
            "missing field `held_out` at line 2",
        ),
        (
            "{\"epochs\": [{\"loss\": \"low\", \"held_out\": 1}]}",
            "invalid type: string \"low\"",
        ),
        (
            "{\"epochs\": [{\"loss\": null, \"held_out\": 1}]}",
            "invalid type: null",
        ),
        ("{\"epochs\": []}", "no epochs"),
        ("{}", "missing field `epochs`"),
        ("", "line 1 column 0"),
        (
            &format!("{{\"epochs\": [{epoch}, {{\"loss\": 1e300, \"held_out\": 0.5}}]}}"),
            "epoch 2: loss",
        ),
        (
            &format!("{{\"epochs\": [{epoch}, {{\"loss\": 1, \"held_out\": -2e6}}]}}"),
            "epoch 2: held_out",
        ),
    ] {
        sandbox.write("bad.json", history);
        let message = sandbox.failure(&["small.fvec", "--history", "bad.json"]);
        assert!(
            message.contains("bad.json: ") && message.contains(expected),
            "{history}: {message}"
        );
    }
    sandbox.write("bad.fvec", "certainly not an image");
    let mut damaged = fs::read(sandbox.path("small.fvec")).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    sandbox.write("damaged.fvec", damaged);
    for (args, expected) in [
        (["small.fvec", "--history", "absent.json"], "absent.json"),
        (["small.fvec", "--sts", "absent.tsv"], "absent.tsv"),
        // The model comes first: sets may take long.
        (["bad.fvec", "--sts", "absent.tsv"], "bad.fvec"),
        (["damaged.fvec", "--sts", "absent.tsv"], "damaged.fvec: "),
        (["absent.fvec", "--sts", "sts.tsv"], "absent.fvec"),
    ] {
        let message = sandbox.failure(&args);
        assert!(message.contains(expected), "{message}");
    }
    let output = sandbox.run(&["report", "small.fvec", "-o", "absent/page.html"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && message.contains("absent/page.html"),
        "{message}"
    );
}
