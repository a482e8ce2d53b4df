//! Arguments that say how files of labelled texts are laid out.

use std::ffi::OsStr;
use std::path::Path;

use flashvec_distiller::labelled::{
    DEFAULT_LABEL_COLUMN, DEFAULT_TEXT_COLUMN, Format, ReadOptions,
};

/// How files of texts are laid out: tab-separated (.tsv), comma-separated (.csv) or JSON lines (.jsonl).
#[derive(clap::Args)]
pub struct TextLayoutArgs {
    /// Column of texts, or field of JSON objects
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TEXT_COLUMN)]
    text_column: String,

    /// Format of files whose names do not tell it
    #[arg(long, value_name = "FORMAT")]
    data_format: Option<DataFormat>,
}

/// How files of labelled texts are laid out.
#[derive(clap::Args)]
pub struct LayoutArgs {
    #[command(flatten)]
    pub texts: TextLayoutArgs,

    /// Column of labels, or field of JSON objects
    #[arg(long, value_name = "NAME", default_value = DEFAULT_LABEL_COLUMN)]
    label_column: String,

    /// Texts have any number of labels, with this between them
    #[arg(long, value_name = "SEPARATOR", num_args = 0..=1, require_equals = true, default_missing_value = "|")]
    multi_label: Option<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum DataFormat {
    Tsv,
    Csv,
    Jsonl,
}

impl TextLayoutArgs {
    fn options(&self) -> ReadOptions {
        ReadOptions {
            format: self.data_format.map(|format| match format {
                DataFormat::Tsv => Format::Tsv,
                DataFormat::Csv => Format::Csv,
                DataFormat::Jsonl => Format::JsonLines,
            }),
            text_column: self.text_column.clone(),
            ..ReadOptions::default()
        }
    }

    /// How to read a file of texts whose labels do not matter: `.txt` has a text a line, whatever the format of others.
    pub fn options_of(&self, path: &Path) -> ReadOptions {
        let mut options = self.options();
        let plain = |ending: &OsStr| ending.eq_ignore_ascii_case("txt");
        if path.extension().is_some_and(plain) {
            options.format = Some(Format::Lines);
        }
        options
    }
}

impl LayoutArgs {
    /// How to read a file. `regression`: its labels are numbers to learn.
    pub fn options(&self, regression: bool) -> ReadOptions {
        ReadOptions {
            label_column: self.label_column.clone(),
            multi_label: self.multi_label.clone(),
            regression,
            ..self.texts.options()
        }
    }
}
