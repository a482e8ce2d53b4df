//! `cargo xtask bench-peers`: sentences a second beside the peers', rounds taken in turn.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::inputs;
use crate::shell::{self, Failure, Result, fail, say};

/// The crate around model2vec-rs, outside the workspace: nothing else needs what it depends on.
const RUST_PEER: &str = "tests/peers/model2vec-rs";

/// A program that has loaded a model and texts, and times a round over all texts when told to.
struct Peer {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Peer {
    fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let broken = |error| Failure::new(format!("cannot run {name}: {error}"));
        // One core each, whatever a library would take.
        for variable in [
            "RAYON_NUM_THREADS",
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
        ] {
            command.env(variable, "1");
        }
        command.env("TOKENIZERS_PARALLELISM", "false");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(broken)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return fail(format!("{name} has no standard input and output"));
        };
        let mut peer = Self {
            name,
            child,
            stdin,
            stdout: BufReader::new(stdout),
        };
        match peer.answer()?.as_str() {
            "ready" => Ok(peer),
            other => fail(format!("{name} said {other:?} instead of ready")),
        }
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line) {
            Ok(read) if read > 0 => Ok(line.trim().to_owned()),
            _ => fail(format!("{} ended early; its message is above", self.name)),
        }
    }

    /// The seconds of a round.
    fn round(&mut self, mode: &str) -> Result<f64> {
        writeln!(self.stdin, "{mode}")
            .map_err(|error| Failure::new(format!("cannot tell {}: {error}", self.name)))?;
        let answer = self.answer()?;
        answer
            .parse()
            .map_err(|_| Failure::new(format!("{} said {answer:?}", self.name)))
    }

    /// Lets the program end by itself.
    fn end(self) -> Result<()> {
        let Self {
            name,
            mut child,
            stdin,
            ..
        } = self;
        drop(stdin);
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => fail(format!("{name} failed")),
        }
    }
}

pub fn run(
    model: &Path,
    texts: &Path,
    python: Option<&Path>,
    rounds: usize,
    json: bool,
) -> Result<()> {
    let count = shell::read(texts)?
        .split_inclusive(|&byte| byte == b'\n')
        .count();
    if count == 0 {
        return fail(format!("{} has no texts", texts.display()));
    }
    let (image, folder) = int8_models(model, json)?;
    let peers = build(json)?;
    let mut running = vec![
        Peer::start(
            "flashvec",
            Command::new(inputs::host_program("encode_rounds", true)?)
                .arg(image)
                .arg(texts),
        )?,
        Peer::start("model2vec-rs", Command::new(peers).arg(&folder).arg(texts))?,
    ];
    if let Some(python) = python {
        let script = shell::root().join("tests/peers/model2vec_peer.py");
        let mut command = Command::new(python);
        command.arg(script).arg("rounds").arg(folder).arg(texts);
        running.push(Peer::start("model2vec (Python)", &mut command)?);
    }
    let batch = measure(&mut running, "batch", rounds)?;
    let single = measure(&mut running, "single", rounds)?;
    let names: Vec<&str> = running.iter().map(|peer| peer.name).collect();
    for peer in running {
        peer.end()?;
    }
    if json {
        println!("{}", report(count, rounds, &batch, &single));
    } else {
        println!("{count} texts, one core each, medians of {rounds} rounds in turn\n");
        println!(
            "{:<20} {:>14} {:>14}  flashvec, times as fast",
            "", "batch/s", "one a call/s"
        );
        for (at, name) in names.iter().enumerate() {
            let (many, one) = (&batch[at], &single[at]);
            println!(
                "{name:<20} {:>14.0} {:>14.0}  {:.2}, {:.2}",
                count as f64 / many.seconds,
                count as f64 / one.seconds,
                many.ratio,
                one.ratio
            );
        }
    }
    Ok(())
}

/// What a peer's rounds came to.
struct Measured {
    /// Of a round, the median.
    seconds: f64,
    /// How many times as long as ours a round took, the median over rounds in turn.
    ratio: f64,
}

fn measure(peers: &mut [Peer], mode: &str, rounds: usize) -> Result<Vec<Measured>> {
    let mut seconds = vec![Vec::new(); peers.len()];
    // The first round finds caches cold and is not counted.
    for round in 0..=rounds {
        for (peer, seconds) in peers.iter_mut().zip(&mut seconds) {
            let took = peer.round(mode)?;
            if round > 0 {
                seconds.push(took);
            }
        }
    }
    let ours = seconds[0].clone();
    Ok(seconds
        .into_iter()
        .map(|theirs| Measured {
            ratio: median(theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours)),
            seconds: median(theirs.iter().copied()),
        })
        .collect())
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

fn report(count: usize, rounds: usize, batch: &[Measured], single: &[Measured]) -> Value {
    let mut report = json!({"texts": count, "rounds": rounds});
    for (suffix, measured) in [("", batch), ("_single", single)] {
        let names = ["flashvec", "model2vec_rs", "model2vec_python"];
        for (at, name) in names.into_iter().enumerate() {
            let measured = measured.get(at);
            let per_second = measured.map(|measured| count as f64 / measured.seconds);
            report[format!("{name}_per_s{suffix}")] = per_second.into();
            if at > 0 {
                let ratio = measured.map(|measured| measured.ratio);
                report[format!("ratio_{name}{suffix}")] = ratio.into();
            }
        }
    }
    report
}

/// An int8 image for us, and the int8 folder that our converter makes of the same model for the peers.
fn int8_models(model: &Path, quiet: bool) -> Result<(PathBuf, PathBuf)> {
    if !quiet {
        say(
            "flashvec convert --codec int8",
            "an image for flashvec and a folder for the peers, of the same rows",
        );
    }
    let program = inputs::command_line()?;
    let dir = shell::scratch_dir()?;
    let (image, folder) = (dir.join("peers.fvec"), dir.join("peers-int8"));
    for out in [&image, &folder] {
        let mut convert = Command::new(&program);
        convert.arg("convert").arg(model);
        convert.args(["--codec", "int8", "-o"]).arg(out);
        shell::capture(&mut convert, std::time::Duration::from_secs(120))?;
    }
    Ok((image, folder))
}

fn build(quiet: bool) -> Result<PathBuf> {
    if !quiet {
        say(
            "cargo build model2vec-rs",
            "a crate outside the workspace; the first time takes a minute",
        );
    }
    let folder = shell::root().join(RUST_PEER);
    let target = shell::target_dir().join("peers");
    shell::run(
        shell::cargo()
            .current_dir(folder)
            .args(["build", "--quiet", "--release", "--locked", "--target-dir"])
            .arg(&target),
    )?;
    Ok(target.join("release/model2vec-rs-peer"))
}
