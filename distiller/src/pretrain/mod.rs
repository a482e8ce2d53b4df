//! Learns a static model's rows from text, as Model2Vec's POTION models were (Tokenlearn).
//!
//! The teacher embeds a corpus, which is the long part and can be shared out and resumed ([`Features`]). Then the rows
//! of a distilled model are trained until the mean of a text's rows points where the teacher's vector of the text does.

mod features;
mod targets;
mod training;

use flashvec::Model;

pub use features::{Features, SHARD_TEXTS};
pub use training::{Epoch, TrainingOptions};

use self::targets::{Targets, rotation};
use self::training::{Texts, Trainer};
use crate::compress::bare_image;
use crate::matrix::multiply;
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
            self.tokens
                .push(ids.into_iter().map(|id| order[id as usize]));
        }
        Ok(())
    }
}

/// Trains the rows of `model`, all of them `f32` with neither weights nor mapping, on a corpus. `vectors` gives the
/// teacher's vectors of a shard, `width` values a text, row-major.
///
/// # Errors
/// [`Error::Model`] if the model's rows are of another kind; [`Error::TooManyDims`] if there are too few texts; what `vectors` gives; those of
/// a principal component analysis.
pub fn train(
    model: &StaticModel,
    corpus: &Corpus,
    width: usize,
    vectors: impl Fn(usize) -> Result<Vec<f32>>,
    options: &TrainingOptions,
    progress: &dyn Progress,
    report: impl FnMut(usize, Epoch),
) -> Result<StaticModel> {
    let dims = model.dims;
    let (Rows::F32(rows), None, None) = (&model.rows, &model.weights, &model.mapping) else {
        let what = "only f32 rows without weights and mapping are trained".to_owned();
        return Err(Error::Model { what });
    };
    let shards = corpus.len().div_ceil(SHARD_TEXTS);
    let step = Targets::sampling(corpus.len());
    let mut sample = Vec::new();
    for shard in 0..shards {
        let vectors = vectors(shard)?;
        let first = (shard * SHARD_TEXTS).next_multiple_of(step) - shard * SHARD_TEXTS;
        let sampled = vectors.chunks_exact(width).skip(first).step_by(step);
        sample.extend(sampled.flatten());
    }
    let fitted = Targets::fit(sample, width, dims)?;
    let mut targets = Vec::with_capacity(corpus.len() * dims);
    for shard in 0..shards {
        targets.extend(fitted.project(vectors(shard)?));
    }
    // The distilled rows know nothing of the targets' axes.
    let sums = corpus.tokens.sums(rows, dims, step);
    let sampled: Vec<f32> = targets
        .chunks_exact(dims)
        .step_by(step)
        .flatten()
        .copied()
        .collect();
    let rotation = rotation(&sums, &sampled, dims)?;
    let matrix = faer::MatRef::from_row_major_slice(rows, rows.len() / dims, dims);
    let mut start = multiply(matrix, rotation.as_ref());
    // Steps are a share of what values are, whatever the teacher's scale.
    let squares: f64 = start.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let scale = (squares / start.len().max(1) as f64).sqrt() as f32;
    if !(scale > 0.0 && scale.is_finite()) {
        let what =
            "the distilled rows are all zero or not finite; nothing can be trained".to_owned();
        return Err(Error::Model { what });
    }
    start.iter_mut().for_each(|x| *x /= scale);
    let mut trainer = Trainer::new(&start, dims, &corpus.tokens, &targets);
    let mut trained = trainer.train(options, progress, report);
    trained.iter_mut().for_each(|x| *x *= scale);
    Ok(model.with_rows(model.tokenizer.clone(), trained, dims))
}
