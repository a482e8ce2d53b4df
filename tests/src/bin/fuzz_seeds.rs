//! `fuzz_seeds FOLDER`: writes inputs for the fuzz target `image` that are sound images, one a
//! codec and text, so that fuzzing begins behind the first checks.

use std::path::PathBuf;

use flashvec::image::{Image, PRELUDE_LEN};
use flashvec_tests::golden::{CODECS, TEXTS};
use flashvec_tests::synthetic::tiny_image;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or("usage: fuzz_seeds FOLDER")?
        .into();
    std::fs::create_dir_all(&folder)?;
    for codec in CODECS {
        let image = tiny_image(codec)?;
        let header_len = Image::parse(&image)?.header_len;
        for (at, text) in TEXTS.iter().enumerate() {
            let mut input = vec![u8::try_from(text.len())?];
            input.extend(text.bytes());
            input.extend(u16::try_from(header_len)?.to_le_bytes());
            input.extend(&image[PRELUDE_LEN..]);
            std::fs::write(folder.join(format!("{}-{at}", codec)), input)?;
        }
    }
    Ok(())
}
