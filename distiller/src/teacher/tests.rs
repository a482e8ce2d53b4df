//! Every family on every backend, against what Python's transformers computed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::files::read_json;

const FAMILIES: [&str; 5] = [
    "roberta",
    "xlm-roberta",
    "distilbert",
    "mpnet",
    "modernbert",
];

/// The largest difference that rounding alone explains.
const TOLERANCE: f32 = 1e-4;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn family(name: &str) -> PathBuf {
    data("teachers").join(name)
}

/// A copy of a teacher with its `config.json` changed.
fn copy_with(folder: &Path, change: impl FnOnce(&mut Value)) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let path = copy.path().join("config.json");
    let mut config = read_json(&path).unwrap();
    change(&mut config);
    std::fs::write(path, config.to_string()).unwrap();
    copy
}

/// Largest difference of a teacher's states from those in `expected_states.json`, under `key`.
fn largest_difference(teacher: &dyn Teacher, folder: &Path, key: &str) -> f32 {
    let expected = read_json(&folder.join("expected_states.json")).unwrap();
    let sequences: Vec<Vec<u32>> = serde_json::from_value(expected["sequences"].clone()).unwrap();
    let batch: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let states = teacher.hidden_states(&batch).unwrap();
    let expected: Vec<f32> = serde_json::from_value(expected[key].clone()).unwrap();
    assert_eq!(states.len(), expected.len());
    let differences = states.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

fn check_families(load: impl Fn(&Path) -> Result<Box<dyn Teacher>>) {
    let bert = data("tiny-bert");
    for activation in ["gelu", "gelu_new", "relu"] {
        let copy = copy_with(&bert, |config| config["hidden_act"] = json!(activation));
        let difference = largest_difference(&*load(copy.path()).unwrap(), &bert, activation);
        assert!(difference < TOLERANCE, "bert, {activation}: {difference}");
    }
    for name in FAMILIES {
        let folder = family(name);
        let difference = largest_difference(&*load(&folder).unwrap(), &folder, "states");
        assert!(difference < TOLERANCE, "{name}: {difference}");
    }
}

fn candle(folder: &Path) -> Result<Box<dyn Teacher>> {
    Ok(Box::new(CandleTeacher::load(folder)?))
}

#[test]
fn candle_agrees_with_transformers() {
    check_families(candle);
}

#[cfg(feature = "libtorch")]
#[test]
fn libtorch_agrees_with_transformers() {
    check_families(|folder| {
        // The families' fixtures come without a tokenizer, which no forward pass needs.
        let teacher = copy_with(folder, |_| {});
        let tokenizer = teacher.path().join("tokenizer.json");
        std::fs::copy(data("tiny-bert/tokenizer.json"), tokenizer).unwrap();
        let source = crate::TeacherSource::open(teacher.path().to_str().unwrap())?;
        Backend::Libtorch.load(&source, Device::Cpu)
    });
}

#[cfg(not(feature = "libtorch"))]
#[test]
fn says_how_to_get_libtorch() {
    let source = crate::TeacherSource::open(data("tiny-bert").to_str().unwrap()).unwrap();
    let error = Backend::Libtorch.load(&source, Device::Cpu).err().unwrap();
    let text = error.to_string();
    assert!(
        text.contains("pip install torch") && text.contains("--features libtorch"),
        "{text}"
    );
}

#[test]
fn candle_has_no_gpu() {
    let source = crate::TeacherSource::open(data("tiny-bert").to_str().unwrap()).unwrap();
    let error = Backend::Candle
        .load(&source, Device::Cuda(0))
        .err()
        .unwrap();
    assert!(error.to_string().contains("libtorch"), "{error}");
}

#[test]
fn devices_have_names() {
    for (name, device) in [
        ("cpu", Device::Cpu),
        ("cuda", Device::Cuda(0)),
        ("cuda:3", Device::Cuda(3)),
    ] {
        assert_eq!(name.parse::<Device>().unwrap(), device);
    }
    for name in ["", "gpu", "cuda:", "cuda:x", "cuda:-1"] {
        assert!(name.parse::<Device>().is_err(), "{name}");
    }
}

#[test]
fn positions_behind_the_padding_are_not_counted_as_taken() {
    for (name, expected) in [("roberta", 32), ("mpnet", 32), ("distilbert", 32)] {
        assert_eq!(candle(&family(name)).unwrap().max_positions(), expected);
    }
}

#[test]
fn reads_what_older_configurations_of_modernbert_say() {
    let folder = family("modernbert");
    let older = copy_with(&folder, |config| {
        let fields = config.as_object_mut().unwrap();
        fields.remove("layer_types");
        fields.remove("rope_parameters");
        fields.insert("local_rope_theta".to_owned(), json!(100.0));
        // Saved beside `norm_eps` by some.
        fields.insert("layer_norm_eps".to_owned(), json!(1e-5));
    });
    let difference = largest_difference(&*candle(older.path()).unwrap(), &folder, "states");
    assert!(difference < TOLERANCE, "{difference}");
}

#[test]
fn refuses_what_modernbert_may_say_and_no_backend_computes() {
    let folder = family("modernbert");
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 4] = [
        ("yarn", |config| {
            config["rope_parameters"]["full_attention"]["rope_type"] = json!("yarn");
        }),
        ("chunked_attention", |config| {
            config["layer_types"][0] = json!("chunked_attention");
        }),
        ("entries", |config| {
            config["layer_types"] = json!(["full_attention"]);
        }),
        ("even", |config| config["num_attention_heads"] = json!(8)),
    ];
    for (word, change) in cases {
        let copy = copy_with(&folder, change);
        let error = candle(copy.path()).err().unwrap();
        assert!(
            matches!(&error, Error::Config { .. }) && error.to_string().contains(word),
            "{error}"
        );
    }
}

#[test]
fn names_missing_and_foreign_shards() {
    let copy = copy_with(&family("roberta"), |_| {});
    let shard = copy.path().join("model-00002-of-00003.safetensors");
    std::fs::remove_file(shard).unwrap();
    let error = candle(copy.path()).err().unwrap().to_string();
    assert!(
        error.contains("model-00002-of-00003.safetensors"),
        "{error}"
    );
    let index = copy.path().join("model.safetensors.index.json");
    for map in [
        json!({}),
        json!({"weight_map": {}}),
        json!({"weight_map": {"a": "../x.safetensors"}}),
    ] {
        std::fs::write(&index, map.to_string()).unwrap();
        let error = candle(copy.path()).err().unwrap();
        assert!(matches!(error, Error::Config { .. }), "{error}");
    }
}

#[test]
fn weights_of_another_family_are_refused() {
    let copy = copy_with(&family("mpnet"), |config| {
        config["model_type"] = json!("modernbert");
    });
    let error = candle(copy.path()).err().unwrap().to_string();
    assert!(error.contains("no ModernBert checkpoint"), "{error}");
}
