//! Learns a static model's rows from text, as Model2Vec's POTION models were (Tokenlearn).
//!
//! The teacher embeds a corpus, which is the long part and can be shared out and resumed ([`Features`]). Then the rows
//! of a distilled model are trained until the mean of a text's rows points where the teacher's vector of the text does.

mod checkpoint;
mod extra_texts;
mod features;
mod pairs;
mod table;
mod targets;
mod texts;
mod training;

use flashvec::Model;
use half::f16;
use sha2::{Digest, Sha256};

pub use extra_texts::{Phrases, WordCounts, WordLists};
pub use features::{Features, SHARD_TEXTS};
pub(crate) use table::{Table, dot};
pub(crate) use texts::{Texts, sum};
pub use pairs::{PairOptions, Pairs};
pub use training::{Epoch, TrainingOptions};

use self::checkpoint::Checkpoint;
use self::targets::{Targets, rotation};
use self::training::Lesson;
use crate::compress::bare_image;
use crate::matrix::multiply;
use crate::tensors::hex;
use crate::{Error, Progress, Result, Rows, StaticModel};

/// A corpus on its way into training: texts as tokens, in shards of [`SHARD_TEXTS`].
pub struct Corpus {
    tokens: Texts,
    /// An image with the model's vocabulary, and the model's id of each of its tokens.
    vocabulary: (Vec<u8>, Vec<u32>),
    /// The known tokens that count of a text.
    most: usize,
}

impl Corpus {
    /// An empty corpus for a model.
    ///
    /// # Errors
    /// Those of [`write_image`](crate::image::write_image).
    pub fn new(model: &StaticModel) -> Result<Self> {
        Ok(Self {
            tokens: Texts::default(),
            vocabulary: bare_image(model)?,
            most: model.max_length.unwrap_or(usize::MAX),
        })
    }

    /// Texts so far.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no text yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds texts.
    ///
    /// # Errors
    /// [`Error::Image`] if the vocabulary cannot be used.
    pub fn push(&mut self, texts: &[String]) -> Result<()> {
        let mut tokens = std::mem::take(&mut self.tokens);
        let pushed = self.tokenize(texts, &mut tokens);
        self.tokens = tokens;
        pushed
    }

    /// Pairs of texts for the same model; a score a pair, or none if each pair belongs together.
    ///
    /// # Errors
    /// [`Error::Model`] if there are not as many of each; [`Error::Image`] if the vocabulary cannot be used.
    pub fn pairs(
        &self,
        first: &[String],
        second: &[String],
        scores: Option<Vec<f32>>,
    ) -> Result<Pairs> {
        let scored = scores.as_ref().map_or(first.len(), Vec::len);
        if first.len() != second.len() || first.len() != scored {
            let what = format!(
                "{} and {} texts with {scored} scores are no pairs",
                first.len(),
                second.len()
            );
            return Err(Error::Model { what });
        }
        let mut pairs = Pairs {
            scores,
            ..Pairs::default()
        };
        self.tokenize(first, &mut pairs.first)?;
        self.tokenize(second, &mut pairs.second)?;
        Ok(pairs)
    }

    fn tokenize(&self, texts: &[String], tokens: &mut Texts) -> Result<()> {
        let (image, order) = &self.vocabulary;
        let unusable = |source| Error::Image {
            path: "the image to tokenise with".into(),
            source,
        };
        let model = Model::from_bytes(image).map_err(unusable)?;
        let unknown = model.header().tokenizer.unk;
        let mut scratch = vec![0; model.scratch_len()];
        for text in texts {
            let mut ids = Vec::new();
            model
                .tokenize(text, &mut scratch, |id| ids.push(id))
                .map_err(unusable)?;
            ids.truncate(self.most);
            ids.retain(|&id| id != unknown);
            tokens.push(ids.into_iter().map(|id| order[id as usize]));
        }
        Ok(())
    }
}

/// A model that has learned from text.
pub struct Trained {
    pub model: StaticModel,
    /// All epochs that training took, those before a checkpoint included.
    pub epochs: Vec<Epoch>,
}

