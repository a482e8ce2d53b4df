//! `synthetic_image CODEC DIMS OUT`: an image with bert-base-uncased's vocabulary and made-up rows,
//! for device runs that need no teacher.

use flashvec_distiller::quantize::parse_codec;
use flashvec_tests::synthetic;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [codec, dims, out] = args.as_slice() else {
        return Err("usage: synthetic_image CODEC DIMS OUT".into());
    };
    let codec = parse_codec(codec).ok_or("no such codec")?;
    let tokenizer = serde_json::from_str(synthetic::BERT_BASE_UNCASED)?;
    let model = synthetic::model(tokenizer, dims.parse()?);
    flashvec_distiller::files::write_file(out.as_ref(), &synthetic::image(&model, codec)?)?;
    Ok(())
}
