//! Makes the golden images of the current format versions in `tests/data`. Run once a version.

use std::path::Path;

use flashvec::image::{CLASSIFIER_VERSION, FORMAT_VERSION};
use flashvec::{Codec, Head, Model, head_layout};
use flashvec_tests::golden;
use flashvec_tests::synthetic::{CLASSIFIERS, tiny_classifier, tiny_image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let write = |name: &str, bytes: &[u8], bits: String| -> std::io::Result<()> {
        let stem = Path::new(name).with_extension("txt");
        println!("{name}");
        std::fs::write(folder.join(stem), bits)?;
        std::fs::write(folder.join(name), bytes)
    };
    for codec in golden::CODECS {
        let image = tiny_image(codec)?;
        let name = format!("tiny-v{FORMAT_VERSION}-{codec}.fvec");
        write(&name, &image, golden::bits(&image)?)?;
    }
    for (at, classifier) in CLASSIFIERS.iter().enumerate() {
        let image = tiny_classifier(classifier)?;
        let name = format!("tiny-v{CLASSIFIER_VERSION}-classifier{at}.fvec");
        write(&name, &image, golden::bits(&image)?)?;
    }
    let base = tiny_image(Codec::Int8)?;
    let file = golden::head_parts().file(&base)?;
    let model = Model::from_bytes(&base)?;
    let head = Head::from_bytes(&file, &model)?;
    let name = format!("tiny-head{}-int8.fvhead", head_layout::VERSION);
    write(&name, &file, golden::head_bits(&head, &model)?)?;
    Ok(())
}
