//! Classifiers that Python's Model2Vec saved become images that score texts as Python does, and go back.

use std::fs;
use std::path::{Path, PathBuf};

use flashvec::ngrams_layout::PAIRS;
use flashvec::{Codec, Head, Model, Task};
use flashvec_distiller::image::{
    HeadParts, ImageOptions, NGramTable, NGrams, read_classifier, read_head, read_image,
    write_classifier, write_image, write_pipeline,
};
use flashvec_distiller::model2vec::{self, RowType, read_pipeline};
use flashvec_distiller::{Error, Pipeline, Quantization, Rotation, Silent};
use serde_json::{Value, json};

/// What 8-bit rows and weights may change: of probabilities, and of values relative to 1 and their size.
const TOLERANCE: f64 = 0.02;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/pipelines")
        .join(name)
}

fn read(name: &str) -> (Pipeline, HeadParts) {
    let pipeline = read_path(&folder(name)).unwrap();
    let head = pipeline.head.clone().unwrap();
    (pipeline, head)
}

fn read_path(folder: &Path) -> flashvec_distiller::Result<Pipeline> {
    read_pipeline(folder.to_str().unwrap())
}

fn options(codec: Codec) -> ImageOptions {
    ImageOptions {
        codec,
        quantization: Quantization::default(),
        command: String::new(),
        tool: String::new(),
    }
}

fn expected(name: &str) -> Vec<(String, Vec<f64>)> {
    let expected = fs::read(folder(name).join("expected_scores.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let scores = |scores: &Value| {
        scores
            .as_array()
            .unwrap()
            .iter()
            .map(|score| score.as_f64().unwrap())
            .collect()
    };
    let texts = expected["texts"].as_array().unwrap().iter();
    texts
        .zip(expected["scores"].as_array().unwrap())
        .map(|(text, of_text)| (text.as_str().unwrap().to_owned(), scores(of_text)))
        .collect()
}

/// The scores that an image gives a text.
fn scores(image: &[u8], text: &str) -> Vec<f32> {
    let model = Model::from_bytes(image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    model
        .classify(text, &mut scratch)
        .unwrap()
        .scores()
        .to_vec()
}

#[test]
fn images_score_as_python_does() {
    let cases = [
        (
            "softmax",
            Task::Softmax,
            0,
            vec!["lights off", "lights on", "musique, ça", "weather"],
        ),
        ("softmax-hidden", Task::Softmax, 9, vec!["10", "20", "30"]),
        ("sigmoid", Task::Sigmoid, 5, vec!["home", "fun", "food"]),
        ("regression", Task::Regression, 6, vec!["0", "1"]),
    ];
    for (name, task, hidden, labels) in cases {
        let (Pipeline { model, head }, _) = read(name);
        // The rotation that other images have by default must not reach the head.
        let image = write_pipeline(&model, head.as_ref(), &options(Codec::Int8), &Silent).unwrap();
        let read = Model::from_bytes(&image).unwrap();
        let head = read.head().unwrap();
        assert_eq!(
            (head.task(), head.hidden(), head.out_of_scope()),
            (task, hidden, None),
            "{name}"
        );
        let found: Vec<_> = (0..head.label_count())
            .filter_map(|at| head.label(at))
            .collect();
        assert_eq!(found, labels);
        for (text, expected) in expected(name) {
            let found = scores(&image, &text);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                let size = if task == Task::Regression {
                    1.0 + expected.abs()
                } else {
                    1.0
                };
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error <= TOLERANCE * size,
                    "{name}, {text:?}: {found} for {expected}"
                );
            }
        }
    }
}

#[test]
fn coarse_rows_are_not_rotated_either() {
    let (Pipeline { model, head }, _) = read("softmax");
    let mut rotated = options(Codec::Int4);
    rotated.quantization.rotation = Rotation::Random;
    let image = write_pipeline(&model, head.as_ref(), &rotated, &Silent).unwrap();
    for (text, expected) in expected("softmax") {
        for (found, expected) in scores(&image, &text).iter().zip(&expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 0.1,
                "{text:?}: {found} for {expected}"
            );
        }
    }
    let floats = write_pipeline(&model, head.as_ref(), &options(Codec::F32), &Silent);
    assert!(matches!(floats, Err(Error::Codec { .. })));
}

