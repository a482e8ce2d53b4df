//! Images written by every version of the format read as they did.

use std::path::Path;

use flashvec::image::{CLASSIFIER_VERSION, FORMAT_VERSION};
use flashvec::{Codec, Head, Model, head_layout};
use flashvec_tests::{golden, synthetic};

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

#[test]
fn golden_images_give_their_bits() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        names.extend(name.strip_suffix(".fvec").map(str::to_owned));
    }
    let kept = [
        "tiny-v1-f32",
        "tiny-v1-f16",
        "tiny-v1-int8",
        "tiny-v2-f32",
        "tiny-v2-int8",
        "tiny-v2-pq8x8s",
        "tiny-v3-int8",
        "tiny-v4-classifier0",
    ];
    for name in kept {
        assert!(names.iter().any(|found| found == name), "{name} is gone");
    }
    for name in names {
        let image = std::fs::read(data(&format!("{name}.fvec"))).unwrap();
        let expected = std::fs::read_to_string(data(&format!("{name}.txt"))).unwrap();
        assert_eq!(golden::bits(&image).unwrap(), expected, "{name}");
    }
}

#[test]
fn the_writer_still_writes_the_golden_images() {
    for codec in golden::CODECS {
        let name = format!("tiny-v{FORMAT_VERSION}-{codec}.fvec");
        let golden = std::fs::read(data(&name)).unwrap();
        let image = synthetic::tiny_image(codec).unwrap();
        assert!(image == golden, "{name} is no longer what is written");
    }
}

#[test]
fn the_writer_still_writes_the_golden_classifiers() {
    for (at, classifier) in synthetic::CLASSIFIERS.iter().enumerate() {
        let name = format!("tiny-v{CLASSIFIER_VERSION}-classifier{at}.fvec");
        let golden = std::fs::read(data(&name)).unwrap();
        let image = synthetic::tiny_classifier(classifier).unwrap();
        assert!(image == golden, "{name} is no longer what is written");
    }
}

#[test]
fn the_golden_head_gives_its_bits_and_is_still_written() {
    let name = format!("tiny-head{}-int8", head_layout::VERSION);
    let file = std::fs::read(data(&format!("{name}.fvhead"))).unwrap();
    let base = std::fs::read(data("tiny-v3-int8.fvec")).unwrap();
    let model = Model::from_bytes(&base).unwrap();
    let head = Head::from_bytes(&file, &model).unwrap();
    let expected = std::fs::read_to_string(data(&format!("{name}.txt"))).unwrap();
    assert_eq!(golden::head_bits(&head, &model).unwrap(), expected);
    let written = synthetic::tiny_image(Codec::Int8).unwrap();
    assert!(golden::head_parts().file(&written).unwrap() == file);
}
