use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{Provenance, StaticModel};

fn model() -> StaticModel {
    let vocab = json!({"[PAD]": 0, "[UNK]": 1, "a": 2, "##b": 3});
    StaticModel {
        tokenizer: json!({"version": "1.0", "added_tokens": [{"id": 0, "content": "[PAD]"}],
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab}}),
        rows: Rows::F32(vec![0.5, -1.0, 2.0, 0.25, 3.0, -0.125, 1.5, -2.5]),
        dims: 2,
        weights: None,
        mapping: None,
        normalize: true,
        max_length: Some(512),
        provenance: Provenance {
            teacher: "org/teacher: \"quoted\"".to_owned(),
            teacher_sha256: "ab".repeat(32),
            licence: "mit".to_owned(),
        },
    }
}

fn same(a: &StaticModel, b: &StaticModel) {
    assert_eq!(a.rows, b.rows);
    assert_eq!(
        (a.dims, &a.weights, &a.mapping),
        (b.dims, &b.weights, &b.mapping)
    );
    assert_eq!(
        (a.normalize, a.max_length, &a.provenance),
        (b.normalize, b.max_length, &b.provenance)
    );
    assert_eq!(a.tokenizer, b.tokenizer);
}

fn read_path(path: &Path) -> Result<StaticModel> {
    read(path.to_str().unwrap())
}

fn written() -> (TempDir, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    write(&model(), &folder, RowType::F32).unwrap();
    (place, folder)
}

