//! From what a file says about its texts to labels by number.

use std::collections::HashMap;

use super::rows::{Label, shortened};
use super::{ReadOptions, Targets};

/// As many as an image's head can have, and as many bytes as one can be.
const MAX_LABELS: usize = 4096;
const MAX_LABEL_BYTES: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    Multi,
    Values,
}

/// Takes in the labels of one text after another.
pub(super) struct Collector<'a> {
    /// `None` until the first text where the file decides.
    kind: Option<Kind>,
    separator: Option<&'a str>,
    /// Labels that are allowed, or those met so far.
    known: HashMap<String, u32>,
    /// Those that are allowed, where not all are.
    only: Option<&'a [String]>,
    single: Vec<u32>,
    multi: Vec<Vec<u32>>,
    values: Vec<f32>,
}

type Checked<T> = std::result::Result<T, String>;

impl<'a> Collector<'a> {
    /// Takes any labels.
    pub fn new(options: &'a ReadOptions) -> Self {
        let kind = match (&options.multi_label, options.regression) {
            (_, true) => Some(Kind::Values),
            (Some(_), false) => Some(Kind::Multi),
            (None, false) => None,
        };
        Self {
            kind,
            separator: options.multi_label.as_deref(),
            known: HashMap::new(),
            only: None,
            single: Vec::new(),
            multi: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Takes labels of one kind, and only those that `labels` has.
    pub fn only(options: &'a ReadOptions, kind: Kind, labels: &'a [String]) -> Self {
        Self {
            kind: Some(kind),
            known: labels.iter().cloned().zip(0..).collect(),
            only: Some(labels),
            ..Self::new(options)
        }
    }

    pub fn add(&mut self, label: Label) -> Checked<()> {
        let kind = *self.kind.get_or_insert(match &label {
            Label::List(_) => Kind::Multi,
            Label::Text(_) | Label::Number(_) => Kind::Single,
        });
        match (kind, label) {
            (Kind::Single, Label::Text(label)) => {
                let label = self.index(&label)?;
                self.single.push(label);
            }
            (Kind::Single, Label::List(_)) => {
                return Err(
                    "a list of labels, where texts have one label each; ask for multi-label"
                        .to_owned(),
                );
            }
            (Kind::Single | Kind::Multi, Label::Number(value)) => {
                return Err(format!(
                    "the label is the number {value}; ask for regression to learn numbers, or put it in quotes if it \
                     is a label's name"
                ));
            }
            (Kind::Multi, Label::List(labels)) => {
                let labels = self.indices(labels.iter().map(String::as_str))?;
                self.multi.push(labels);
            }
            (Kind::Multi, Label::Text(label)) => {
                let labels = match self.separator {
                    _ if label.trim().is_empty() => Vec::new(),
                    Some(separator) => self.indices(label.split(separator))?,
                    None => self.indices([label.as_str()].into_iter())?,
                };
                self.multi.push(labels);
            }
            (Kind::Values, Label::Text(cell)) => {
                let value = cell.trim().parse().ok();
                let value = value.filter(|value: &f32| value.is_finite());
                self.values
                    .push(value.ok_or_else(|| format!("{cell:?} is no number to learn"))?);
            }
            (Kind::Values, Label::Number(value)) if (value as f32).is_finite() => {
                self.values.push(value as f32);
            }
            (Kind::Values, Label::Number(value)) => {
                return Err(format!("{value:e} is beyond what numbers to learn can be"));
            }
            (Kind::Values, Label::List(_)) => {
                return Err("a list of labels, where a number is to be learnt".to_owned());
            }
        }
        Ok(())
    }

    fn indices<'b>(&mut self, labels: impl Iterator<Item = &'b str>) -> Checked<Vec<u32>> {
        let mut indices = Vec::new();
        for label in labels {
            let index = self.index(label)?;
            if indices.contains(&index) {
                return Err(format!("the label {:?} twice for one text", label.trim()));
            }
            indices.push(index);
        }
        Ok(indices)
    }

    /// A label's number. White space around labels does not count.
    fn index(&mut self, label: &str) -> Checked<u32> {
        let label = label.trim();
        if let Some(&index) = self.known.get(label) {
            return Ok(index);
        }
        if label.is_empty() {
            return Err("an empty label; give one or drop the row".to_owned());
        }
        if let Some(only) = self.only {
            return Err(format!(
                "the label {label:?} is unknown; known are {}",
                shortened(only)
            ));
        }
        if let Some(c) = label.chars().find(|c| c.is_control()) {
            return Err(format!(
                "a control character ({c:?}) in the label {label:?}"
            ));
        }
        if label.len() > MAX_LABEL_BYTES {
            let start: String = label.chars().take(20).collect();
            return Err(format!(
                "a label of {} bytes, {start:?}...; at most {MAX_LABEL_BYTES}: is it the right column?",
                label.len()
            ));
        }
        if self.known.len() == MAX_LABELS {
            return Err(format!(
                "label number {}, {label:?}; at most {MAX_LABELS}: is it the right column?",
                MAX_LABELS + 1
            ));
        }
        let index = self.known.len() as u32;
        self.known.insert(label.to_owned(), index);
        Ok(index)
    }

    /// All labels, sorted if they were not given, and the texts' targets. A number to learn is named `value`.
    ///
    /// # Errors
    /// What is wrong if there is nothing to tell apart in a file of which any labels were taken.
    pub fn finish(self, value: &str) -> Checked<(Vec<String>, Targets)> {
        let Self {
            kind,
            known,
            only,
            mut single,
            mut multi,
            values,
            ..
        } = self;
        let mut labels: Vec<(String, u32)> = known.into_iter().collect();
        labels.sort();
        let mut places = vec![0; labels.len()];
        for (place, &(_, index)) in (0..).zip(&labels) {
            places[index as usize] = place;
        }
        let labels: Vec<String> = match only {
            Some(labels) => {
                places = (0..labels.len() as u32).collect();
                labels.to_vec()
            }
            None => labels.into_iter().map(|(label, _)| label).collect(),
        };
        let place = |index: &mut u32| *index = places[*index as usize];
        single.iter_mut().for_each(place);
        for indices in &mut multi {
            indices.iter_mut().for_each(place);
            indices.sort_unstable();
        }
        let any = only.is_none();
        Ok(match kind {
            Some(Kind::Values) => {
                if any && values.iter().all(|value| value == &values[0]) {
                    return Err(
                        "all texts have the same number; there is nothing to learn".to_owned()
                    );
                }
                let labels = if any { vec![value.to_owned()] } else { labels };
                (labels, Targets::Values(values))
            }
            Some(Kind::Multi) => {
                if labels.is_empty() {
                    return Err("no text has a label; there is nothing to learn".to_owned());
                }
                (labels, Targets::Multi(multi))
            }
            Some(Kind::Single) | None => {
                if any && labels.len() < 2 {
                    return Err(format!(
                        "all texts have the label {}; a classifier needs at least two",
                        shortened(&labels)
                    ));
                }
                (labels, Targets::Single(single))
            }
        })
    }
}
