//! `flashvec train`.

use std::path::{Path, PathBuf};

use flashvec::Codec;
use flashvec_distiller::files::write_file;
use flashvec_distiller::image::read_image;
use flashvec_distiller::train::{Examples, Targets, TrainOptions, learn_vocabulary, train};
use flashvec_distiller::{Bar, StaticModel, model2vec};

use super::distill::codec;
use super::flash::parse_size;
use crate::error::{Error, Result};
use crate::model_file::image_options;
use crate::tsv::Tsv;

/// Train a text classifier for a number of bytes
#[derive(clap::Args)]
pub struct Args {
    /// Texts with labels
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// Texts with labels to decide by
    #[arg(long, value_name = "FILE")]
    dev: Option<PathBuf>,

    /// What vocabulary and rows are taken from
    #[arg(long, value_name = "MODEL")]
    base: Option<String>,

    /// Most bytes of the image
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    flash: usize,

    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,

    #[arg(long)]
    dims: Option<usize>,

    #[arg(long, value_parser = codec)]
    codec: Option<Codec>,

    #[arg(long, default_value_t = 0)]
    hidden: usize,

    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn read(path: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let mut rows = Tsv::open(path, &["label", "text"])?;
    let (label, text) = (rows.column("label")?, rows.column("text")?);
    let (mut labels, mut texts) = (Vec::new(), Vec::new());
    while let Some(cells) = rows.next()? {
        labels.push(cells[label].to_owned());
        texts.push(cells[text].to_owned());
    }
    Ok((labels, texts))
}

pub fn run(args: &Args) -> Result<()> {
    let (of_texts, texts) = read(&args.data)?;
    let mut labels = of_texts.clone();
    labels.sort();
    labels.dedup();
    let numbers = of_texts.iter().map(|l| labels.binary_search(l).unwrap_or(0) as u32);
    let targets = Targets::Single(numbers.collect());
    let (base, random) = match &args.base {
        None => (learn_vocabulary(&texts)?, true),
        Some(base) => (read_base(base)?, false),
    };
    let options = TrainOptions {
        dims: args.dims,
        codec: args.codec,
        hidden: args.hidden,
        seed: args.seed,
        ..TrainOptions::new(args.flash)
    };
    let examples = Examples {
        texts: &texts,
        targets: &targets,
    };
    let image = image_options(Codec::Int8);
    let made = train(&base, random, &labels, examples, None, &options, &image, &Bar::default())?;
    write_file(&args.output, &made.image)?;
    for tried in &made.tried {
        eprintln!("{tried:?}");
    }
    eprintln!("epochs {}, temperature {}, out of scope {:?}, {} bytes", made.epochs, made.temperature, made.out_of_scope, made.image.len());
    Ok(())
}

fn read_base(base: &str) -> Result<StaticModel> {
    let path = Path::new(base);
    if path.is_file() {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        return Ok(read_image(&bytes, path)?);
    }
    Ok(model2vec::read(base)?)
}
