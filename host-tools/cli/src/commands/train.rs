//! `flashvec train`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use flashvec::ngrams_layout::{MARKS, PAIRS, SKIP_PAIRS, TRIPLES};
use flashvec::{Codec, Task};
use flashvec_distiller::image::read_image;
use flashvec_distiller::labelled::{LabelledTexts, Targets, read, read_like};
use flashvec_distiller::train::{TrainOptions, Trained, learn_vocabulary, train, train_head};
use flashvec_distiller::{
    Backend, Bar, DistillOptions, StaticModel, TeacherSource, distill, model2vec,
};
use flashvec_support::files::{OutputFile, write_file};

use super::distill::codec;
use super::flash::parse_size;
use crate::error::{Error, Result};
use crate::labelled::LayoutArgs;
use crate::model_file::{ModelFile, image_options};
use crate::table::table;

/// Train a text classifier for a number of bytes, or a head for an embedding model as it is
///
/// Rows of tokens and of pairs of tokens are learned together with a small head that tells labels from them; what is most
/// worth its bytes is kept. The image holds everything: vocabulary, rows, head and labels.
#[derive(clap::Args)]
#[command(after_help = "\
Choices that need texts which were not learned (dimensions, codec, epochs, how sure a probability is, \
what is none of the labels) are made with --dev, or with every tenth text, which is learned in the end.

Examples:
  flashvec train --data snips/train.tsv --base english-512k.fvec --flash 64K -o intents.fvec
  flashvec train --data train.csv --dev dev.csv --flash 32K --class-weights balanced -o spam.fvec
  flashvec train --data reviews.jsonl --regression --base english-512k.fvec --flash 128K -o stars.fvec
  flashvec train --data train.tsv --base english-256k.fvec --frozen -o intents.fvhead")]
pub struct Args {
    /// Texts with labels to learn: .tsv, .csv or .jsonl
    #[arg(long, value_name = "FILE")]
    data: PathBuf,

    /// Texts with labels to decide by, which are not learned
    #[arg(long, value_name = "FILE")]
    dev: Option<PathBuf>,

    #[command(flatten)]
    layout: LayoutArgs,

    /// Labels are numbers to learn
    #[arg(long, conflicts_with = "multi_label")]
    regression: bool,

    /// What vocabulary and rows begin from: an image, a Model2Vec folder (or its name on the Hugging Face hub), or a teacher,
    /// which is distilled first [default: a vocabulary learned from the texts, and rows from nothing]
    #[arg(long, value_name = "MODEL|TEACHER")]
    base: Option<String>,

    /// Most bytes of the image: 64K, 32KB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, required_unless_present = "frozen")]
    flash: Option<usize>,

    /// Leave the base image as it is and train a head beside it, a `.fvhead` file: several tasks share one image
    #[arg(long, requires = "base", conflicts_with_all = ["flash", "dims", "codec", "ngrams"])]
    frozen: bool,

    /// `.fvec` file for the classifier; with --frozen `.fvhead` file for the head
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,

    /// Dimensions of rows [default: those that tell texts not learned best]
    #[arg(long, value_name = "N")]
    dims: Option<usize>,

    /// How rows are stored: int8, int4 or int2 [default: the one that tells texts not learned best]
    #[arg(long, value_parser = codec)]
    codec: Option<Codec>,

    /// Which n-grams may have rows: pairs of neighbouring tokens, pairs with one token between, triples
    #[arg(
        long,
        value_name = "KINDS",
        value_delimiter = ',',
        default_value = "pairs"
    )]
    ngrams: Vec<NGramKind>,

    /// Units of a hidden layer between rows and labels
    #[arg(long, value_name = "N", default_value_t = 0)]
    hidden: usize,

    /// How much texts of a label count: `balanced`, as if all labels were as frequent, or LABEL=WEIGHT,…
    #[arg(long, value_name = "WEIGHTS")]
    class_weights: Option<String>,

    /// Most times that all texts are gone through [default: what suits their number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    epochs: Option<u16>,

    /// Percentage of texts with a label that may be taken for "none of these"; 0: every text gets a label
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = percentage)]
    refuse: f64,

    /// What every choice by chance is drawn from: the same seed gives the same file
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum NGramKind {
    None,
    Pairs,
    SkipPairs,
    Triples,
}

