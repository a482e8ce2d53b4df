//! The part of `flashvec inspect` about single rows: what each costs, how often texts use it, and what a classifier's
//! head makes of it.

use std::path::PathBuf;

use flashvec::image::{Image, SectionKind};
use flashvec::ngrams_layout::{MARKS, PAIRS, SKIP_PAIRS, TRIPLES, Window};
use flashvec::{Model, Task};
use flashvec_distiller::image::HeadParts;
use flashvec_distiller::labelled::read_texts;
use flashvec_support::LONGEST_TOKEN;
use serde_json::{Value, json};

use crate::error::Result;
use crate::evaluation::sets::strings;
use crate::labelled::TextLayoutArgs;
use crate::table::table;

#[derive(clap::Args)]
pub struct RowsArgs {
    /// Name so many rows: those that cost most and, of a classifier, those that push towards each label most
    #[arg(long, value_name = "N")]
    pub rows: Option<usize>,

    /// Texts to count how often rows are used, and to find the n-grams that rows belong to (.txt: one a line; else
    /// labelled texts, whose labels are ignored)
    #[arg(long, value_name = "FILE", requires = "rows")]
    data: Option<PathBuf>,

    #[command(flatten)]
    layout: TextLayoutArgs,
}

/// What is known of a model's rows, of tokens and then of n-grams.
pub struct Rows {
    names: Vec<String>,
    bytes: Vec<f64>,
    /// How often texts have each, if there are texts.
    uses: Option<Vec<u64>>,
    pushes: Vec<Pushes>,
    shown: usize,
}

/// The rows that push towards a label most, and how far.
struct Pushes {
    label: String,
    rows: Vec<(usize, f32)>,
}

impl RowsArgs {
    /// `None` if no rows are asked for. `sizes` are those of the image's parts.
    ///
    /// # Errors
    /// Those of reading `--data`; [`Error::Encode`](crate::error::Error::Encode).
    pub fn read(
        &self,
        model: &Model<'_>,
        image: &Image<'_>,
        sizes: &[(&str, usize)],
    ) -> Result<Option<Rows>> {
        let Some(shown) = self.rows else {
            return Ok(None);
        };
        let mut names = token_names(model);
        let bytes = row_bytes(model, &names, sizes);
        names.extend((0..model.ngram_count()).map(|at| format!("n-gram {at}")));
        let mut uses = None;
        if let Some(path) = &self.data {
            let texts = read_texts(path, &self.layout.options_of(path))?;
            let kinds = image
                .find(SectionKind::NGrams)
                .and_then(|section| section.first());
            let mut usage = Usage::new(model, kinds.copied().unwrap_or(0));
            for text in &texts {
                usage.count(text)?;
            }
            for (row, name) in usage.found {
                names[row] = name;
            }
            uses = Some(usage.uses);
        }
        let head = image.find(SectionKind::Head).and_then(HeadParts::read);
        let pushes = match head {
            Some(head) => pushes(model, &head, shown)?,
            None => Vec::new(),
        };
        Ok(Some(Rows {
            names,
            bytes,
            uses,
            pushes,
            shown,
        }))
    }
}

fn token_names(model: &Model<'_>) -> Vec<String> {
    let mut buffer = vec![0; LONGEST_TOKEN];
    (0..model.token_count() as u32)
        .map(|id| {
            let token = model.token(id, &mut buffer);
            token.map_or_else(|| format!("token {id}"), str::to_owned)
        })
        .collect()
}

/// What leaving out a row would save: the row itself and, of a token, the nodes of the trie that no other token needs, at
/// what a node takes on average; of an n-gram, its part of their table.
fn row_bytes(model: &Model<'_>, tokens: &[String], sizes: &[(&str, usize)]) -> Vec<f64> {
    let size = |wanted: &str| -> f64 {
        let parts = sizes.iter().filter(|(part, _)| part.starts_with(wanted));
        parts.map(|&(_, len)| len as f64).sum()
    };
    let row = size("rows: ") / model.row_count() as f64;
    let ngram = row + size("n-grams: ") / model.ngram_count().max(1) as f64;

    let mut sorted: Vec<usize> = (0..tokens.len()).collect();
    sorted.sort_by_key(|&at| tokens[at].as_bytes());
    let shared = |a: usize, b: usize| {
        let (a, b) = (tokens[sorted[a]].bytes(), tokens[sorted[b]].bytes());
        a.zip(b).take_while(|(a, b)| a == b).count()
    };
    let mut own = vec![0; tokens.len()];
    let mut nodes = 0;
    let mut before = 0;
    for at in 0..sorted.len() {
        let len = tokens[sorted[at]].len();
        let after = if at + 1 < sorted.len() {
            shared(at, at + 1)
        } else {
            0
        };
        own[sorted[at]] = len - before.max(after).min(len);
        nodes += len - before;
        before = after;
    }
    let node = size("trie: nodes") / nodes.max(1) as f64;
    let tokens = own
        .into_iter()
        .map(|own| row + node * f64::from(own as u32));
    tokens
        .chain((0..model.ngram_count()).map(|_| ngram))
        .collect()
}

