//! `host_bits IMAGE TEXTS`: what the device firmware prints about embeddings, from this machine.
//!
//! A line a text: `bits` and the f32 bits of every dimension, or `error` and the reason.

use std::io::{self, BufWriter, Write};
use std::{env, fs};

use flashvec_host::texts;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [image, texts] = arguments.as_slice() else {
        return Err("usage: host_bits IMAGE TEXTS".into());
    };
    let image = fs::read(image)?;
    let texts = texts::from_file(&fs::read(texts)?).ok_or("not a file of texts")?;
    let model = flashvec::Model::from_bytes(&image)?;
    let mut scratch = vec![0; model.scratch_len()];
    let mut out = BufWriter::new(io::stdout().lock());
    for text in texts {
        match model.encode_bytes(&text, &mut scratch) {
            Ok(embedding) => {
                write!(out, "bits ")?;
                for component in embedding {
                    write!(out, "{:08x}", component.to_bits())?;
                }
                writeln!(out)?;
            }
            Err(error) => writeln!(out, "error {error:?}")?,
        }
    }
    out.flush()?;
    Ok(())
}
