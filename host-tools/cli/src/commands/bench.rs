//! `flashvec bench`.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use flashvec::image::{Image, SectionKind};
use flashvec::{Encoder, Model};
use serde_json::json;

use crate::commands::encode::Threads;
use crate::error::{Error, Result};
use crate::model_file::{MODEL, ModelFile};
use crate::output::print;
use crate::table::table;
use crate::texts::{BLOCK_LINES, Texts};

/// Measure how fast this machine encodes, and what bounds it
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec bench minilm.fvec texts.txt\n  \
    flashvec bench minilm.fvec texts.txt --threads 4 --json\n\n\
    Reads all texts first, then measures in rounds, each way once a round, and reports medians. `memory` reads \
    the same texts and the rows of their tokens and does nothing with them.")]
pub struct Args {
    #[arg(help = MODEL)]
    model: PathBuf,

    /// File of texts, one a line
    texts: PathBuf,

    #[command(flatten)]
    threads: Threads,

    /// Rounds to take the median of
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let file = ModelFile::open(&args.model)?;
    let model = file.model()?;
    let image = Image::parse(file.bytes()).map_err(Error::image(&args.model))?;
    let rows = image
        .section(SectionKind::Rows)
        .map_err(Error::image(&args.model))?;
    let mut reader = Texts::file(&args.texts)?;
    let mut texts = Vec::new();
    while let Some(text) = reader.next()? {
        texts.push(text);
    }
    if texts.is_empty() {
        return Err(Error::Arguments(format!(
            "{}: no texts to measure with",
            args.texts.display()
        )));
    }
    let ids = token_ids(&model, &texts)?;
    let bytes: usize = texts.iter().map(String::len).sum();
    let row_len = model.header().codec.row_len(model.dims());
    let threads = args.threads.count();

    let mut worker = Worker::new(&model);
    let mut workers: Vec<Worker> = (0..threads).map(|_| Worker::new(&model)).collect();
    let mut measured = [
        "streaming, 1 thread".to_owned(),
        "one text a call, 1 thread".to_owned(),
        format!("streaming, {threads} threads"),
        "memory, 1 thread".to_owned(),
    ]
    .map(|name| (name, Vec::new()));
    // The first round finds caches cold and is not counted.
    for round in 0..=args.rounds {
        let seconds = [
            timed(|| worker.stream(&texts))?,
            timed(|| {
                for text in &texts {
                    black_box(worker.encoder.encode(text).to_vec());
                }
                Ok(())
            })?,
            timed(|| stream_in_threads(&mut workers, &texts))?,
            timed(|| {
                black_box(read_memory(&texts, &ids, rows, row_len));
                Ok(())
            })?,
        ];
        if round > 0 {
            for ((_, all), seconds) in measured.iter_mut().zip(seconds) {
                all.push(seconds);
            }
        }
    }
    if threads == 1 {
        measured[2].1.clear();
    }
    let touched = bytes + ids.len() * row_len;
    let results: Vec<(String, f64)> = measured
        .into_iter()
        .filter(|(_, seconds)| !seconds.is_empty())
        .map(|(name, seconds)| (name, median(seconds)))
        .collect();
    if args.json {
        let measured: Vec<_> = results
            .iter()
            .map(|(name, seconds)| {
                json!({
                    "what": name,
                    "seconds": seconds,
                    "texts_per_s": texts.len() as f64 / seconds,
                    "text_mb_per_s": bytes as f64 / seconds / 1e6,
                    "tokens_per_s": ids.len() as f64 / seconds,
                    "read_mb_per_s": touched as f64 / seconds / 1e6,
                })
            })
            .collect();
        return print(&json!({
            "texts": texts.len(), "bytes": bytes, "tokens": ids.len(), "threads": threads,
            "rounds": args.rounds, "measured": measured,
        }));
    }
    let mut lines = vec![
        ["", "texts/s", "text MB/s", "tokens/s", "text and rows MB/s"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (name, seconds) in results {
        lines.push(vec![
            name,
            format!("{:.0}", texts.len() as f64 / seconds),
            format!("{:.1}", bytes as f64 / seconds / 1e6),
            format!("{:.0}", ids.len() as f64 / seconds),
            format!("{:.0}", touched as f64 / seconds / 1e6),
        ]);
    }
    print(&format_args!(
        "{} texts, {bytes} bytes, {} tokens; medians of {} rounds\n\n{}",
        texts.len(),
        ids.len(),
        args.rounds,
        table(&lines)
    ))
}

/// The tokens that the texts' embeddings are made of, but for unknown ones.
fn token_ids(model: &Model<'_>, texts: &[String]) -> Result<Vec<u32>> {
    let mut scratch = vec![0; model.scratch_len()];
    let most = model.header().pooling.max_tokens as usize;
    let mut ids = Vec::new();
    for text in texts {
        let before = ids.len();
        model.tokenize(text, &mut scratch, |id| ids.push(id))?;
        ids.truncate(before.saturating_add(most));
    }
    Ok(ids)
}

fn timed(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

/// What a thread of `flashvec encode` works with.
struct Worker<'m> {
    encoder: Encoder<'m>,
    block: Vec<f32>,
}

impl<'m> Worker<'m> {
    fn new(model: &'m Model<'m>) -> Self {
        Self {
            encoder: Encoder::new(model),
            block: vec![0.0; BLOCK_LINES * model.dims()],
        }
    }

    fn stream(&mut self, texts: &[String]) -> Result<()> {
        let dims = self.encoder.model().dims();
        for texts in texts.chunks(BLOCK_LINES) {
            for (text, row) in texts.iter().zip(self.block.chunks_exact_mut(dims)) {
                self.encoder.encode_to(text, row)?;
            }
            black_box(&mut self.block);
        }
        Ok(())
    }
}

/// A share of the texts a thread.
fn stream_in_threads(workers: &mut [Worker<'_>], texts: &[String]) -> Result<()> {
    let share = texts.len().div_ceil(workers.len());
    std::thread::scope(|scope| {
        let running: Vec<_> = workers
            .iter_mut()
            .zip(texts.chunks(share))
            .map(|(worker, texts)| scope.spawn(move || worker.stream(texts)))
            .collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// Reads what encoding reads: the texts, and each token's row.
fn read_memory(texts: &[String], ids: &[u32], rows: &[u8], row_len: usize) -> u64 {
    let read = |bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let rest = rest.iter().map(|&byte| u64::from(byte));
        words.chain(rest).fold(0, u64::wrapping_add)
    };
    let texts = texts.iter().map(|text| read(text.as_bytes()));
    let rows = ids.iter().map(|&id| {
        let at = id as usize * row_len;
        read(rows.get(at..at + row_len).unwrap_or(&[]))
    });
    texts.chain(rows).fold(0, u64::wrapping_add)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}
