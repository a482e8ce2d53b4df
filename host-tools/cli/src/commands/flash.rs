//! `--flash`: the best image for a size.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use flashvec::Codec;
use flashvec_distiller::compress::WHITENING;
use flashvec_distiller::files::write_file;
use flashvec_distiller::image::ImageOptions;
use flashvec_distiller::{
    Bar, CompressOptions, Progress, Pruning, Quantization, Rotation, RowScale, StaticModel,
    compress, count_tokens,
};

use super::distill::Target;
use crate::error::{Error, Result};
use crate::model_file::image_options;
use crate::texts::Texts;

/// Arguments of commands that can make an image for a size.
#[derive(clap::Args)]
pub struct FlashArgs {
    /// Make the best image of at most this many bytes: 640KB, 256KiB, or 256K as in a linker script (K
    /// and KiB are 1024, KB is 1000). Chooses codec and tokens, unless --codec or --vocab-size do
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    flash: Option<usize>,

    /// With --flash: how far rows' spectrum is flattened, from 0, not at all, to 1
    #[arg(long, value_name = "POWER", default_value_t = WHITENING, requires = "flash")]
    whitening: f64,

    /// With --flash: which tokens are kept if not all fit; `gain`: those whose pieces would add up to
    /// something else, by how often they occur; `frequency`: the most frequent
    #[arg(long, default_value = "gain", requires = "flash")]
    pruning: PruningName,

    /// With --flash: leave the rows of the kept tokens as they are, not fitted to stand for the others
    #[arg(long, requires = "flash")]
    no_refit: bool,

    /// With --flash: how often a product quantiser's codebooks look at a token, as a power of its share of
    /// text
    #[arg(
        long,
        value_name = "POWER",
        default_value_t = 0.0,
        requires = "flash",
        hide = true
    )]
    codebook_weighting: f64,

    /// Whose scale a product quantiser's rows have
    #[arg(long, default_value = "own", hide = true)]
    row_scale: RowScaleName,

    /// How rows are rotated before int4, int2 or a product quantiser; `learned` is fitted to the
    /// codebooks
    #[arg(long, default_value = "random")]
    rotation: RotationName,
}

/// The text of commands that read none otherwise.
#[derive(clap::Args)]
pub struct CorpusArgs {
    /// With --flash: text, one a line, whose tokens are counted to know which are worth keeping; without
    /// any, Zipf's law is taken over the vocabulary's order
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "flash")]
    pub corpus: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum PruningName {
    Gain,
    Frequency,
}

#[derive(Clone, Copy, ValueEnum)]
enum RowScaleName {
    Own,
    Shared,
}

#[derive(Clone, Copy, ValueEnum)]
enum RotationName {
    None,
    Random,
    Hadamard,
    Learned,
}

/// What was chosen by hand; the rest is for `--flash` to choose.
pub struct ByHand {
    pub codec: Option<Codec>,
    pub dims: Option<usize>,
    pub vocab_size: Option<usize>,
}

impl FlashArgs {
    /// Options of an image made by the command that is running.
    pub fn image_options(&self, codec: Codec) -> ImageOptions {
        ImageOptions {
            quantization: Quantization {
                rotation: match self.rotation {
                    RotationName::None => Rotation::None,
                    RotationName::Random => Rotation::Random,
                    RotationName::Hadamard => Rotation::Hadamard,
                    RotationName::Learned => Rotation::Learned,
                },
                row_scale: match self.row_scale {
                    RowScaleName::Own => RowScale::Own,
                    RowScaleName::Shared => RowScale::Shared,
                },
                row_weights: None,
            },
            ..image_options(codec)
        }
    }

    /// Whether a size was asked for; refuses one for anything but an image.
    pub fn wanted(&self, target: &Target<'_>) -> Result<bool> {
        match target {
            Target::Folder(path) if self.flash.is_some() => Err(Error::Arguments(format!(
                "--flash makes an image, and {} is none; name a file that ends in .fvec",
                path.display()
            ))),
            _ => Ok(self.flash.is_some()),
        }
    }

    /// Writes the best image of the size asked for, and says what was chosen. Tokens are counted in the
    /// files of `corpus`, if there are any.
    pub fn write(
        &self,
        model: &StaticModel,
        by_hand: ByHand,
        corpus: &[PathBuf],
        path: &Path,
    ) -> Result<()> {
        let flash = self.flash.unwrap_or(usize::MAX);
        let options = CompressOptions {
            codec: by_hand.codec,
            dims: by_hand.dims,
            vocab_size: by_hand.vocab_size,
            whitening: self.whitening,
            counts: counts(model, corpus)?,
            pruning: match self.pruning {
                PruningName::Gain => Pruning::Gain,
                PruningName::Frequency => Pruning::Frequency,
            },
            refit: !self.no_refit,
            codebook_weighting: self.codebook_weighting,
            ..CompressOptions::new(flash)
        };
        let image = self.image_options(Codec::Int8);
        let made = compress(model, &options, &image, &Bar::default())?;
        write_file(path, &made.image)?;
        eprintln!(
            "{}: {} of {} tokens ({:.1} % of running text, the rest in pieces), {} dimensions, {}, {} of {flash} bytes; cosines correlate {:.3} with the float table's",
            path.display(),
            made.tokens,
            made.tokens_before,
            100.0 * made.coverage,
            made.dims,
            made.codec,
            made.image.len(),
            made.correlation,
        );
        Ok(())
    }
}

/// How often each token occurs in some files, a text a line; `None` without files.
pub fn counts(model: &StaticModel, corpus: &[PathBuf]) -> Result<Option<Vec<u64>>> {
    if corpus.is_empty() {
        return Ok(None);
    }
    let sizes = corpus
        .iter()
        .map(|path| Ok(std::fs::metadata(path).map_err(Error::io(path))?.len()))
        .collect::<Result<Vec<u64>>>()?;
    let files = corpus
        .iter()
        .map(|path| Texts::file(path))
        .collect::<Result<Vec<_>>>()?;
    let bar = Bar::default();
    bar.begin("Counting tokens, bytes", sizes.iter().sum());
    let lines = files
        .into_iter()
        .flat_map(|mut texts| std::iter::from_fn(move || texts.next().transpose()));
    let counts = count_tokens(
        model,
        lines.inspect(|line: &Result<String>| {
            bar.advance(line.as_ref().map_or(0, |line| line.len() as u64 + 1));
        }),
    );
    bar.finish();
    counts.map(Some)
}

/// Bytes: a whole or decimal number and K, M, KiB, MiB (1024), kB, KB or MB (1000).
pub fn parse_size(text: &str) -> std::result::Result<usize, String> {
    let wrong = || "expected a size such as 640KB, 256KiB, 1.1MB or 131072".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * factor;
    if (1.0..=f64::from(u32::MAX)).contains(&bytes) {
        Ok(bytes as usize)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_units_of_linker_scripts_and_of_the_si() {
        assert_eq!(parse_size("256K"), Ok(262_144));
        assert_eq!(parse_size("256KiB"), Ok(262_144));
        assert_eq!(parse_size("256KB"), Ok(256_000));
        assert_eq!(parse_size("1.1MB"), Ok(1_100_000));
        assert_eq!(parse_size("1M"), Ok(1_048_576));
        assert_eq!(parse_size("131072"), Ok(131_072));
        for wrong in ["", "K", "-1", "1.2.3", "12 parsecs", "0", "5000MB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
