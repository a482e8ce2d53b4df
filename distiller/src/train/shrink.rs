//! From a large network to one for a number of bytes: which rows stay, and in how few dimensions.

use std::collections::HashSet;

use faer::MatRef;
use flashvec::{Codec, Task};

use super::features::{NGramRows, renumbered, rows_of};
use super::network::{Dense, Network};
use super::objective::Objective;
use super::words::{Splits, Vocabulary, Words};
use crate::image::{HeadParts, ImageOptions, Layer, NGramTable, NGrams, Trie, write_classifier};
use crate::matrix::multiply;
use crate::pca::principal_axes;
use crate::pretrain::Texts;
use crate::{Error, Result, Rows, Silent, StaticModel, compress};

/// Bits of a fingerprint: one n-gram in about 150 that has no row gets another's.
const FINGERPRINT_BITS: u8 = 10;
/// Bytes of an n-gram beside its row: its fingerprint, and its share of buckets.
const NGRAM_BYTES: f64 = 1.45;
/// Bytes of a token in the trie, as a first guess.
const TOKEN_BYTES: f64 = 3.5;
/// Bytes of an image beside rows, tokens and n-grams, as a first guess.
const FIXED_BYTES: f64 = 2500.0;
/// Rows that a classifier has at least, if there are as many.
const FEWEST_ROWS: usize = 16;
/// How often a choice is measured before the largest that fitted is taken.
const ATTEMPTS: usize = 8;

/// What large networks with a row for every token and n-gram of the training texts have learned, on average: each row's part
/// of the logits, of which a text's are the mean.
pub(super) struct Full {
    /// Row-major, an output each; as far as they matter.
    pub(super) contributions: Vec<f32>,
    pub(super) biases: Vec<f32>,
    /// The vocabulary's id of each token; tokens have the first rows, in this order.
    pub(super) tokens: Vec<u32>,
    /// The hash of each n-gram; they have the other rows.
    pub(super) ngrams: Vec<u32>,
    pub(super) kinds: u8,
    pub(super) splits: Splits,
    /// How many times the training texts have each row.
    pub(super) counts: Vec<f32>,
    /// What is said of each training text, as the objective puts it, row-major.
    pub(super) said: Vec<f32>,
}

impl Full {
    pub(super) fn ngram_rows(&self) -> NGramRows {
        if self.ngrams.is_empty() {
            return NGramRows::None;
        }
        NGramRows::Exact {
            kinds: self.kinds,
            rows: self
                .ngrams
                .iter()
                .copied()
                .zip(self.tokens.len() as u32..)
                .collect(),
        }
    }

    /// Takes a share of what a network with one layer has learned.
    pub(super) fn learn(&mut self, network: &Network, task: Task, share: f32) {
        let layer = &network.layers[0];
        let (dims, outputs) = (network.dims(), layer.outputs);
        let rows = network.rows();
        let rows = MatRef::from_row_major_slice(&rows, rows.len() / dims, dims);
        let weights = MatRef::from_row_major_slice(layer.weights(), outputs, dims);
        let mut learned = multiply(rows, weights.transpose());
        if task == Task::Softmax {
            // What is added to all labels alike changes nothing.
            for row in learned.chunks_exact_mut(outputs) {
                let mean = row.iter().sum::<f32>() / outputs as f32;
                row.iter_mut().for_each(|x| *x -= mean);
            }
        }
        self.contributions.resize(learned.len(), 0.0);
        self.biases.resize(outputs, 0.0);
        let sums = self.contributions.iter_mut().chain(&mut self.biases);
        for (sum, x) in sums.zip(learned.iter().chain(layer.biases())) {
            *sum += share * x;
        }
    }

    /// What is said of each text, as the objective puts it, row-major.
    pub(super) fn say(&self, texts: &Texts, objective: &Objective) -> Vec<f32> {
        let outputs = self.biases.len();
        let mut said = texts.sums(&self.contributions, outputs, 1);
        for (text, logits) in said.chunks_exact_mut(outputs).enumerate() {
            let share = 1.0 / texts.ids(text).len().max(1) as f32;
            for (z, bias) in logits.iter_mut().zip(&self.biases) {
                *z = *z * share + bias;
            }
            objective.say(logits);
        }
        said
    }
}

/// How many times each row is in texts.
pub(super) fn counts(texts: &Texts, rows: usize) -> Vec<f32> {
    let mut counts = vec![0.0; rows];
    for text in 0..texts.len() {
        texts
            .ids(text)
            .iter()
            .for_each(|&id| counts[id as usize] += 1.0);
    }
    counts
}

