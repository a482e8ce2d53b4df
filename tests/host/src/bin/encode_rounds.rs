//! `encode_rounds IMAGE TEXTS`: flashvec on one thread, a round at a time, for `cargo xtask bench-peers`.
//!
//! Loads both, says `ready`, and answers each line of standard input with the seconds that one round
//! over all texts took: `batch` fills the caller's matrix, `single` is one call a text.

use std::error::Error;
use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;
use std::{env, fs};

use flashvec::{Encoder, ImageFile, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [image, texts] = arguments.as_slice() else {
        return Err("usage: encode_rounds IMAGE TEXTS".into());
    };
    let image = ImageFile::read(image)?;
    let model = Model::from_bytes(&image)?;
    let texts = fs::read_to_string(texts)?;
    let texts: Vec<&str> = texts.lines().collect();
    let mut encoder = Encoder::new(&model);
    let mut matrix = vec![0.0; texts.len() * model.dims()];
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let start = Instant::now();
        match line?.as_str() {
            "batch" => {
                for (text, row) in texts.iter().zip(matrix.chunks_exact_mut(model.dims())) {
                    encoder.encode_to(text, row)?;
                }
                black_box(&matrix);
            }
            "single" => {
                for text in &texts {
                    black_box(encoder.encode(text).to_vec());
                }
            }
            other => return Err(format!("{other:?} is neither batch nor single").into()),
        }
        println!("{}", start.elapsed().as_secs_f64());
    }
    Ok(())
}
