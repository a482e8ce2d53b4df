//! `synthetic_image CODEC DIMS OUT`: an image with bert-base-uncased's vocabulary and made-up rows, for device runs that need
//! no teacher. `synthetic_image classifier NUMBER DIMS OUT`: that of a made-up classifier.

use std::path::Path;

use flashvec_distiller::quantize::parse_codec;
use flashvec_tests::synthetic::{self, CLASSIFIERS, INTENTS};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tokenizer = serde_json::from_str(synthetic::BERT_BASE_UNCASED)?;
    let (image, out) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["classifier", number, dims, out] => {
            let classifier = match number {
                "intents" => &INTENTS,
                _ => CLASSIFIERS
                    .get(number.parse::<usize>()?)
                    .ok_or("no such classifier")?,
            };
            let model = synthetic::model(tokenizer, dims.parse()?);
            (classifier.image(&model)?, out)
        }
        [codec, dims, out] => {
            let codec = parse_codec(codec).ok_or("no such codec")?;
            let model = synthetic::model(tokenizer, dims.parse()?);
            (synthetic::image(&model, codec)?, out)
        }
        _ => return Err("usage: synthetic_image [classifier] CODEC|NUMBER DIMS OUT".into()),
    };
    flashvec_distiller::files::write_file(Path::new(out), &image)?;
    Ok(())
}
