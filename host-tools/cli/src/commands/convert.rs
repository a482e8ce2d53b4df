//! `flashvec convert`.

use std::path::{Path, PathBuf};

use flashvec::Codec;
use flashvec_distiller::image::read_image;
use flashvec_distiller::model2vec;

use super::distill::{Target, codec};
use super::flash::{ByHand, CorpusArgs, FlashArgs};
use crate::error::{Error, Result};
use crate::model_file::codec_of;

/// Convert a Model2Vec folder to an image, or an image to a Model2Vec folder
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec convert minishlab/potion-base-8M -o potion.fvec\n  \
    flashvec convert ./potion-base-8M --codec int8 -o potion-int8.fvec\n  \
    flashvec convert ./potion-base-8M --flash 256K -o potion-256k.fvec\n  \
    flashvec convert potion.fvec -o potion-model2vec/")]
pub struct Args {
    /// A Model2Vec folder, `org/name` on the Hugging Face hub, or a `.fvec` image
    #[arg(value_name = "IN")]
    input: String,

    /// `.fvec` file for an image; any other name for a Model2Vec folder
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,

    /// How rows are stored: f32, f16, int8, int4, int2, or a product quantiser such as pq8x16s [default: as they are; f32 for a folder from an int8 image]
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
    let model = if path.is_file() {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        read_image(&bytes, path)?
    } else {
        model2vec::read(&args.input)?
    };
    if for_flash {
        let by_hand = ByHand {
            codec: args.codec,
            dims: args.dims,
            vocab_size: args.vocab_size,
        };
        return args
            .flash
            .write(&model, by_hand, &args.text.corpus, &args.output);
    }
    let codec = args.codec.unwrap_or_else(|| codec_of(&model));
    target.write(&model, &args.flash.image_options(codec))
}
