//! model2vec-rs on one thread, a round at a time.
//!
//! `model2vec-rs-peer FOLDER TEXTS` loads both, says `ready`, and answers each line of standard input
//! with the seconds that one round over all texts took: `batch` is one call for all of them,
//! `single` one call a text.

use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use model2vec_rs::model::StaticModel;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(texts)) = (arguments.next(), arguments.next()) else {
        bail!("usage: model2vec-rs-peer FOLDER TEXTS");
    };
    let model = StaticModel::from_pretrained(&folder, None, None, None)?;
    let texts = std::fs::read_to_string(&texts).with_context(|| texts.clone())?;
    let texts: Vec<String> = texts.lines().map(str::to_owned).collect();
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let start = Instant::now();
        match line?.as_str() {
            "batch" => {
                black_box(model.encode(&texts));
            }
            "single" => {
                for text in &texts {
                    black_box(model.encode_single(text));
                }
            }
            other => bail!("{other:?} is neither batch nor single"),
        }
        println!("{}", start.elapsed().as_secs_f64());
    }
    Ok(())
}
