//! `flashvec encode`.

use std::path::PathBuf;

use flashvec::Encoder;
use flashvec_support::{Bar, Progress};

use crate::error::Result;
use crate::model_file::{MODEL, ModelFile};
use crate::output::{Embeddings, Format, Rows};
use crate::pipeline;
use crate::texts::{Blocks, TextArgs};

/// Embed texts: one a line in, one row each out, in order
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec encode minilm.fvec --input texts.txt --output embeddings.npy\n  \
    flashvec encode minilm.fvec --input texts.txt --output embeddings.arrow --threads 4\n  \
    echo 'turn on the light' | flashvec encode minilm.fvec\n  \
    flashvec encode minilm.fvec --json-lines text < documents.jsonl > embeddings.jsonl\n\n\
    Reads, encodes and writes in blocks: memory does not grow with the input.")]
pub struct Args {
    #[arg(help = MODEL)]
    model: PathBuf,

    #[command(flatten)]
    texts: TextArgs,

    /// File for the embeddings: `.npy` for NumPy (f32, one row a text), `.arrow` for Arrow IPC (a column
    /// `embedding` of fixed-size lists), else JSON lines; standard output if absent
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    threads: Threads,
}

/// How many threads encode.
#[derive(clap::Args)]
pub struct Threads {
    /// Threads that work; as many as there are cores if absent. The output is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Threads {
    pub fn count(&self) -> usize {
        match self.threads {
            Some(count) => usize::from(count),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    let file = ModelFile::open(&args.model)?;
    let model = file.model()?;
    let blocks = Blocks::open(&args.texts)?;
    let parser = args.texts.parser();
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
    let threads = args.threads.count();
    let words = Encoder::WORDS.min(MOST_WORDS / threads);
    let (dims, format) = (model.dims(), Format::of(args.output.as_deref()));
    let encoded = pipeline::run(
        threads,
        blocks,
        &bar,
        || Encoder::with_words(&model, words),
        |encoder, block, rows: &mut Rows| {
            // Up to the first text that is wrong.
            rows.values.resize(block.lines * dims, 0.0);
            let mut free = rows.values.chunks_exact_mut(dims);
            let mut count = 0;
            let encoded = parser.texts(block, |text| {
                if let Some(row) = free.next() {
                    encoder.encode_to(text, row)?;
                    count += 1;
                }
                Ok(())
            });
            rows.values.truncate(count * dims);
            rows.format(format, dims);
            encoded
        },
        |rows| output.write(rows),
    );
    bar.finish();
    encoded?;
    output.finish()
}

/// Bytes of all encoders' words together, however many threads there are.
const MOST_WORDS: usize = 8 << 20;