/// Trains the rows of `model`, all of them `f32` with neither weights nor mapping, on a corpus and the teacher's
/// vectors of it, of which all shards have been made; then on pairs, if there are any. `report` hears of each epoch.
///
/// After each epoch a checkpoint is written to the folder of the features, and removed at the end; training goes on
/// from there if the same is asked for again.
///
/// # Errors
/// [`Error::Model`] if the model's rows are of another kind; [`Error::TooManyDims`] if there are too few texts; those
/// of [`Features::read`], of a principal component analysis and of writing the checkpoint.
pub fn train(
    model: &StaticModel,
    corpus: &Corpus,
    features: &Features<'_>,
    pairs: Option<(&Pairs, &PairOptions)>,
    options: &TrainingOptions,
    progress: &dyn Progress,
    report: impl FnMut(usize, Epoch),
) -> Result<Trained> {
    let dims = model.dims;
    let (Rows::F32(rows), None, None) = (&model.rows, &model.weights, &model.mapping) else {
        let what = "only f32 rows without weights and mapping are trained".to_owned();
        return Err(Error::Model { what });
    };
    let targets = targets(corpus, features, dims)?;
    let start = turned(rows, corpus, &targets, dims)?;
    let (start, scale) = unit_scale(&start)?;
    let checkpoint = Checkpoint::new(
        features.folder(),
        &made_of(corpus, features, options, &start),
    );
    let lesson = Lesson {
        texts: &corpus.tokens,
        targets: &targets,
        dims,
    };
    let (mut trained, epochs) = lesson.train(&start, options, &checkpoint, progress, report)?;
    trained.iter_mut().for_each(|x| *x *= scale);
    if let Some((pairs, options)) = pairs {
        let (start, scale) = unit_scale(&trained)?;
        trained = pairs.train(&start, dims, options, progress);
        trained.iter_mut().for_each(|x| *x *= scale);
    }
    Ok(Trained {
        model: model.with_rows(model.tokenizer.clone(), trained, dims),
        epochs,
    })
}

/// The targets of all texts, row-major. In 16 bits: there is one a text, for as many texts as there are.
fn targets(corpus: &Corpus, features: &Features<'_>, dims: usize) -> Result<Vec<f16>> {
    let width = features.width();
    let shards = corpus.len().div_ceil(SHARD_TEXTS);
    let step = Targets::sampling(corpus.len());
    let mut sample = Vec::new();
    for shard in 0..shards {
        let vectors = features.read(shard)?;
        let first = (shard * SHARD_TEXTS).next_multiple_of(step) - shard * SHARD_TEXTS;
        let sampled = vectors.chunks_exact(width).skip(first).step_by(step);
        sample.extend(sampled.flatten());
    }
    let fitted = Targets::fit(&sample, width, dims)?;
    let mut targets = Vec::with_capacity(corpus.len() * dims);
    for shard in 0..shards {
        let projected = fitted.project(&features.read(shard)?);
        targets.extend(projected.into_iter().map(f16::from_f32));
    }
    Ok(targets)
}

/// The distilled rows, which know nothing of the targets' axes, turned onto them.
fn turned(rows: &[f32], corpus: &Corpus, targets: &[f16], dims: usize) -> Result<Vec<f32>> {
    let step = Targets::sampling(corpus.len());
    let sums = corpus.tokens.sums(rows, dims, step);
    let sampled: Vec<f32> = targets
        .chunks_exact(dims)
        .step_by(step)
        .flatten()
        .map(|x| x.to_f32())
        .collect();
    let rotation = rotation(&sums, &sampled, dims)?;
    let matrix = faer::MatRef::from_row_major_slice(rows, rows.len() / dims, dims);
    Ok(multiply(matrix, rotation.as_ref()))
}

/// Rows whose values are 1 on average (root mean square), and what they were divided by: steps of training are a
/// share of what values are, whatever the teacher's scale.
fn unit_scale(rows: &[f32]) -> Result<(Vec<f32>, f32)> {
    let squares: f64 = rows.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let scale = (squares / rows.len().max(1) as f64).sqrt() as f32;
    if !(scale > 0.0 && scale.is_finite()) {
        let what = "the rows are all zero or not finite; nothing can be trained".to_owned();
        return Err(Error::Model { what });
    }
    Ok((rows.iter().map(|x| x / scale).collect(), scale))
}

/// Says by hash what is trained on what and how.
fn made_of(
    corpus: &Corpus,
    features: &Features<'_>,
    options: &TrainingOptions,
    rows: &[f32],
) -> String {
    let mut hash = Sha256::new();
    hash.update(features.fingerprint());
    hash.update(format!("{options:?} {}", corpus.len()));
    for row in rows {
        hash.update(row.to_le_bytes());
    }
    hex(&hash.finalize())
}
