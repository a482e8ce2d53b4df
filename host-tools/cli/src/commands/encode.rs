//! `flashvec encode`.

use std::path::PathBuf;

use flashvec_distiller::{Bar, Progress};

use crate::error::{Error, Result};
use crate::model_file::ModelFile;
use crate::output::Embeddings;
use crate::texts::{TextArgs, Texts};

/// Embed texts: one a line in, one row each out, in order
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec encode minilm.fvec --input texts.txt --output embeddings.npy\n  \
    echo 'turn on the light' | flashvec encode minilm.fvec\n  \
    flashvec encode minilm.fvec --json-lines text < documents.jsonl > embeddings.jsonl")]
pub struct Args {
    /// An image or a Model2Vec folder
    model: PathBuf,

    #[command(flatten)]
    texts: TextArgs,

    /// File for the embeddings: `.npy` for NumPy (f32, one row a text), else JSON lines; standard
    /// output if absent
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    let file = ModelFile::open(&args.model)?;
    let model = file.model()?;
    let mut scratch = vec![0; model.scratch_len()];
    let mut texts = Texts::open(&args.texts)?;
    let mut output = Embeddings::create(args.output.as_deref(), model.dims())?;
    let bar = Bar::default();
    // A bar needs to know how much there is, and a place of its own.
    let size = match (&args.texts.input, &args.output) {
        (Some(input), Some(_)) => std::fs::metadata(input).map_or(0, |meta| meta.len()),
        _ => 0,
    };
    if size > 0 {
        bar.begin("Encoding, bytes", size);
    }
    while let Some(text) = texts.next()? {
        let embedding = model
            .encode(&text, &mut scratch)
            .map_err(Error::image(&args.model))?;
        output.write(embedding)?;
        bar.advance(text.len() as u64 + 1);
    }
    bar.finish();
    output.finish()
}
