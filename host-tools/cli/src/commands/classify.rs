//! `flashvec classify`.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flashvec::{Classification, Head, Model, Prediction, Task};
use flashvec_support::Bar;

use super::encode::Threads;
use crate::error::{Error, Result};
use crate::follow::{Follow, end_on_signals};
use crate::model_file::{MODEL, ModelFile};
use crate::output::Output;
use crate::pipeline;
use crate::texts::{Blocks, TextArgs};

/// Classify texts: one a line in, its label and the label's probability a line out, in order
#[derive(clap::Args)]
#[command(after_help = "\
A line is `label<TAB>probability`, with four decimals. A text that is none of the labels gives `-<TAB>score`: the scope \
score, which the head asks more of. Where a text has any number of labels, a line has all of 0.5 and above, most \
probable first, as pairs between TABs; of a regression, all values. --top and --all add labels behind a `-`. With \
--json a line is an object: `none`, `scope_score`, and `labels`, an array of objects with `label` and \
`probability` (`value` of a regression), in digits that read back as the same 32-bit float. Texts that are not UTF-8 \
are classified as their bytes.

Examples:
  flashvec classify intents.fvec --input texts.txt
  echo 'turn on the light' | flashvec classify base.fvec --head intents.fvhead --top 3
  journalctl --follow --output cat | flashvec classify --follow alarms.fvec --threshold fire=0.2
  flashvec classify --follow alarms.fvec --input /var/log/messages --new-only --json")]
pub struct Args {
    #[arg(help = MODEL)]
    model: PathBuf,

    /// Head file made for the model, instead of the model's own head
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,

    #[command(flatten)]
    texts: TextArgs,

    /// The K most probable labels of each text, whatever their probability
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,

    /// All labels of each text, whatever their probability
    #[arg(long, conflicts_with = "top")]
    all: bool,

    /// Least probability, 0 to 1, of any label or of the one that is named; may be given several times. A less
    /// probable label is none
    #[arg(long, value_name = "[LABEL=]P")]
    threshold: Vec<String>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    /// Print each line at once and wait for more: until standard input ends, or for ever where --input is a file, also
    /// when it is emptied or replaced, as `tail -F` does. SIGINT and SIGTERM end it
    #[arg(long, conflicts_with = "threads")]
    follow: bool,

    /// Leave out what is in the file already
    #[arg(long, requires = "follow", requires = "input")]
    new_only: bool,

    #[command(flatten)]
    threads: Threads,
}

pub fn run(args: &Args) -> Result<()> {
    let file = ModelFile::open(&args.model)?;
    let model = file.model()?;
    let head_bytes = match &args.head {
        Some(path) => std::fs::read(path).map_err(Error::io(path))?,
        None => Vec::new(),
    };
    let head = match &args.head {
        Some(path) => Head::from_bytes(&head_bytes, &model).map_err(Error::image(path))?,
        None => *model
            .head()
            .ok_or(flashvec::Error::NoHead)
            .map_err(Error::image(&args.model))?,
    };
    let classifier = Classifier::new(&model, &head, args)?;
    if args.follow {
        follow(&classifier, args)
    } else {
        classify(&classifier, args)
    }
}

fn classify(classifier: &Classifier<'_>, args: &Args) -> Result<()> {
    let blocks = Blocks::open(&args.texts)?;
    let parser = args.texts.parser();
    let mut output = Output::stdout();
    pipeline::run(
        args.threads.count(),
        blocks,
        &Bar::default(),
        || classifier.worker(),
        |worker, block, lines: &mut Vec<u8>| {
            lines.clear();
            parser.bytes(block, |text| classifier.line(text, worker, lines))
        },
        |lines| output.write(lines),
    )?;
    output.finish()
}

fn follow(classifier: &Classifier<'_>, args: &Args) -> Result<()> {
    end_on_signals()?;
    let mut input = match &args.texts.input {
        Some(path) => Follow::file(path, args.new_only)?,
        None => Follow::stdin(),
    };
    let parser = args.texts.parser();
    let mut worker = classifier.worker();
    let mut lines = Vec::new();
    while let Some(block) = input.next()? {
        lines.clear();
        let classified = parser.bytes(&block, |text| {
            classifier.line(text, &mut worker, &mut lines)
        });
        // Held until the lines are out, so that no signal cuts one.
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(&lines)
            .and_then(|()| stdout.flush())
            .map_err(Error::Write)?;
        classified?;
    }
    Ok(())
}

/// A head and what is to be printed of what it says.
struct Classifier<'m> {
    model: &'m Model<'m>,
    head: &'m Head<'m>,
    labels: Vec<Label<'m>>,
    /// How many labels are printed, whatever their probability; `None`: those that the text has.
    shown: Option<usize>,
    json: bool,
}

struct Label<'m> {
    name: &'m str,
    /// The name as a JSON string.
    json: String,
    /// The least probability for a text to have it.
    threshold: f32,
}

