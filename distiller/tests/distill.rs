//! A whole distillation against Python's Model2Vec, on a teacher of random weights.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flashvec_distiller::pca::Dims;
use flashvec_distiller::vocabulary::VocabularyFilter;
use flashvec_distiller::{
    CandleTeacher, DistillOptions, Error, Pooling, Progress, Rows, Silent, StaticModel,
    TeacherSource, distill,
};
use serde_json::Value;

fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert")
}

fn distilled(options: &DistillOptions, progress: &dyn Progress) -> Result<StaticModel, Error> {
    let source = TeacherSource::open(tiny_bert().to_str().unwrap())?;
    distill(
        &CandleTeacher::load(&source.folder)?,
        &source,
        options,
        progress,
    )
}

fn rows(model: &StaticModel) -> &[f32] {
    match &model.rows {
        Rows::F32(rows) => rows,
        other => panic!("expected f32 rows, not {other:?}"),
    }
}

#[test]
fn agrees_with_model2vec() {
    let expected = std::fs::read_to_string(tiny_bert().join("expected_distilled.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let options = DistillOptions {
        dims: Dims::Components(8),
        ..Default::default()
    };
    let model = distilled(&options, &Silent).unwrap();
    assert_eq!(model.tokenizer, expected["tokenizer"]);
    assert_eq!(
        (model.dims, model.token_count(), model.normalize),
        (8, 26, true)
    );
    let expected: Vec<f32> = serde_json::from_value(expected["rows"].clone()).unwrap();
    let largest = expected
        .iter()
        .fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (value, expected) in rows(&model).iter().zip(expected) {
        assert!(
            (value - expected).abs() < 1e-4 * largest,
            "{value} is not {expected}"
        );
    }
}

#[test]
fn is_deterministic_and_reports_progress() {
    #[derive(Default)]
    struct Count(Mutex<(u64, u64)>);
    impl Progress for Count {
        fn begin(&self, _: &str, total: u64) {
            self.0.lock().unwrap().0 += total;
        }
        fn advance(&self, units: u64) {
            self.0.lock().unwrap().1 += units;
        }
        fn finish(&self) {}
    }
    let options = DistillOptions {
        dims: Dims::Variance(0.9),
        ..Default::default()
    };
    let count = Count::default();
    let first = distilled(&options, &count).unwrap();
    assert_eq!(*count.0.lock().unwrap(), (26, 26));
    assert!(first.dims > 1 && first.dims < 24);
    assert_eq!(first.rows, distilled(&options, &Silent).unwrap().rows);
}

#[test]
fn options_change_the_table() {
    let plain = DistillOptions {
        dims: Dims::Teacher,
        sif: None,
        ..Default::default()
    };
    let mean = distilled(&plain, &Silent).unwrap();
    assert_eq!(mean.dims, 24);
    let cls = distilled(
        &DistillOptions {
            pooling: Pooling::Cls,
            ..plain.clone()
        },
        &Silent,
    )
    .unwrap();
    let last = distilled(
        &DistillOptions {
            pooling: Pooling::Last,
            ..plain.clone()
        },
        &Silent,
    )
    .unwrap();
    assert_ne!(mean.rows, cls.rows);
    assert_ne!(cls.rows, last.rows);

    // A smaller vocabulary leaves the rows of the kept entries as they were.
    let vocabulary = VocabularyFilter {
        max_entries: Some(16),
        ..Default::default()
    };
    let weighted = DistillOptions {
        sif: Some(1e-4),
        ..plain
    };
    let all = distilled(&weighted, &Silent).unwrap();
    let few = distilled(
        &DistillOptions {
            vocabulary,
            ..weighted
        },
        &Silent,
    )
    .unwrap();
    assert_eq!(few.token_count(), 16);
    assert_eq!(rows(&few)[..12 * 24], rows(&all)[..12 * 24]);
}

#[test]
fn refuses_settings_out_of_range() {
    let dims = |dims| DistillOptions {
        dims,
        ..Default::default()
    };
    let error = distilled(&dims(Dims::Components(256)), &Silent).unwrap_err();
    assert!(error.to_string().contains("at most 24"), "{error}");
    assert!(distilled(&dims(Dims::Components(0)), &Silent).is_err());
    assert!(distilled(&dims(Dims::Variance(2.0)), &Silent).is_err());
    assert!(
        distilled(
            &DistillOptions {
                sif: Some(2.0),
                ..dims(Dims::Teacher)
            },
            &Silent
        )
        .is_err()
    );
    assert!(
        "max"
            .parse::<Pooling>()
            .unwrap_err()
            .to_string()
            .contains("mean, cls or last")
    );
}
