//! Makes the golden images of the current format version in `tests/data`. Run once a version.

use std::path::Path;

use flashvec::image::FORMAT_VERSION;
use flashvec_tests::{golden, synthetic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for codec in golden::CODECS {
        let image = synthetic::tiny_image(codec)?;
        let name = format!("tiny-v{FORMAT_VERSION}-{}", codec);
        std::fs::write(folder.join(format!("{name}.txt")), golden::bits(&image)?)?;
        std::fs::write(folder.join(format!("{name}.fvec")), image)?;
        println!("{name}");
    }
    Ok(())
}