impl<'m> Classifier<'m> {
    fn new(model: &'m Model<'m>, head: &'m Head<'m>, args: &Args) -> Result<Self> {
        let usual = match head.task() {
            Task::Sigmoid => 0.5,
            _ => 0.0,
        };
        let names = (0..head.label_count()).filter_map(|label| head.label(label));
        let mut labels: Vec<Label<'_>> = names
            .map(|name| Label {
                name,
                json: serde_json::Value::from(name).to_string(),
                threshold: usual,
            })
            .collect();
        if head.task() == Task::Regression && !args.threshold.is_empty() {
            return Err(Error::Arguments(
                "--threshold: this head gives values, not probabilities; leave it out".to_owned(),
            ));
        }
        // Those of one label come after those of all.
        let (named, all): (Vec<_>, Vec<_>) = args
            .threshold
            .iter()
            .map(|given| {
                given
                    .rsplit_once('=')
                    .map_or((None, given.as_str()), |(name, p)| (Some(name), p))
            })
            .partition(|(name, _)| name.is_some());
        for (name, probability) in all.into_iter().chain(named) {
            let threshold = probability
                .parse()
                .ok()
                .filter(|p| (0.0..=1.0).contains(p))
                .ok_or_else(|| {
                    Error::Arguments(format!(
                        "--threshold: {probability:?} is no probability; give a number from 0 to 1, or LABEL=P"
                    ))
                })?;
            match name {
                None => labels
                    .iter_mut()
                    .for_each(|label| label.threshold = threshold),
                Some(name) => {
                    let label = labels.iter_mut().find(|label| label.name == name);
                    label.ok_or_else(|| unknown_label(name, args))?.threshold = threshold;
                }
            }
        }
        Ok(Self {
            model,
            head,
            shown: match args.top {
                Some(count) => Some(count.into()),
                None => args.all.then_some(labels.len()),
            },
            labels,
            json: args.json,
        })
    }

    fn worker(&self) -> Worker {
        Worker {
            scratch: vec![0; self.head.scratch_len(self.model)],
            found: Vec::new(),
        }
    }

    /// Appends the line for a text.
    fn line(&self, text: &[u8], worker: &mut Worker, out: &mut Vec<u8>) -> Result<()> {
        let Worker { scratch, found } = worker;
        let classification = self.head.classify_bytes(self.model, text, scratch)?;
        self.find(&classification, found);
        let none = found.is_empty();
        if let Some(count) = self.shown {
            found.clear();
            found.extend(all(&classification));
            rank(found);
            found.truncate(count);
        }
        let scope_score = classification.scope_score();
        let written = if self.json {
            self.json_line(none, scope_score, found, out)
        } else {
            self.text_line(none, scope_score, found, out)
        };
        written.map_err(Error::Write)
    }

    /// The labels that the text has.
    fn find(&self, classification: &Classification<'_>, found: &mut Vec<Prediction>) {
        found.clear();
        if !classification.is_in_scope() {
            return;
        }
        match self.head.task() {
            Task::Regression => found.extend(all(classification)),
            Task::Sigmoid => {
                found.extend(all(classification).filter(|found| self.is_enough(found)));
                rank(found);
            }
            _ => found.extend(classification.best().filter(|found| self.is_enough(found))),
        }
    }

    fn is_enough(&self, found: &Prediction) -> bool {
        found.probability >= self.labels[found.label].threshold
    }

    fn text_line(
        &self,
        none: bool,
        scope_score: f32,
        found: &[Prediction],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        if none {
            write!(out, "-\t{scope_score:.4}")?;
        }
        for (at, found) in found.iter().enumerate() {
            let before = if at > 0 || none { "\t" } else { "" };
            let label = self.labels[found.label].name;
            match self.head.task() {
                Task::Regression => write!(out, "{before}{label}\t{}", found.probability)?,
                _ => write!(out, "{before}{label}\t{:.4}", found.probability)?,
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn json_line(
        &self,
        none: bool,
        scope_score: f32,
        found: &[Prediction],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let name = match self.head.task() {
            Task::Regression => "value",
            _ => "probability",
        };
        write!(out, "{{\"none\":{none},\"scope_score\":")?;
        push_number(scope_score, out);
        out.extend_from_slice(b",\"labels\":[");
        for (at, found) in found.iter().enumerate() {
            let before = if at > 0 { "," } else { "" };
            let label = &self.labels[found.label].json;
            write!(out, "{before}{{\"label\":{label},\"{name}\":")?;
            push_number(found.probability, out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}\n");
        Ok(())
    }
}

/// What a thread works with.
struct Worker {
    scratch: Vec<u32>,
    found: Vec<Prediction>,
}

fn unknown_label(name: &str, args: &Args) -> Error {
    let path: &Path = args.head.as_ref().unwrap_or(&args.model);
    Error::Arguments(format!(
        "--threshold: {} has no label {name:?}; `flashvec classify --all` prints them",
        path.display()
    ))
}

fn all(classification: &Classification<'_>) -> impl Iterator<Item = Prediction> {
    let scores = classification.scores().iter().enumerate();
    scores.map(|(label, &probability)| Prediction { label, probability })
}

/// Most probable first, the first of equal ones first.
fn rank(found: &mut [Prediction]) {
    found.sort_by(|a, b| {
        let falling = b.probability.partial_cmp(&a.probability);
        falling.unwrap_or(Ordering::Equal)
    });
}

/// A number of JSON, which has none that are not finite.
fn push_number(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        // Shortest digits that read back as the same number.
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}