/// A folder whose tensors are replaced: name, type, shape, bytes.
fn with_tensors(parts: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> (TempDir, std::path::PathBuf) {
    let (place, folder) = written();
    let view = |(name, dtype, shape, bytes): &'_ (_, _, Vec<usize>, Vec<u8>)| {
        (*name, bytes.clone(), *dtype, shape.clone())
    };
    let owned: Vec<(&str, Vec<u8>, Dtype, Vec<usize>)> = parts.iter().map(view).collect();
    let views = owned.iter().map(|(name, bytes, dtype, shape)| {
        (
            *name,
            TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
        )
    });
    fs::write(
        folder.join("model.safetensors"),
        safetensors::serialize(views, None).unwrap(),
    )
    .unwrap();
    (place, folder)
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn change_json(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = crate::files::read_json(path).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn round_trips_every_row_type() {
    for row_type in [RowType::F32, RowType::F16, RowType::I8] {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("model");
        write(&model(), &folder, row_type).unwrap();
        let expected = StaticModel {
            rows: model().rows.convert(row_type).unwrap(),
            ..model()
        };
        same(&read_path(&folder).unwrap(), &expected);
        assert_eq!(
            fs::read_dir(place.path()).unwrap().count(),
            1,
            "nothing is left beside the folder"
        );
    }
}

#[test]
fn round_trips_weights_and_mapping() {
    let model = StaticModel {
        rows: Rows::F32(vec![1.0, 2.0, 3.0, 4.0]),
        weights: Some(vec![0.5, 1.0, 1.5, 2.0]),
        mapping: Some(vec![0, 1, 1, 0]),
        normalize: false,
        max_length: None,
        ..model()
    };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    write(&model, &folder, RowType::F32).unwrap();
    same(&read_path(&folder).unwrap(), &model);
}

#[test]
fn int8_rounds_as_model2vec_does() {
    // model2vec.quantization.quantize_embeddings(np.float32([0.1, -0.05, 0.033, 0.0004, 0]), DType.Int8)
    let rows = Rows::F32(vec![0.1, -0.05, 0.033, 0.0004, 0.0]);
    assert_eq!(
        rows.convert(RowType::I8).unwrap(),
        Rows::I8(vec![127, -64, 42, 1, 0])
    );
    assert_eq!(
        Rows::F32(vec![0.0; 3]).convert(RowType::I8).unwrap(),
        Rows::I8(vec![0; 3])
    );
}

#[test]
fn missing_settings_have_pythons_defaults() {
    let (_place, folder) = written();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::remove_file(folder.join("README.md")).unwrap();
    let read = read_path(&folder).unwrap();
    assert_eq!((read.normalize, read.max_length), (false, Some(512)));
    assert_eq!(read.provenance.teacher, folder.to_str().unwrap());
    change_json(&folder.join("config.json"), |config| {
        *config = json!({"max_length": "long"})
    });
    assert!(matches!(read_path(&folder), Err(Error::Config { .. })));
}

#[test]
fn reads_sentence_transformers_layout_and_f64_weights() {
    let rows = bytes_of(&[1.0; 8]);
    let (_place, folder) = with_tensors(&[("embedding.weight", Dtype::F32, vec![4, 2], rows)]);
    fs::rename(
        folder.join("config.json"),
        folder.join("config_sentence_transformers.json"),
    )
    .unwrap();
    assert_eq!(read_path(&folder).unwrap().rows, Rows::F32(vec![1.0; 8]));

    let weights = [1.0f64, 0.5, 0.25, 2.0]
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    let mapping = [0i32, 0, 1, 1]
        .iter()
        .flat_map(|row| row.to_le_bytes())
        .collect();
    let (_place, folder) = with_tensors(&[
        ("embeddings", Dtype::F32, vec![2, 2], bytes_of(&[1.0; 4])),
        ("weights", Dtype::F64, vec![4], weights),
        ("mapping", Dtype::I32, vec![4], mapping),
    ]);
    let read = read_path(&folder).unwrap();
    assert_eq!(
        (read.weights, read.mapping),
        (Some(vec![1.0, 0.5, 0.25, 2.0]), Some(vec![0, 0, 1, 1]))
    );
}

#[test]
fn refuses_tensors_that_do_not_fit() {
    let rows = |values: &[f32], shape: [usize; 2]| {
        ("embeddings", Dtype::F32, shape.to_vec(), bytes_of(values))
    };
    let mapping = |values: [i64; 4]| {
        (
            "mapping",
            Dtype::I64,
            vec![4],
            values
                .iter()
                .flat_map(|row| row.to_le_bytes())
                .collect::<Vec<u8>>(),
        )
    };
    let cases = [
        (
            vec![("other", Dtype::F32, vec![4, 2], bytes_of(&[0.0; 8]))],
            "missing",
        ),
        (
            vec![("embeddings", Dtype::F32, vec![8], bytes_of(&[0.0; 8]))],
            "shape",
        ),
        (vec![rows(&[0.0; 6], [3, 2])], "4 tokens"),
        (vec![rows(&[], [0, 2])], "empty"),
        (
            vec![rows(&[0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0], [4, 2])],
            "finite",
        ),
        (
            vec![("embeddings", Dtype::I64, vec![4, 2], vec![0; 64])],
            "I64",
        ),
        (
            vec![
                rows(&[0.0; 8], [4, 2]),
                ("weights", Dtype::F32, vec![3], bytes_of(&[1.0; 3])),
            ],
            "shape",
        ),
        (
            vec![
                rows(&[0.0; 8], [4, 2]),
                (
                    "weights",
                    Dtype::F32,
                    vec![4],
                    bytes_of(&[f32::INFINITY; 4]),
                ),
            ],
            "finite",
        ),
        (
            vec![rows(&[0.0; 4], [2, 2]), mapping([0, 1, 2, 0])],
            "row 2",
        ),
        (
            vec![rows(&[0.0; 4], [2, 2]), mapping([0, -1, 0, 0])],
            "row -1",
        ),
        (
            vec![
                rows(&[0.0; 4], [2, 2]),
                ("mapping", Dtype::F32, vec![4], bytes_of(&[0.0; 4])),
            ],
            "F32",
        ),
    ];
    for (parts, message) in cases {
        let (_place, folder) = with_tensors(&parts);
        let error = read_path(&folder).unwrap_err();
        assert!(
            matches!(error, Error::Tensor { .. }) && error.to_string().contains(message),
            "{message}: {error}"
        );
    }
}

#[test]
fn refuses_broken_and_missing_files() {
    let (_place, folder) = written();
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [3, 20, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(
            matches!(read_path(&folder), Err(Error::Tensors { .. })),
            "{length}"
        );
    }
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let (_place, folder) = written();
        fs::remove_file(folder.join(file)).unwrap();
        let error = read_path(&folder).unwrap_err();
        assert!(
            matches!(&error, Error::MissingFile { file: missing, .. } if *missing == file),
            "{error}"
        );
    }
    for tokenizer in [
        json!({}),
        json!({"model": {"vocab": 1}}),
        json!({"model": {"vocab": {"a": 0, "b": 2}}}),
    ] {
        let (_place, folder) = written();
        fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        assert!(matches!(read_path(&folder), Err(Error::Config { .. })));
    }
}

#[test]
fn replaces_only_model2vec_folders() {
    let (place, folder) = written();
    write(
        &StaticModel {
            dims: 4,
            mapping: Some(vec![0, 1, 1, 0]),
            ..model()
        },
        &folder,
        RowType::F32,
    )
    .unwrap();
    assert_eq!(read_path(&folder).unwrap().dims, 4);
    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    write(&model(), &empty, RowType::F16).unwrap();

    let refused = |folder: &Path| {
        let error = write(&model(), folder, RowType::F32).unwrap_err();
        assert!(matches!(error, Error::WontReplace { .. }), "{error}");
    };
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    refused(&folder);
    assert_eq!(
        fs::read_to_string(folder.join("notes.txt")).unwrap(),
        "mine"
    );
    let teacher = place.path().join("teacher");
    fs::create_dir(&teacher).unwrap();
    fs::write(teacher.join("config.json"), r#"{"model_type": "bert"}"#).unwrap();
    refused(&teacher);
    let file = place.path().join("file");
    fs::write(&file, "mine").unwrap();
    refused(&file);
}

#[test]
fn refuses_models_whose_parts_do_not_fit() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    let cases = [
        StaticModel { dims: 3, ..model() },
        StaticModel {
            rows: Rows::F32(Vec::new()),
            ..model()
        },
        StaticModel {
            rows: Rows::F32(vec![1.0; 6]),
            ..model()
        },
        StaticModel {
            weights: Some(vec![1.0]),
            ..model()
        },
        StaticModel {
            mapping: Some(vec![0, 9, 0, 0]),
            ..model()
        },
        StaticModel {
            rows: Rows::F32(vec![1e9; 8]),
            ..model()
        },
        StaticModel {
            rows: Rows::F32(vec![f32::NAN; 8]),
            ..model()
        },
    ];
    for model in cases {
        assert!(matches!(
            write(&model, &folder, RowType::F16),
            Err(Error::Model { .. })
        ));
        assert!(!folder.exists());
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