/// How often texts use rows.
struct Usage<'m> {
    model: &'m Model<'m>,
    /// Kinds of n-grams, one a time, with or without marks.
    kinds: Vec<u8>,
    scratch: Vec<u32>,
    uses: Vec<u64>,
    /// Rows of n-grams, and their tokens.
    found: Vec<(usize, String)>,
}

impl<'m> Usage<'m> {
    fn new(model: &'m Model<'m>, kinds: u8) -> Self {
        let present = [PAIRS, SKIP_PAIRS, TRIPLES]
            .into_iter()
            .filter(|kind| kinds & kind != 0);
        Self {
            model,
            kinds: present.map(|kind| kind | kinds & MARKS).collect(),
            scratch: vec![0; model.scratch_len()],
            uses: vec![0; model.row_count()],
            found: Vec::new(),
        }
    }

    fn count(&mut self, text: &str) -> Result<()> {
        let header = self.model.header();
        let counting = header.pooling.max_chars as usize;
        let end = text
            .char_indices()
            .nth(counting)
            .map_or(text.len(), |(at, _)| at);
        let mut ids = Vec::new();
        self.model
            .tokenize(&text[..end], &mut self.scratch, |id| ids.push(id))?;
        ids.truncate(header.pooling.max_tokens as usize);
        let unk = header.tokenizer.unk;
        for &id in ids.iter().filter(|&&id| id != unk) {
            self.uses[id as usize] += 1;
        }
        for kind in self.kinds.clone() {
            let mut window = Window::new(kind);
            let mut rows = Vec::new();
            for (at, &id) in ids.iter().enumerate() {
                if id == unk {
                    window.unknown();
                } else {
                    window.token(id, |hash| rows.push((at, self.model.ngram_row(hash))));
                }
            }
            window.end(|hash| rows.push((ids.len(), self.model.ngram_row(hash))));
            for (last, row) in rows {
                if let Some(row) = row.map(|row| row as usize) {
                    if self.uses[row] == 0 {
                        self.found.push((row, self.name(kind, &ids, last)));
                    }
                    self.uses[row] += 1;
                }
            }
        }
        Ok(())
    }

    /// The tokens of an n-gram of this kind whose last one is `ids[last]`; `^` and `$` for the text's start and end.
    fn name(&self, kind: u8, ids: &[u32], last: usize) -> String {
        let mut buffer = vec![0; LONGEST_TOKEN];
        let mut token = |back: usize| match last.checked_sub(back) {
            None => "^".to_owned(),
            Some(at) => match ids.get(at) {
                None => "$".to_owned(),
                Some(&id) => self.model.token(id, &mut buffer).unwrap_or("").to_owned(),
            },
        };
        let tokens = match kind & !MARKS {
            PAIRS => [token(1), token(0)].join(" "),
            SKIP_PAIRS => [token(2), "*".to_owned(), token(0)].join(" "),
            _ => [token(2), token(1), token(0)].join(" "),
        };
        format!("\"{tokens}\"")
    }
}

