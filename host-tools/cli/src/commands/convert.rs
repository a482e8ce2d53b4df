//! `flashvec convert`.

use std::path::{Path, PathBuf};

use flashvec::Codec;
use flashvec_distiller::image::{read_classifier, read_head};
use flashvec_distiller::{Pipeline, model2vec};

use super::distill::{Target, codec};
use super::flash::{ByHand, CorpusArgs, FlashArgs};
use crate::error::{Error, Result};
use crate::model_file::{codec_of, image_codec};

/// Convert a Model2Vec folder to an image, or an image to a Model2Vec folder
///
/// So for classifiers, folders that Python's StaticModelPipeline saves: the image has the head and its labels, and a folder
/// made of an image with a head is such a one.
#[derive(clap::Args)]
#[command(after_help = "\
A head has at most one hidden layer; its weights become 8-bit, its rows integers that are not rotated. An image with rows of \
n-grams becomes no folder. Texts that are out of an image's scope are not told by Python.

Examples:\n  \
    flashvec convert minishlab/potion-base-8M -o potion.fvec\n  \
    flashvec convert ./potion-base-8M --codec int8 -o potion-int8.fvec\n  \
    flashvec convert ./potion-base-8M --flash 256K -o potion-256k.fvec\n  \
    flashvec convert potion.fvec -o potion-model2vec/\n  \
    flashvec convert ./my-classifier --codec int4 -o intents.fvec\n  \
    flashvec convert english-256k.fvec --head intents.fvhead -o my-classifier/")]
pub struct Args {
    /// A Model2Vec folder, `org/name` on the Hugging Face hub, or a `.fvec` image
    #[arg(value_name = "IN")]
    input: String,

    /// `.fvec` file for an image; any other name for a Model2Vec folder
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,

    /// The head to take along, a `.fvhead` file made for the image IN
    #[arg(long, value_name = "FILE", conflicts_with = "flash")]
    head: Option<PathBuf>,

    /// How rows are stored: f32, f16, int8, int4, int2, or a product quantiser such as pq8x16s [default: as they are; f32 for a folder from an int8 image; int8 for an image with a head]
    #[arg(long, value_parser = codec)]
    codec: Option<Codec>,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    text: CorpusArgs,

    /// With --flash: how many principal components to keep
    #[arg(long, value_name = "N", requires = "flash")]
    dims: Option<usize>,

    /// With --flash: how many tokens to keep
    #[arg(long, value_name = "N", requires = "flash")]
    vocab_size: Option<usize>,
}

pub fn run(args: &Args) -> Result<()> {
    let target = Target::of(&args.output)?;
    let for_flash = args.flash.wanted(&target)?;
    let path = Path::new(&args.input);
    let Pipeline { model, head } = if path.is_file() {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let mut pipeline = read_classifier(&bytes, path)?;
        if let Some(path) = &args.head {
            let file = std::fs::read(path).map_err(Error::io(path))?;
            pipeline.head = Some(read_head(&file, path, &bytes)?);
        }
        pipeline
    } else if args.head.is_some() {
        return Err(Error::Arguments(format!(
            "--head is for the image that the head was made for, and {} is none",
            args.input
        )));
    } else {
        model2vec::read_pipeline(&args.input)?
    };
    if for_flash {
        if head.is_some() {
            return Err(Error::Arguments(format!(
                "--flash changes rows, and the head of {} is for those it has; ask for --codec int4 or int2, or train for \
                 the size: flashvec train --base {} --data FILE --flash SIZE",
                args.input, args.input
            )));
        }
        let by_hand = ByHand {
            codec: args.codec,
            dims: args.dims,
            vocab_size: args.vocab_size,
        };
        return args
            .flash
            .write(&model, by_hand, &args.text.corpus, &args.output);
    }
    let codec = args.codec.unwrap_or_else(|| match target {
        Target::Image(_) => image_codec(&model, head.as_ref()),
        Target::Folder(_) => codec_of(&model),
    });
    let options = args.flash.image_options(codec);
    target.write(&model, head.as_ref(), &options)
}