impl NGramKind {
    const fn bits(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Pairs => PAIRS | MARKS,
            Self::SkipPairs => SKIP_PAIRS | MARKS,
            Self::Triples => TRIPLES | MARKS,
        }
    }
}

fn percentage(text: &str) -> std::result::Result<f64, String> {
    let percent = text.parse().ok().filter(|p| (0.0..=50.0).contains(p));
    percent.ok_or_else(|| "expected a percentage from 0 to 50".to_owned())
}

pub fn run(args: &Args) -> Result<()> {
    let ending = if args.frozen { "fvhead" } else { "fvec" };
    if args
        .output
        .extension()
        .is_none_or(|found| !found.eq_ignore_ascii_case(ending))
    {
        return Err(Error::Arguments(format!(
            "{}: a {} is written to a file that ends in .{ending}; name one",
            args.output.display(),
            if args.frozen { "head" } else { "classifier" },
        )));
    }
    // What cannot be written is said now, not after the long part.
    drop(OutputFile::create(&args.output)?);
    let reading = args.layout.options(args.regression);
    let examples = read(&args.data, &reading)?;
    let dev = match &args.dev {
        Some(dev) => Some(read_like(dev, &reading, &examples)?),
        None => None,
    };
    let options = TrainOptions {
        ngrams: args
            .ngrams
            .iter()
            .fold(0, |kinds, kind| kinds | kind.bits()),
        dims: args.dims,
        codec: args.codec,
        hidden: args.hidden,
        label_weights: label_weights(args.class_weights.as_deref(), &examples)?,
        epochs: args.epochs.map(usize::from),
        refused: (args.refuse > 0.0).then_some(args.refuse / 100.0),
        seed: args.seed,
        ..TrainOptions::new(args.flash.unwrap_or(usize::MAX))
    };
    if args.frozen {
        return train_frozen(args, &examples, dev.as_ref(), &options);
    }
    let base = match &args.base {
        None => learn_vocabulary(&examples.texts)?,
        Some(base) => open_base(base)?,
    };
    let random = args.base.is_none();
    let image = image_options(Codec::Int8);
    let made = train(
        &base,
        random,
        &examples,
        dev.as_ref(),
        &options,
        &image,
        &Bar::default(),
    )?;
    write_file(&args.output, &made.image)?;
    report(args, &examples, &made);
    Ok(())
}

fn train_frozen(
    args: &Args,
    examples: &LabelledTexts,
    dev: Option<&LabelledTexts>,
    options: &TrainOptions,
) -> Result<()> {
    let path = Path::new(args.base.as_deref().unwrap_or_default());
    if path.is_dir() {
        return Err(Error::Arguments(format!(
            "{}: a head is for one image; make it first, with `flashvec convert {0} -o model.fvec`",
            path.display()
        )));
    }
    let base = ModelFile::open(path)?;
    let (head, accuracy) = train_head(base.bytes(), path, examples, dev, options, &Bar::default())?;
    let file = head.file(base.bytes())?;
    write_file(&args.output, &file)?;
    let accuracy = match examples.targets {
        Targets::Values(_) => String::new(),
        _ => format!(", {:.1} % of texts not learned are told", 100.0 * accuracy),
    };
    eprintln!(
        "{}: a head for {} with {} labels, {} bytes{accuracy}",
        args.output.display(),
        path.display(),
        examples.labels.len(),
        file.len(),
    );
    Ok(())
}