/// What rows add to logits, in as many dimensions as asked for: rows, and the weights that turn them into logits, output
/// by output.
///
/// # Errors
/// [`Error::Eigen`].
pub(super) fn factorize(
    contributions: &[f32],
    counts: &[f32],
    outputs: usize,
    dims: usize,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let rows = MatRef::from_row_major_slice(contributions, counts.len(), outputs);
    // Each row as often as it occurs.
    let weighted: Vec<f32> = contributions
        .chunks_exact(outputs)
        .zip(counts)
        .flat_map(|(row, count)| row.iter().map(move |x| x * count.sqrt()))
        .collect();
    let weighted = MatRef::from_row_major_slice(&weighted, counts.len(), outputs);
    // On one thread: how sums are cut depends on the number of threads.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let axes = match pool {
        Ok(pool) => pool.install(|| principal_axes(weighted)),
        Err(_) => principal_axes(weighted),
    }?;
    let axes = axes.first(dims.min(outputs));
    let mut factors = multiply(rows, axes.as_ref());
    // Values of about 1.
    let squares: f64 = factors.iter().map(|&x| f64::from(x).powi(2)).sum();
    let size = ((squares / factors.len().max(1) as f64).sqrt() as f32).max(f32::MIN_POSITIVE);
    factors.iter_mut().for_each(|x| *x /= size);
    let weights = (0..outputs)
        .flat_map(|output| (0..axes.ncols()).map(move |dim| (output, dim)))
        .map(|(output, dim)| axes[(output, dim)] * size)
        .collect();
    Ok((factors, weights))
}

/// What an image is made of, beside what is learned.
pub(super) struct Setting<'s> {
    pub(super) base: &'s StaticModel,
    pub(super) vocabulary: &'s Vocabulary,
    pub(super) words: &'s Words,
    /// The training texts, as words.
    pub(super) texts: &'s Texts,
    pub(super) labels: &'s [String],
    pub(super) task: Task,
    pub(super) image: &'s ImageOptions,
    pub(super) flash: usize,
}

/// Rows that stay, in the numbers of the image that they will be in.
pub(super) struct Selection {
    /// Tokens, in the order in which the image is written: ids of the vocabulary, and rows of the full network.
    tokens: Vec<u32>,
    from: Vec<Option<u32>>,
    /// The image's number of each.
    new_ids: Vec<u32>,
    /// Rows of the full network, and the table of the n-grams that have them.
    ngrams: Vec<u32>,
    hashes: Vec<u32>,
    table: Option<NGramTable>,
    pub(super) splits: Splits,
}

impl Selection {
    /// The first `count` of `order`, rows of the full network.
    fn new(setting: &Setting<'_>, full: &Full, order: &[u32], count: usize) -> Result<Self> {
        let vocabulary = setting.vocabulary;
        let first_ngram = full.tokens.len() as u32;
        let kept = &order[..count];
        let mut rows: Vec<u32> = kept
            .iter()
            .copied()
            .filter(|&row| row < first_ngram)
            .collect();
        rows.sort_unstable();
        let unk = vocabulary.tokenizer.unk;
        let mut tokens = vec![unk];
        let mut from = vec![None];
        for row in rows {
            let token = full.tokens[row as usize];
            if token != unk {
                tokens.push(token);
                from.push(Some(row));
            }
        }
        let spelled: Vec<String> = tokens
            .iter()
            .map(|&id| vocabulary.tokenizer.tokens[id as usize].clone())
            .collect();
        let trie = Trie::build(&spelled, &vocabulary.tokenizer.continuing_subword_prefix)?;
        let mut new_ids = vec![0; tokens.len()];
        for (new, &old) in (0..).zip(&trie.order) {
            new_ids[old as usize] = new;
        }
        let mut of_full = vec![None; vocabulary.len()];
        let mut of_image = vec![None; vocabulary.len()];
        for ((&token, &row), &new) in tokens.iter().zip(&from).zip(&new_ids) {
            of_full[token as usize] = row;
            of_image[token as usize] = row.map(|_| new);
        }
        let splits = setting.words.split(vocabulary, &of_image);
        let wanted: HashSet<u32> = kept
            .iter()
            .filter_map(|&row| row.checked_sub(first_ngram))
            .map(|ngram| full.ngrams[ngram as usize])
            .collect();
        let (mut ngrams, mut hashes) = (Vec::new(), Vec::new());
        if !wanted.is_empty() {
            let numbers: std::collections::HashMap<u32, u32> =
                full.ngrams.iter().copied().zip(first_ngram..).collect();
            let before = setting.words.split(vocabulary, &of_full);
            for (before, after) in renumbered(setting.texts, &before, &splits, full.kinds, &wanted)
            {
                ngrams.push(numbers[&before]);
                hashes.push(after);
            }
        }
        let table = match hashes.is_empty() {
            true => None,
            false => Some(NGramTable::new(full.kinds, FINGERPRINT_BITS, &hashes)?),
        };
        Ok(Self {
            tokens,
            from,
            new_ids,
            ngrams,
            hashes,
            table,
            splits,
        })
    }