/// How far each row pushes towards a label: what it adds to the label's logit above the mean of all labels, where labels
/// exclude each other. Of heads with a hidden layer, as a text of this row alone.
fn pushes(model: &Model<'_>, head: &HeadParts, shown: usize) -> Result<Vec<Pushes>> {
    let mut kept: Vec<Vec<(usize, f32)>> = vec![Vec::new(); head.labels.len()];
    let none = logits(head, &vec![0.0; model.dims()]);
    let mut row = vec![0.0; model.dims()];
    for id in 0..model.row_count() {
        model.vector(id as u32, &mut row)?;
        let mut length = 1.0;
        if model.header().pooling.normalize {
            length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 0.0 {
                row.iter_mut().for_each(|x| *x /= length);
            }
        }
        let mut pushes: Vec<f32> = logits(head, &row)
            .iter()
            .zip(&none)
            .map(|(logit, none)| length * (logit - none))
            .collect();
        if head.task == Task::Softmax {
            let mean = pushes.iter().sum::<f32>() / pushes.len() as f32;
            pushes.iter_mut().for_each(|push| *push -= mean);
        }
        for (kept, push) in kept.iter_mut().zip(pushes) {
            kept.push((id, push));
            if kept.len() > 2 * shown + 16 {
                keep_largest(kept, shown);
            }
        }
    }
    let labels = head.labels.iter().cloned().zip(kept);
    Ok(labels
        .map(|(label, mut rows)| {
            keep_largest(&mut rows, shown);
            Pushes { label, rows }
        })
        .collect())
}

fn keep_largest(rows: &mut Vec<(usize, f32)>, count: usize) {
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows.truncate(count);
}

fn logits(head: &HeadParts, embedding: &[f32]) -> Vec<f32> {
    let mut values = embedding.to_vec();
    for (at, layer) in head.layers.iter().enumerate() {
        if at > 0 {
            values.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        let weights = layer.weights.chunks_exact(values.len());
        let outputs = weights.zip(&layer.scales).zip(&layer.biases);
        values = outputs
            .map(|((weights, scale), bias)| {
                let products = weights.iter().zip(&values).map(|(&w, x)| f32::from(w) * x);
                products.sum::<f32>() * scale + bias
            })
            .collect();
    }
    values
}

impl Rows {
    /// Rows that cost most, those that are used least first.
    fn costly(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.names.len()).collect();
        let uses = |row: usize| self.uses.as_ref().map_or(0, |uses| uses[row]);
        rows.sort_by(|&a, &b| {
            uses(a)
                .cmp(&uses(b))
                .then(self.bytes[b].total_cmp(&self.bytes[a]))
        });
        rows.truncate(self.shown);
        rows
    }

    /// How many rows are never used, and their bytes.
    fn never_used(&self) -> Option<(usize, f64)> {
        let uses = self.uses.as_ref()?.iter().zip(&self.bytes);
        let unused = uses.filter(|&(&uses, _)| uses == 0);
        Some(unused.fold((0, 0.0), |(rows, sum), (_, bytes)| (rows + 1, sum + bytes)))
    }

    /// For other programs.
    pub fn json(&self) -> Value {
        let costly = self.costly().into_iter().map(|row| {
            json!({
                "row": row,
                "name": self.names[row],
                "bytes": self.bytes[row],
                "uses": self.uses.as_ref().map(|uses| uses[row]),
            })
        });
        let labels = self.pushes.iter().map(|Pushes { label, rows }| {
            let rows = rows.iter().map(|&(row, push)| {
                json!({
                    "row": row,
                    "name": self.names[row],
                    "push": push,
                    "uses": self.uses.as_ref().map(|uses| uses[row]),
                })
            });
            json!({"label": label, "rows": rows.collect::<Value>()})
        });
        json!({
            "count": self.names.len(),
            "never_used": self.never_used().map(|(rows, bytes)| json!({"rows": rows, "bytes": bytes})),
            "costly": costly.collect::<Value>(),
            "labels": labels.collect::<Value>(),
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some((rows, bytes)) = self.never_used() {
            parts.push(format!(
                "rows: {}, of which {rows} are never used; these take {bytes:.0} bytes",
                self.names.len()
            ));
        }
        let mut rows = vec![strings(["row", "bytes"])];
        if self.uses.is_some() {
            rows[0].push("uses".to_owned());
        }
        for row in self.costly() {
            let mut cells = vec![self.names[row].clone(), format!("{:.1}", self.bytes[row])];
            cells.extend(self.uses.as_ref().map(|uses| uses[row].to_string()));
            rows.push(cells);
        }
        parts.push(table(&rows));
        if !self.pushes.is_empty() {
            let mut lines =
                "rows that push towards a label most, and what they add to its logit".to_owned();
            for Pushes { label, rows } in &self.pushes {
                let rows = rows
                    .iter()
                    .map(|&(row, push)| format!("{} {push:.2}", self.names[row]));
                lines += &format!("\n{label}: {}", rows.collect::<Vec<_>>().join(", "));
            }
            parts.push(lines);
        }
        parts.join("\n\n")
    }
}
