use std::path::{Path, PathBuf};

use candle_core::Device;
use half::bf16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::files::read_json;
use crate::teacher::architecture::Activation;

fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert")
}

/// A copy of the tiny teacher with its `config.json` changed.
fn copy_with(change: impl FnOnce(&mut Value)) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(
        tiny_bert().join("model.safetensors"),
        copy.path().join("model.safetensors"),
    )
    .unwrap();
    let mut config = read_json(&tiny_bert().join("config.json")).unwrap();
    change(&mut config);
    std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    copy
}

/// A copy of the tiny teacher with every tensor renamed and re-encoded.
fn copy_tensors(
    rename: impl Fn(&str) -> Option<String>,
    encode: impl Fn(f32) -> Vec<u8>,
    dtype: Dtype,
) -> TempDir {
    let copy = copy_with(|_| {});
    let bytes = std::fs::read(tiny_bert().join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let parts = tensors.iter().filter_map(|(name, view)| {
        let values = crate::tensors::values(view.data(), f32::from_le_bytes);
        Some((
            rename(name)?,
            view.shape().to_vec(),
            values.flat_map(&encode).collect::<Vec<u8>>(),
        ))
    });
    let parts: Vec<_> = parts.collect();
    let views = parts
        .iter()
        .map(|(name, shape, data)| (name, TensorView::new(dtype, shape.clone(), data).unwrap()));
    std::fs::write(
        copy.path().join("model.safetensors"),
        safetensors::serialize(views, None).unwrap(),
    )
    .unwrap();
    copy
}

fn expected() -> (Vec<Vec<u32>>, Value) {
    let expected = read_json(&tiny_bert().join("expected_states.json")).unwrap();
    (
        serde_json::from_value(expected["sequences"].clone()).unwrap(),
        expected,
    )
}

/// Largest difference from what Python's transformers computed.
fn largest_difference(folder: &Path, activation: &str) -> f32 {
    let (sequences, expected) = expected();
    let batch: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let states = CandleTeacher::load(folder)
        .unwrap()
        .hidden_states(&batch)
        .unwrap();
    let expected: Vec<f32> = serde_json::from_value(expected[activation].clone()).unwrap();
    assert_eq!(states.len(), expected.len());
    states
        .iter()
        .zip(expected)
        .map(|(state, expected)| (state - expected).abs())
        .fold(0.0, f32::max)
}

#[test]
fn agrees_with_transformers() {
    for activation in ["gelu", "gelu_new", "relu"] {
        let teacher = copy_with(|config| config["hidden_act"] = json!(activation));
        let difference = largest_difference(teacher.path(), activation);
        assert!(difference < 1e-5, "{activation}: {difference}");
    }
}

#[test]
fn reads_prefixed_and_half_precision_weights() {
    let f16 = |value| half::f16::from_f32(value).to_le_bytes().to_vec();
    let teacher = copy_tensors(|name| Some(format!("bert.{name}")), f16, Dtype::F16);
    assert!(largest_difference(teacher.path(), "gelu") < 0.02);
    let bf16 = |value| bf16::from_f32(value).to_le_bytes().to_vec();
    let teacher = copy_tensors(|name| Some(name.to_owned()), bf16, Dtype::BF16);
    assert!(largest_difference(teacher.path(), "gelu") < 0.1);
}

#[test]
fn a_sequence_does_not_see_its_neighbours() {
    let teacher = CandleTeacher::load(&tiny_bert()).unwrap();
    let together = teacher
        .hidden_states(&[&[4, 9, 5], &[4, 10, 11, 5]])
        .unwrap();
    let alone = teacher.hidden_states(&[&[4, 10, 11, 5]]).unwrap();
    for (together, alone) in together[3 * teacher.hidden_size()..].iter().zip(alone) {
        assert!((together - alone).abs() < 1e-6);
    }
    assert!(teacher.hidden_states(&[]).unwrap().is_empty());
}

#[test]
fn refuses_sequences_it_cannot_take() {
    let teacher = CandleTeacher::load(&tiny_bert()).unwrap();
    let long = vec![4; teacher.max_positions() + 1];
    for batch in [&[][..], &long, &[4, teacher.vocab_size() as u32]] {
        let error = teacher.hidden_states(&[&[4], batch]).unwrap_err();
        assert!(matches!(error, Error::Sequence { index: 1, .. }), "{error}");
    }
}

#[test]
fn names_what_is_unsupported() {
    let teacher = copy_with(|config| {
        config["model_type"] = json!("deberta-v2");
        config["architectures"] = json!(["DebertaV2Model"]);
    });
    let error = CandleTeacher::load(teacher.path())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("deberta-v2")
            && error.contains("DebertaV2Model")
            && error.contains("BertModel"),
        "{error}"
    );
    let teacher = copy_with(|config| config["hidden_act"] = json!("swish"));
    assert!(
        CandleTeacher::load(teacher.path())
            .err()
            .unwrap()
            .to_string()
            .contains("swish")
    );
    let teacher = copy_with(|config| config["position_embedding_type"] = json!("relative_key"));
    assert!(
        CandleTeacher::load(teacher.path())
            .err()
            .unwrap()
            .to_string()
            .contains("relative_key")
    );
    let teacher = copy_with(|config| config["num_attention_heads"] = json!(5));
    assert!(matches!(
        CandleTeacher::load(teacher.path()),
        Err(Error::Config { .. })
    ));
}

