//! `flashvec verify`.

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::json;

use crate::error::{Error, Result};
use crate::model_file::ModelFile;
use crate::output::print;
use flashvec_support::LONGEST_TOKEN;

/// Check that an image is whole and sound, as a device will before it uses it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  flashvec verify minilm.fvec && echo safe to flash")]
pub struct Args {
    /// An image
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// Report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    if args.image.is_dir() {
        return Err(Error::Arguments(format!(
            "{}: this is a folder; `flashvec convert` makes an image of it",
            args.image.display()
        )));
    }
    let file = ModelFile::open(&args.image)?;
    let model = file.model()?;
    // Beyond what a device proves: every id has a spelling of its own.
    let mut buffer = vec![0; LONGEST_TOKEN];
    let mut spellings = HashSet::new();
    for id in 0..model.token_count() as u32 {
        let spelled = model.token(id, &mut buffer).map(str::to_owned);
        if !spelled.is_some_and(|token| spellings.insert(token)) {
            return Err(Error::Arguments(format!(
                "{}: token {id} has no spelling of its own; make the image again",
                args.image.display()
            )));
        }
    }
    if args.json {
        let report = json!({
            "ok": true,
            "bytes": file.bytes().len(),
            "tokens": model.token_count(),
            "dims": model.dims(),
            "codec": model.header().codec.to_string(),
        });
        print(&report)
    } else {
        print(&format_args!(
            "{}: sound ({} bytes, {} tokens, {} dimensions, {})",
            args.image.display(),
            file.bytes().len(),
            model.token_count(),
            model.dims(),
            model.header().codec
        ))
    }
}
