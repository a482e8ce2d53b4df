//! Images written by every version of the format read as they did.

use std::path::Path;

use flashvec_tests::{golden, synthetic};

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

#[test]
fn golden_images_give_their_bits() {
    for codec in golden::CODECS {
        let name = format!("tiny-v1-{}", codec);
        let image = std::fs::read(data(&format!("{name}.fvec"))).unwrap();
        let expected = std::fs::read_to_string(data(&format!("{name}.txt"))).unwrap();
        assert_eq!(golden::bits(&image).unwrap(), expected, "{name}");
    }
}

#[test]
fn the_writer_still_writes_the_golden_images() {
    for codec in golden::CODECS {
        let golden = std::fs::read(data(&format!("tiny-v1-{}.fvec", codec))).unwrap();
        let image = synthetic::tiny_image(codec).unwrap();
        assert!(
            image == golden,
            "{} image differs from the golden one",
            codec
        );
    }
}
