//! `flashvec report`.

use std::path::PathBuf;

use flashvec::image::Image;
use flashvec_support::Bar;
use flashvec_support::files::{OutputFile, write_file};

use crate::error::{Error, Result};
use crate::evaluation::sets::{ClassifierArgs, SetArgs, Sets};
use crate::history::History;
use crate::image_parts::parts;
use crate::model_file::ModelFile;
use crate::report_page::{Described, page};

/// Draw models' sizes and scores, and how training went, on one HTML page
#[derive(clap::Args)]
#[command(after_help = "\
The page needs nothing else to be shown. It says what each model is and how it was made, and draws where its bytes go; \
with --history the loss and the held-out cosine of each epoch; with sets all scores, against the bytes where there are \
two models or more.

Examples:
  flashvec report small.fvec large.fvec --sts stsb/dev.tsv stsb/test.tsv -o report.html
  flashvec report trained.fvec --history history.json --title \"Trained on Wikipedia\" -o report.html")]
pub struct Args {
    /// Images or Model2Vec folders
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,

    /// JSON file with the loss and the score of each epoch, which `flashvec pretrain --history` wrote
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    #[command(flatten)]
    sets: SetArgs,

    #[command(flatten)]
    classifier: ClassifierArgs,

    /// HTML file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Heading of the page
    #[arg(long, value_name = "TITLE", default_value = "flashvec report")]
    title: String,
}

pub fn run(args: &Args) -> Result<()> {
    // What cannot be read, is no model or cannot be written is refused now, not after the long part.
    let history = args.history.as_deref().map(History::read).transpose()?;
    drop(OutputFile::create(&args.output)?);
    let files = ModelFile::open_all(&args.models)?;
    let described = files.iter().map(describe).collect::<Result<Vec<_>>>()?;
    let sets = Sets::read(&args.sets)?;
    let scored = sets.score_all(&files, args.classifier.classify_c, &Bar::default())?;
    let page = page(&args.title, &described, history.as_ref(), &sets, &scored)?;
    Ok(write_file(&args.output, page.as_bytes())?)
}

fn describe(file: &ModelFile) -> Result<Described<'_>> {
    file.model()?;
    let image = Image::parse(file.bytes()).map_err(Error::image(file.path()))?;
    let sizes = parts(&image).map_err(Error::image(file.path()))?;
    Ok(Described { file, image, sizes })
}