/// Says on stderr what was tried and what was made.
fn report(args: &Args, examples: &LabelledTexts, made: &Trained) {
    let Some(chosen) = made.tried.first() else {
        return;
    };
    let task = examples.targets.task();
    if made.tried.len() > 1 {
        let header = [
            "dimensions",
            "codec",
            "tokens",
            "n-grams",
            "loss",
            "accuracy",
        ];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(made.tried.iter().map(|tried| {
            vec![
                tried.dims.to_string(),
                tried.codec.to_string(),
                tried.tokens.to_string(),
                tried.ngrams.to_string(),
                format!("{:.4}", tried.loss),
                match task {
                    Task::Regression => String::new(),
                    _ => format!("{:.1}", 100.0 * tried.accuracy),
                },
            ]
        }));
        eprintln!(
            "tried on texts not learned, the chosen one first:\n{}",
            table(&rows)
        );
    }
    let accuracy = match task {
        Task::Regression => format!("loss {:.4}", chosen.loss),
        _ => format!("{:.1} % right", 100.0 * chosen.accuracy),
    };
    let scope = match made.out_of_scope {
        Some(threshold) => format!("; none of these below a scope score of {threshold:.2}"),
        None => String::new(),
    };
    eprintln!(
        "{}: {} tokens, {} n-grams, {} dimensions, {}, {} bytes; {accuracy} on {}{scope}",
        args.output.display(),
        made.tokens,
        made.ngrams,
        chosen.dims,
        chosen.codec,
        made.image.len(),
        if made.split {
            "the tenth held out before it was learned too"
        } else {
            "the dev texts"
        },
    );
}

/// How much texts of each label count, in the labels' order.
fn label_weights(asked: Option<&str>, examples: &LabelledTexts) -> Result<Option<Vec<f32>>> {
    let Some(asked) = asked else { return Ok(None) };
    let labels = &examples.labels;
    let wrong = |what: String| Err(Error::Arguments(format!("--class-weights: {what}")));
    if asked == "balanced" {
        let mut counts = vec![0_usize; labels.len()];
        match &examples.targets {
            Targets::Single(of_texts) => of_texts
                .iter()
                .for_each(|&label| counts[label as usize] += 1),
            Targets::Multi(of_texts) => {
                of_texts
                    .iter()
                    .flatten()
                    .for_each(|&label| counts[label as usize] += 1);
            }
            Targets::Values(_) => return wrong("numbers have no classes; leave it out".to_owned()),
        }
        let all: usize = counts.iter().sum();
        let even = all as f32 / labels.len() as f32;
        return Ok(Some(
            counts
                .iter()
                .map(|&count| even / count.max(1) as f32)
                .collect(),
        ));
    }
    let mut weights = vec![1.0; labels.len()];
    for pair in asked.split(',') {
        let parsed = pair.rsplit_once('=').and_then(|(label, weight)| {
            let weight = weight
                .parse()
                .ok()
                .filter(|w: &f32| w.is_finite() && *w > 0.0)?;
            Some((label, weight))
        });
        let Some((label, weight)) = parsed else {
            return wrong(format!("{pair:?} is no LABEL=WEIGHT with a weight above 0"));
        };
        match labels.iter().position(|known| known == label) {
            Some(at) => weights[at] = weight,
            None => return wrong(format!("no text has the label {label:?}")),
        }
    }
    Ok(Some(weights))
}

/// Opens what rows begin from; a teacher is distilled.
fn open_base(base: &str) -> Result<StaticModel> {
    let path = Path::new(base);
    if path.is_file() {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        return Ok(read_image(&bytes, path)?);
    }
    if base.starts_with("pypi:") || path.join("model.safetensors").is_file() && is_teacher(path) {
        return distilled(base);
    }
    Ok(model2vec::read(base)?)
}

/// Whether a folder's config is a transformer's.
fn is_teacher(folder: &Path) -> bool {
    let config = std::fs::read(folder.join("config.json")).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
    config.get("num_hidden_layers").is_some() || config.get("n_layers").is_some()
}

fn distilled(teacher: &str) -> Result<StaticModel> {
    let source = TeacherSource::open(teacher)?;
    let loaded = Backend::Candle.load(&source, flashvec_distiller::Device::Cpu)?;
    Ok(distill(
        &*loaded,
        &source,
        &DistillOptions::default(),
        &Bar::default(),
    )?)
}
