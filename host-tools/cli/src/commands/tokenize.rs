//! `flashvec tokenize`.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::model_file::{MODEL, ModelFile};
use crate::output::Output;
use crate::texts::{TextArgs, Texts};
use flashvec_support::LONGEST_TOKEN;

/// Split texts into tokens: one text a line in, a JSON array of token strings a line out
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    echo 'unbelievable!' | flashvec tokenize minilm.fvec\n  \
    flashvec tokenize minilm.fvec --ids --input texts.txt")]
pub struct Args {
    #[arg(help = MODEL)]
    model: PathBuf,

    #[command(flatten)]
    texts: TextArgs,

    /// Print the image's token ids instead of strings
    #[arg(long)]
    ids: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let file = ModelFile::open(&args.model)?;
    let model = file.model()?;
    let mut scratch = vec![0; model.scratch_len()];
    let mut buffer = vec![0; LONGEST_TOKEN];
    let mut texts = Texts::open(&args.texts)?;
    let mut output = Output::stdout();
    while let Some(text) = texts.next()? {
        let mut tokens = Vec::new();
        model
            .tokenize(&text, &mut scratch, |id| {
                tokens.push(if args.ids {
                    serde_json::Value::from(id)
                } else {
                    model.token(id, &mut buffer).into()
                });
            })
            .map_err(Error::image(&args.model))?;
        output.write_line(&serde_json::Value::from(tokens))?;
    }
    output.finish()
}