#[test]
fn an_image_goes_back_to_a_folder_and_loses_nothing() {
    for name in ["softmax", "softmax-hidden", "sigmoid", "regression"] {
        let (Pipeline { model, .. }, mut head) = read(name);
        if head.task == Task::Softmax {
            head.out_of_scope = Some(0.1);
        }
        let image = write_pipeline(&model, Some(&head), &options(Codec::Int8), &Silent).unwrap();
        let back = read_classifier(&image, "image".as_ref()).unwrap();
        assert_eq!(back.head.as_ref(), Some(&head));

        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("folder");
        for _ in 0..2 {
            // A classifier's folder may be replaced like any other.
            model2vec::write_pipeline(&back.model, back.head.as_ref(), &target, RowType::F32)
                .unwrap();
        }
        let again = read_path(&target).unwrap();
        let again_head = again.head.unwrap();
        assert_eq!(
            (again_head.task, &again_head.labels),
            (head.task, &head.labels)
        );
        assert_eq!(again_head.out_of_scope, head.out_of_scope);
        for (layer, again) in head.layers.iter().zip(&again_head.layers) {
            assert_eq!(
                (&layer.weights, &layer.biases),
                (&again.weights, &again.biases)
            );
            for (scale, again) in layer.scales.iter().zip(&again.scales) {
                assert!((scale - again).abs() <= scale * 1e-6, "{scale} {again}");
            }
        }
        let image_again = write_pipeline(
            &again.model,
            Some(&again_head),
            &options(Codec::Int8),
            &Silent,
        )
        .unwrap();
        for (text, _) in expected(name) {
            for (a, b) in scores(&image, &text)
                .iter()
                .zip(scores(&image_again, &text))
            {
                assert!(
                    (a - b).abs() <= 1e-4 * (1.0 + a.abs()),
                    "{name}, {text:?}: {a} {b}"
                );
            }
        }
        let config: Value =
            serde_json::from_slice(&fs::read(target.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["head_config"]["n_layers"], head.layers.len());
    }
}

#[test]
fn a_head_beside_its_base_goes_into_a_folder() {
    let (Pipeline { model, .. }, head) = read("softmax-hidden");
    let base = write_image(&model, &options(Codec::Int8), &Silent).unwrap();
    let mut file = head.file(&base).unwrap();
    // What lies behind a file in its flash partition.
    file.extend([0xFF; 7]);
    assert_eq!(read_head(&file, "h.fvhead".as_ref(), &base).unwrap(), head);
    assert!(
        read_classifier(&base, "base".as_ref())
            .unwrap()
            .head
            .is_none()
    );
    let other = write_image(&model, &options(Codec::Int4), &Silent).unwrap();
    let error = read_head(&file, "h.fvhead".as_ref(), &other).unwrap_err();
    assert!(error.to_string().starts_with("h.fvhead: "), "{error}");
    assert!(Head::from_bytes(&file, &Model::from_bytes(&base).unwrap()).is_ok());
    for len in [0, 10, 30] {
        assert!(read_head(&file[..len], "h.fvhead".as_ref(), &base).is_err());
    }
}

#[test]
fn images_with_rows_of_ngrams_become_no_folder() {
    let (Pipeline { model, .. }, head) = read("softmax");
    let table = NGramTable::new(PAIRS, 16, &[1, 2]).unwrap();
    let rows = vec![0.5; 2 * model.dims];
    let ngrams = NGrams {
        table: &table,
        rows: &rows,
    };
    let mut options = options(Codec::Int8);
    options.quantization.rotation = Rotation::None;
    for head in [None, Some(&head)] {
        let image = write_classifier(&model, Some(ngrams), head, &options, &Silent).unwrap();
        let error = read_classifier(&image, "c.fvec".as_ref())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("c.fvec: ") && error.contains("n-grams"),
            "{error}"
        );
        assert!(read_image(&image, "c.fvec".as_ref()).is_err());
    }
}