    /// The rows most worth their bytes that an image has room for: those that, as often as they occur, move logits most.
    ///
    /// # Errors
    /// [`Error::FlashTooSmall`]; those of writing an image.
    pub(super) fn best(setting: &Setting<'_>, full: &Full, shape: Shape) -> Result<Self> {
        let outputs = setting.labels.len();
        let row = shape.codec.row_len(shape.dims) as f64;
        let bytes = |at: usize| {
            row + if at < full.tokens.len() {
                TOKEN_BYTES
            } else {
                NGRAM_BYTES
            }
        };
        let gains: Vec<f64> = full
            .contributions
            .chunks_exact(outputs)
            .zip(&full.counts)
            .enumerate()
            .map(|(at, (row, &count))| {
                let squares: f32 = row.iter().map(|x| x * x).sum();
                f64::from(squares * count) / bytes(at)
            })
            .collect();
        let mut order: Vec<u32> = (0..gains.len() as u32).collect();
        order.sort_by(|&a, &b| {
            gains[b as usize]
                .total_cmp(&gains[a as usize])
                .then(a.cmp(&b))
        });
        let fitting = |room: f64| {
            let mut left = room;
            let fits = order.iter().take_while(|&&at| {
                left -= bytes(at as usize);
                left >= 0.0
            });
            fits.count()
        };
        let head = shape.head_bytes(setting.labels) as f64;
        let mut room = setting.flash as f64 - FIXED_BYTES - head;
        let (mut best, mut smallest) = (None, usize::MAX);
        let mut fits = 0;
        for _ in 0..ATTEMPTS {
            let count = fitting(room).max(FEWEST_ROWS).min(order.len());
            let selection = Self::new(setting, full, &order, count)?;
            let size = selection.blank(setting, shape)?.len();
            smallest = smallest.min(size);
            let spare = setting.flash as f64 - size as f64;
            if spare >= 0.0 && (best.is_none() || count > fits) {
                fits = count;
                best = Some(selection);
            }
            if count == order.len() && spare >= 0.0 || count == FEWEST_ROWS && spare < 0.0 {
                break;
            }
            // What an image has less than the guess.
            if (0.0..bytes(0).max(setting.flash as f64 * 0.002)).contains(&spare) {
                break;
            }
            room += if spare < 0.0 {
                spare * 1.05 - 8.0
            } else {
                spare * 0.98
            };
        }
        best.ok_or(Error::FlashTooSmall {
            asked: setting.flash,
            // Which rows they are moves it a little.
            smallest: (smallest + 100).next_multiple_of(64),
        })
    }

