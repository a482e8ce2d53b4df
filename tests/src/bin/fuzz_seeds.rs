//! `fuzz_seeds FOLDER`: writes inputs for the fuzz targets, in a folder each, so that fuzzing begins behind the first
//! checks: sound images, one a codec, classifier, older version and text; sound heads; sound states of a few-shot classifier.

use std::path::{Path, PathBuf};

use flashvec::few_shot_layout;
use flashvec::image::{Image, NEWEST_VERSION, PRELUDE_LEN};
use flashvec_tests::golden::{CODECS, TEXTS};
use flashvec_tests::synthetic::{CLASSIFIERS, tiny_classifier, tiny_image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or("usage: fuzz_seeds FOLDER")?
        .into();
    write_states(&folder.join("few_shot_state"))?;
    let (for_image, for_head) = (folder.join("image"), folder.join("head"));
    std::fs::create_dir_all(&for_image)?;
    std::fs::create_dir_all(&for_head)?;
    let mut images = Vec::new();
    for codec in CODECS {
        images.push((codec.to_string(), tiny_image(codec)?));
    }
    for (at, classifier) in CLASSIFIERS.iter().enumerate() {
        images.push((format!("classifier{at}"), tiny_classifier(classifier)?));
        for (text_at, text) in TEXTS.iter().enumerate() {
            let mut input = vec![u8::try_from(text.len())?];
            input.extend(text.bytes());
            input.extend(classifier.head(16).section(16)?);
            std::fs::write(for_head.join(format!("{at}-{text_at}")), input)?;
        }
    }
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    for name in ["tiny-v1-int8", "tiny-v2-int8"] {
        images.push((
            name.to_owned(),
            std::fs::read(format!("{data}/{name}.fvec"))?,
        ));
    }
    for (name, image) in images {
        let Image {
            version,
            header_len,
            ..
        } = Image::parse(&image)?;
        let head = u16::try_from(header_len)? | (NEWEST_VERSION - version) << 14;
        for (at, text) in TEXTS.iter().enumerate() {
            let mut input = vec![u8::try_from(text.len())?];
            input.extend(text.bytes());
            input.extend(head.to_le_bytes());
            input.extend(&image[PRELUDE_LEN..]);
            std::fs::write(for_image.join(format!("{name}-{at}")), input)?;
        }
    }
    Ok(())
}

/// The golden state's slots, with every text.
fn write_states(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let state = include_bytes!("../../data/tiny-v3-int8.fvfs");
    for (at, text) in TEXTS.iter().enumerate() {
        let mut input = vec![u8::try_from(text.len())?];
        input.extend(text.bytes());
        input.extend(&state[few_shot_layout::PRELUDE_LEN..]);
        std::fs::write(folder.join(at.to_string()), input)?;
    }
    Ok(())
}