#[test]
fn int8_folders_keep_no_scale_that_a_head_needs() {
    let place = tempfile::tempdir().unwrap();
    let (Pipeline { model, head }, _) = read("sigmoid");
    let target = place.path().join("folder");
    let error = model2vec::write_pipeline(&model, head.as_ref(), &target, RowType::I8).unwrap_err();
    assert!(
        error.to_string().contains("scale") && !target.exists(),
        "{error}"
    );
    let (Pipeline { model, head }, _) = read("softmax");
    model2vec::write_pipeline(&model, head.as_ref(), &target, RowType::I8).unwrap();
}

/// A copy of the softmax folder with its config changed.
fn changed(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for file in [
        "config.json",
        "model.safetensors",
        "head.safetensors",
        "tokenizer.json",
    ] {
        fs::copy(folder("softmax").join(file), place.path().join(file)).unwrap();
    }
    let path = place.path().join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(path, config.to_string()).unwrap();
    place
}

#[test]
fn heads_that_no_image_holds_are_refused() {
    let error = read_path(&folder("three-layers")).unwrap_err().to_string();
    assert!(
        error.contains("config.json") && error.contains("3 layers"),
        "{error}"
    );

    type Change = fn(&mut Value);
    let changes: [(Change, &str); 10] = [
        (
            |c| c["head_config"]["activation"] = json!("tanh"),
            "activation",
        ),
        (|c| c["head_config"]["n_layers"] = json!("1"), "n_layers"),
        (|c| c["head_config"]["n_layers"] = json!(0), "0 layers"),
        (|c| c["head_config"]["n_layers"] = json!(2), "head.1.weight"),
        (|c| c["head_config"]["classes"] = json!("a"), "list"),
        (
            |c| c["head_config"]["classes"] = json!(["a", "b"]),
            "4 outputs",
        ),
        (|c| c["head_config"]["classes"][2] = json!(["a"]), "string"),
        (
            |c| c["head_config"]["classes"][2] = json!("weather"),
            "twice",
        ),
        (
            |c| c["head_config"]["classes"][2] = json!("a\nb"),
            "control",
        ),
        (
            |c| drop(c.as_object_mut().unwrap().remove("head_config")),
            "head_config",
        ),
    ];
    for (change, word) in changes {
        let error = read_path(changed(change).path()).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn heads_whose_files_do_not_fit_are_refused() {
    let place = changed(|_| ());
    let head = place.path().join("head.safetensors");
    // Inputs of other dimensions, a file cut off, none.
    fs::copy(folder("regression").join("model.safetensors"), &head).unwrap();
    assert!(matches!(read_path(place.path()), Err(Error::Tensor { .. })));
    fs::copy(folder("sigmoid").join("head.safetensors"), &head).unwrap();
    let error = read_path(place.path()).unwrap_err().to_string();
    assert!(
        error.contains("3 outputs") || error.contains("5 outputs"),
        "{error}"
    );
    let bytes = fs::read(folder("softmax").join("head.safetensors")).unwrap();
    fs::write(&head, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(
        read_path(place.path()),
        Err(Error::Tensors { .. })
    ));
    fs::remove_file(&head).unwrap();
    assert!(matches!(
        read_path(place.path()),
        Err(Error::MissingFile { .. })
    ));
}

#[test]
fn folders_without_a_head_of_this_format_say_what_they_are() {
    let place = changed(|config| drop(config.as_object_mut().unwrap().remove("head_config")));
    fs::remove_file(place.path().join("head.safetensors")).unwrap();
    assert!(read_path(place.path()).unwrap().head.is_none());
    fs::write(place.path().join("pipeline.skops"), "zip").unwrap();
    let error = read_path(place.path()).unwrap_err().to_string();
    assert!(
        error.contains("pipeline.skops") && error.contains("0.10"),
        "{error}"
    );
    // A regression of none but the rows.
    let plain = json!({"n_layers": 0, "activation": "identity", "classes": null});
    let place = changed(|config| config["head_config"] = plain);
    assert!(read_path(place.path()).unwrap().head.is_none());
}