    pub(super) fn token_count(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn ngram_count(&self) -> usize {
        self.table.as_ref().map_or(0, NGramTable::len)
    }

    fn ngram_rows(&self) -> NGramRows {
        match &self.table {
            Some(table) => NGramRows::table(table, &self.hashes, self.tokens.len() as u32),
            None => NGramRows::None,
        }
    }

    /// The rows of texts in the image.
    pub(super) fn rows_of(&self, texts: &Texts) -> Texts {
        rows_of(texts, &self.splits, &self.ngram_rows())
    }

    /// Kinds of n-grams; 0 if none has a row.
    pub(super) fn kinds(&self) -> u8 {
        self.table.as_ref().map_or(0, NGramTable::kinds)
    }

    /// The image's rows, taken from those of the full network.
    pub(super) fn take(&self, rows: &[f32], dims: usize) -> Vec<f32> {
        let mut taken = vec![0.0; (self.token_count() + self.ngram_count()) * dims];
        let mut put = |to: usize, from: u32| {
            taken[to * dims..][..dims].copy_from_slice(&rows[from as usize * dims..][..dims]);
        };
        for (&new, from) in self.new_ids.iter().zip(&self.from) {
            from.iter().for_each(|&from| put(new as usize, from));
        }
        if let Some(table) = &self.table {
            for (at, first) in table.firsts().into_iter().enumerate() {
                put(self.tokens.len() + at, self.ngrams[first]);
            }
        }
        taken
    }

    /// An image of the right size with nothing learned.
    fn blank(&self, setting: &Setting<'_>, shape: Shape) -> Result<Vec<u8>> {
        let count = self.token_count() + self.ngram_count();
        let network = Network::new(
            &vec![0.0; count * shape.dims],
            shape.dims,
            shape.blank_layers(setting.labels.len()),
        );
        let softmax = setting.task == Task::Softmax;
        self.image(
            setting,
            shape.codec,
            &network,
            &Calibration {
                factors: vec![1.0; setting.labels.len()],
                shift: 0.0,
                out_of_scope: softmax.then_some(0.0),
            },
        )
    }

    /// The image of a network with this selection's rows.
    pub(super) fn image(
        &self,
        setting: &Setting<'_>,
        codec: Codec,
        network: &Network,
        calibration: &Calibration,
    ) -> Result<Vec<u8>> {
        let dims = network.dims();
        let rows = network.rows();
        let row = |at: u32| &rows[at as usize * dims..][..dims];
        let of_tokens: Vec<f32> = self
            .new_ids
            .iter()
            .flat_map(|&id| row(id))
            .copied()
            .collect();
        let of_ngrams: Vec<f32> = self.table.as_ref().map_or_else(Vec::new, |table| {
            let indices = table.indices().iter();
            indices
                .flat_map(|index| row(self.tokens.len() as u32 + index))
                .copied()
                .collect()
        });
        let tokenizer = compress::rewrite(
            &setting.base.tokenizer,
            &setting.vocabulary.tokenizer.tokens,
            &self.tokens,
        );
        let model = StaticModel {
            tokenizer,
            rows: Rows::F32(of_tokens),
            dims,
            weights: None,
            mapping: None,
            normalize: false,
            max_length: None,
            provenance: setting.base.provenance.clone(),
        };
        let ngrams = self.table.as_ref().map(|table| NGrams {
            table,
            rows: &of_ngrams,
        });
        let head = calibration.head(setting.task, setting.labels, &network.layers);
        let options = ImageOptions {
            codec,
            ..setting.image.clone()
        };
        write_classifier(&model, ngrams, Some(&head), &options, &Silent)
    }
}

/// How rows are stored, and the layers that read them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) dims: usize,
    pub(super) codec: Codec,
    /// Outputs of the hidden layer; 0: none.
    pub(super) hidden: usize,
}

impl Shape {
    /// Inputs and outputs of the layers.
    pub(super) fn layers(self, outputs: usize) -> Vec<(usize, usize)> {
        match self.hidden {
            0 => vec![(self.dims, outputs)],
            hidden => vec![(self.dims, hidden), (hidden, outputs)],
        }
    }

    fn blank_layers(self, outputs: usize) -> Vec<Dense> {
        let layers = self.layers(outputs).into_iter();
        layers
            .map(|(inputs, outputs)| Dense::new(vec![0.0; inputs * outputs], &vec![0.0; outputs]))
            .collect()
    }

    fn head_bytes(self, labels: &[String]) -> usize {
        let layers = self.layers(labels.len()).into_iter();
        let layers: usize = layers.map(|(inputs, outputs)| (inputs + 8) * outputs).sum();
        layers + labels.iter().map(|label| 1 + label.len()).sum::<usize>()
    }
}

/// What is fitted on held-out texts when all else is learned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Calibration {
    /// What each logit is multiplied by.
    pub(super) factors: Vec<f32>,
    /// What is added to the results.
    pub(super) shift: f32,
    /// The scope score below which a text has none of the labels.
    pub(super) out_of_scope: Option<f32>,
}

impl Calibration {
    /// The head that layers become.
    pub(super) fn head(&self, task: Task, labels: &[String], layers: &[Dense]) -> HeadParts {
        HeadParts {
            task,
            labels: labels.to_vec(),
            layers: self.layers(layers),
            out_of_scope: self.out_of_scope,
        }
    }

    /// Layers as an image holds them.
    fn layers(&self, layers: &[Dense]) -> Vec<Layer> {
        let last = layers.len() - 1;
        let stored = |(at, layer): (usize, &Dense)| {
            let mut stored = Layer::from_floats(layer.weights(), layer.inputs, layer.biases());
            if at == last {
                let parameters = stored.scales.iter_mut().zip(&mut stored.biases);
                for ((scale, bias), factor) in parameters.zip(&self.factors) {
                    *scale *= factor;
                    *bias = *bias * factor + self.shift;
                }
            }
            stored
        };
        layers.iter().enumerate().map(stored).collect()
    }
}
