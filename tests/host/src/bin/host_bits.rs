//! `host_bits IMAGE TEXTS`: what the device firmware prints about embeddings, from this machine.
//!
//! A line a text: `bits` and the f32 bits of every dimension, or of what a classifier says of it; or `error` and the reason.

use std::io::{self, BufWriter, Write};
use std::{env, fs};

use flashvec::{Error, Model};
use flashvec_host::texts;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [image, texts] = arguments.as_slice() else {
        return Err("usage: host_bits IMAGE TEXTS".into());
    };
    let image = fs::read(image)?;
    let texts = texts::from_file(&fs::read(texts)?).ok_or("not a file of texts")?;
    let model = Model::from_bytes(&image)?;
    let mut scratch = vec![0; model.scratch_len()];
    let mut out = BufWriter::new(io::stdout().lock());
    for text in texts {
        match words(&model, &text, &mut scratch) {
            Ok(words) => {
                write!(out, "bits ")?;
                for word in words {
                    write!(out, "{word:08x}")?;
                }
                writeln!(out)?;
            }
            Err(error) => writeln!(out, "error {error:?}")?,
        }
    }
    out.flush()?;
    Ok(())
}

/// What the firmware `encode` or, of a classifier, `classify` prints of a text.
fn words(model: &Model<'_>, text: &[u8], scratch: &mut [u32]) -> Result<Vec<u32>, Error> {
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    if model.head().is_none() {
        return model.encode_bytes(text, scratch).map(bits);
    }
    let found = model.classify_bytes(text, scratch)?;
    let mut words = bits(found.scores());
    words.extend([
        found.scope_score().to_bits(),
        u32::from(found.is_in_scope()),
        found.best().map_or(u32::MAX, |best| best.label as u32),
    ]);
    Ok(words)
}
