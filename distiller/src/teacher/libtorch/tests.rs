use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::files::read_json;
use crate::teacher::{CandleTeacher, pooled_states};
use crate::{Backend, Silent};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The TorchScript teacher, with a tokenizer so that it can be opened.
fn script_teacher(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut config = read_json(&data("teachers/torchscript/config.json")).unwrap();
    change(&mut config);
    std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    for (from, to) in [
        ("teachers/torchscript/encoder.pt", "encoder.pt"),
        ("tiny-bert/tokenizer.json", "tokenizer.json"),
    ] {
        std::fs::copy(data(from), copy.path().join(to)).unwrap();
    }
    copy
}

fn open(folder: &Path) -> TeacherSource {
    TeacherSource::open(folder.to_str().unwrap()).unwrap()
}

fn failure(folder: &Path) -> String {
    let loaded = LibtorchTeacher::load(&open(folder), Device::Cpu);
    loaded.err().unwrap().to_string()
}

#[test]
fn runs_torchscript() {
    let folder = script_teacher(|_| {});
    let source = open(folder.path());
    let by_name = TeacherSource::open(folder.path().join("encoder.pt").to_str().unwrap()).unwrap();
    assert_eq!(source.weights_sha256, by_name.weights_sha256);
    let teacher = LibtorchTeacher::load(&source, Device::Cpu).unwrap();
    let expected = read_json(&data("teachers/torchscript/expected_states.json")).unwrap();
    let sequences: Vec<Vec<u32>> = serde_json::from_value(expected["sequences"].clone()).unwrap();
    let batch: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let expected: Vec<f32> = serde_json::from_value(expected["states"].clone()).unwrap();
    let states = teacher.hidden_states(&batch).unwrap();
    assert_eq!(states.len(), expected.len());
    for (state, expected) in states.iter().zip(expected) {
        assert!((state - expected).abs() < 1e-4, "{state} is not {expected}");
    }
    let candle = Backend::Candle.load(&source, Device::Cpu).err().unwrap();
    assert!(candle.to_string().contains("libtorch"), "{candle}");
}

#[test]
fn says_what_is_wrong_with_torchscript() {
    let folder = script_teacher(|config| config["hidden_size"] = json!(32));
    assert!(failure(folder.path()).contains("rows of 24"));
    let folder = script_teacher(|config| {
        config.as_object_mut().unwrap().remove("vocab_size");
    });
    assert!(failure(folder.path()).contains("no vocab_size"));
    let folder = script_teacher(|_| {});
    std::fs::write(folder.path().join("encoder.pt"), "no script").unwrap();
    assert!(failure(folder.path()).contains("not a TorchScript file"));
}

#[test]
fn pools_as_the_other_backend_does() {
    let source = open(&data("tiny-bert"));
    let teacher = LibtorchTeacher::load(&source, Device::Cpu).unwrap();
    let candle = CandleTeacher::load(&source.folder).unwrap();
    // More than one batch, with lengths that alternate.
    let sequences: Vec<Vec<u32>> = (0..4 * PART_POSITIONS as u32)
        .map(|at| (0..1 + at % 3).map(|place| (at + place) % 30).collect())
        .collect();
    for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Last] {
        let ours = pooled_states(&teacher, &sequences, pooling, &Silent).unwrap();
        let theirs = pooled_states(&candle, &sequences, pooling, &Silent).unwrap();
        let differences = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f32::max) < 1e-4);
    }
    assert!(teacher.hidden_states(&[]).unwrap().is_empty());
    assert!(matches!(
        teacher.hidden_states(&[&[99]]),
        Err(Error::Sequence { .. })
    ));
}

#[test]
fn a_batch_too_large_for_the_device_is_told_from_other_failures() {
    let error = |what: &str| TchError::Torch(what.to_owned());
    assert!(is_out_of_memory(&error(
        "CUDA out of memory. Tried to allocate 2.00 GiB."
    )));
    assert!(!is_out_of_memory(&error("expected a tensor")));
}

#[test]
fn batches_grow_where_they_may() {
    let source = open(&data("tiny-bert"));
    let mut teacher = LibtorchTeacher::load(&source, Device::Cpu).unwrap();
    let ids = vec![0; MOST_CUDA_POSITIONS];
    let first = teacher.batch_positions();
    teacher.grow(&[&ids]);
    assert_eq!(teacher.batch_positions(), first);
    // As on a GPU.
    teacher.grows = AtomicBool::new(true);
    teacher.grow(&[&ids[..10]]);
    assert_eq!(teacher.batch_positions(), first);
    teacher.grow(&[&ids[..first]]);
    assert_eq!(teacher.batch_positions(), 2 * first);
    for _ in 0..20 {
        teacher.grow(&[&ids]);
    }
    assert_eq!(teacher.batch_positions(), MOST_CUDA_POSITIONS);
}

#[test]
fn parts_hold_neighbours_up_to_so_many_tokens() {
    let long = vec![0; PART_POSITIONS + 1];
    let half = vec![0; PART_POSITIONS / 2];
    let sequences: Vec<&[u32]> = vec![&half, &half, &half, &long, &half];
    let sizes: Vec<usize> = parts(&sequences).iter().map(|part| part.len()).collect();
    assert_eq!(sizes, [2, 1, 1, 1]);
    assert!(parts(&[]).is_empty());
}
