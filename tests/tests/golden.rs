//! Images written by every version of the format read as they did.

use std::path::Path;

use flashvec::image::FORMAT_VERSION;
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
