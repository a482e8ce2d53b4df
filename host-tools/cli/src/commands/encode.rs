//! `flashvec encode`.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use flashvec::{Encoder, Model};
use flashvec_distiller::{Bar, Progress};

use crate::error::{Error, Result};
use crate::model_file::ModelFile;
use crate::output::{Embeddings, Format, Rows};
use crate::texts::{Block, Blocks, Parser, TextArgs};

/// Embed texts: one a line in, one row each out, in order
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec encode minilm.fvec --input texts.txt --output embeddings.npy\n  \
    flashvec encode minilm.fvec --input texts.txt --output embeddings.arrow --threads 4\n  \
    echo 'turn on the light' | flashvec encode minilm.fvec\n  \
    flashvec encode minilm.fvec --json-lines text < documents.jsonl > embeddings.jsonl\n\n\
    Reads, encodes and writes in blocks: memory does not grow with the input.")]
pub struct Args {
    /// An image or a Model2Vec folder
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
    /// Threads that encode; as many as there are cores if absent. The output is the same
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
    let parser = blocks.parser();
    let output = Embeddings::create(args.output.as_deref(), model.dims())?;
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
    let pipeline = Pipeline {
        model: &model,
        words: Encoder::WORDS.min(MOST_WORDS / threads),
        parser,
        format: Format::of(args.output.as_deref()),
        bar: &bar,
        input: Mutex::new(Input {
            blocks,
            taken: 0,
            ended: false,
        }),
        output: Mutex::new(Output {
            embeddings: output,
            written: 0,
            failed: None,
        }),
        turn: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| pipeline.work());
        }
        pipeline.work();
    });
    bar.finish();
    let output = pipeline
        .output
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    match output.failed {
        Some(error) => Err(error),
        None => output.embeddings.finish(),
    }
}

/// Bytes of all encoders' words together, however many threads there are.
const MOST_WORDS: usize = 8 << 20;

/// Threads that each take the next block, encode it, and wait for its turn to write. No thread holds
/// more than one block.
struct Pipeline<'p> {
    model: &'p Model<'p>,
    /// Bytes of an encoder's words.
    words: usize,
    parser: Parser,
    format: Format,
    bar: &'p Bar,
    input: Mutex<Input>,
    output: Mutex<Output>,
    /// Another block may be written, or none any more.
    turn: Condvar,
}

struct Input {
    blocks: Blocks,
    /// Blocks taken so far: the number of the next.
    taken: usize,
    ended: bool,
}

struct Output {
    embeddings: Embeddings,
    /// Blocks written so far: the number of the one whose turn it is.
    written: usize,
    /// What went wrong first, in the order of the input.
    failed: Option<Error>,
}

impl Pipeline<'_> {
    fn work(&self) {
        let mut encoder = Encoder::with_words(self.model, self.words);
        let mut rows = Rows::default();
        while let Some((number, block)) = self.take() {
            let (bytes, encoded) = match block {
                Ok(block) => (block.len(), self.encode(&block, &mut encoder, &mut rows)),
                Err(error) => {
                    rows = Rows::default();
                    (0, Err(error))
                }
            };
            if !self.put(number, &mut rows, encoded) {
                return;
            }
            self.bar.advance(bytes as u64);
        }
    }

    /// The next block, or why there is none, and its number; `None` at the end.
    fn take(&self) -> Option<(usize, Result<Block>)> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        if input.ended {
            return None;
        }
        let block = input.blocks.next();
        input.ended = !matches!(block, Ok(Some(_)));
        let number = input.taken;
        input.taken += 1;
        Some((number, block.transpose()?))
    }

    /// Encodes a block's texts, up to the first that is wrong.
    fn encode(&self, block: &Block, encoder: &mut Encoder<'_>, rows: &mut Rows) -> Result<()> {
        let dims = self.model.dims();
        rows.values.resize(block.lines * dims, 0.0);
        let mut free = rows.values.chunks_exact_mut(dims);
        let mut count = 0;
        let encoded = self.parser.texts(block, |text| {
            if let Some(row) = free.next() {
                encoder.encode_to(text, row)?;
                count += 1;
            }
            Ok(())
        });
        rows.values.truncate(count * dims);
        rows.format(self.format, dims);
        encoded
    }

    /// Writes a block's embeddings when all before it are written; whether to go on.
    fn put(&self, number: usize, rows: &mut Rows, encoded: Result<()>) -> bool {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        while output.written < number && output.failed.is_none() {
            output = self
                .turn
                .wait(output)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if output.failed.is_none() {
            output.failed = output.embeddings.write(rows).and(encoded).err();
        }
        output.written += 1;
        self.turn.notify_all();
        output.failed.is_none()
    }
}