#[test]
fn names_missing_files_and_tensors() {
    let teacher = copy_with(|_| {});
    std::fs::remove_file(teacher.path().join("model.safetensors")).unwrap();
    let error = CandleTeacher::load(teacher.path()).err().unwrap();
    assert!(
        matches!(
            error,
            Error::MissingFile {
                file: "model.safetensors",
                ..
            }
        ),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    let error = CandleTeacher::load(empty.path()).err().unwrap();
    assert!(
        matches!(
            error,
            Error::MissingFile {
                file: "config.json",
                ..
            }
        ),
        "{error}"
    );

    let encode = |value: f32| value.to_le_bytes().to_vec();
    let lost = "encoder.layer.1.output.dense.bias";
    let teacher = copy_tensors(
        |name| (name != lost).then(|| name.to_owned()),
        encode,
        Dtype::F32,
    );
    assert!(
        CandleTeacher::load(teacher.path())
            .err()
            .unwrap()
            .to_string()
            .contains(lost)
    );
    let teacher = copy_tensors(|name| Some(format!("encoder.{name}")), encode, Dtype::F32);
    assert!(
        CandleTeacher::load(teacher.path())
            .err()
            .unwrap()
            .to_string()
            .contains("no Bert checkpoint")
    );
    let teacher = copy_with(|config| config["hidden_size"] = json!(48));
    assert!(
        CandleTeacher::load(teacher.path())
            .err()
            .unwrap()
            .to_string()
            .contains("shape")
    );
}

#[test]
fn refuses_broken_weights() {
    let teacher = copy_with(|_| {});
    let path = teacher.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 4, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = CandleTeacher::load(teacher.path()).err().unwrap();
        assert!(
            matches!(error, Error::Tensors { .. } | Error::Io { .. }),
            "{length}: {error}"
        );
    }
    let mut spoiled = bytes.clone();
    let end = spoiled.len();
    spoiled[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, spoiled).unwrap();
    assert!(
        CandleTeacher::load(teacher.path())
            .err()
            .unwrap()
            .to_string()
            .contains("finite")
    );
}

#[test]
fn activations_are_exact_to_f32() {
    // scipy.special.erf, and math.tanh, at f64.
    let gelus = [
        (-6.0, -5.919_526e-9),
        (-1.0, -0.158_655_25),
        (0.0, 0.0),
        (0.5, 0.345_731_23),
        (3.0, 2.995_950_3),
        (9.0, 9.0),
    ];
    let tanhs = [
        (-1.0, -0.158_808_01),
        (0.5, 0.345_714),
        (3.0, 2.996_362_6),
        (-30.0, 0.0),
        (30.0, 30.0),
    ];
    for (activation, cases) in [
        (Activation::Gelu, &gelus[..]),
        (Activation::GeluTanh, &tanhs[..]),
    ] {
        let op = BiasActivation {
            bias: vec![0.0; cases.len()],
            activation,
        };
        let values = Tensor::new(
            cases.iter().map(|case| case.0).collect::<Vec<f32>>(),
            &Device::Cpu,
        )
        .unwrap();
        values.inplace_op1(&op).unwrap();
        for (value, (at, expected)) in values.to_vec1::<f32>().unwrap().iter().zip(cases) {
            assert!(
                (value - expected).abs() < 1e-6,
                "{activation:?} of {at}: {value}"
            );
        }
    }
}
