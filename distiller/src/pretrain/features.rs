//! What the teacher makes of a corpus, in shards on disk: computed once, by as many machines as there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sha2::{Digest, Sha256};
use tokenizers::{Tokenizer, TruncationParams};

use crate::files::write_file;
use crate::teacher::pooled_states;
use crate::tensors::{TensorFile, hex};
use crate::{Error, Pooling, Progress, Prompt, Result, Teacher, TeacherSource};

/// Texts a shard: some seconds of a teacher's work, which is what is lost when it is stopped.
pub const SHARD_TEXTS: usize = 1024;

/// The tensor of a shard: a vector a text, `f16`.
const VECTORS: &str = "vectors";
/// The entry of a shard's metadata that says by hash what it was made of.
const MADE_OF: &str = "made_of";

/// The vectors that a teacher gives the texts of a corpus, in a folder of shards.
///
/// A shard is a safetensors file of its texts' vectors. Its metadata says by hash which teacher and which texts
/// it was made of, so that one of something else is never taken for it. It is written whole or not at all.
pub struct Features<'t> {
    teacher: &'t dyn Teacher,
    tokenizer: Tokenizer,
    folder: PathBuf,
    pooling: Pooling,
    prompt: Option<Prompt>,
    /// What beside the texts decides what a shard holds.
    recipe: String,
    /// Of shards that were made or found: by number, what they are made of and how many texts they have.
    shards: BTreeMap<usize, (String, usize)>,
}

impl<'t> Features<'t> {
    /// Features of `teacher`, which was loaded from `source`, in `folder`, which is made if it is not there.
    /// Texts are cut to `max_tokens` of the teacher's tokens, its special tokens and its prompt included.
    ///
    /// # Errors
    /// [`Error::Option`] if the teacher does not take so many tokens; [`Error::Tokenizer`] if its tokenizer
    /// cannot be used; [`Error::Io`] if the folder cannot be made.
    pub fn open(
        teacher: &'t dyn Teacher,
        source: &TeacherSource,
        max_tokens: usize,
        folder: &Path,
    ) -> Result<Self> {
        let most = teacher.max_positions();
        let prompted = source.prompt.as_ref().map_or(0, Prompt::len);
        let least = prompted + 4;
        if !(least..=most).contains(&max_tokens) {
            let what = format!(
                "{max_tokens} is out of range; this teacher takes {least} to {most} tokens"
            );
            return Err(Error::Option {
                option: "max-tokens",
                what,
            });
        }
        let unusable = |error: tokenizers::Error| Error::Tokenizer {
            what: error.to_string(),
        };
        let mut tokenizer: Tokenizer = source.tokenizer.to_string().parse().map_err(unusable)?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(Some(TruncationParams {
                max_length: max_tokens - prompted,
                ..TruncationParams::default()
            }))
            .map_err(unusable)?;
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        Ok(Self {
            teacher,
            tokenizer,
            folder: folder.to_owned(),
            pooling: source.pooling,
            recipe: format!(
                "{} {} {max_tokens}{}",
                source.weights_sha256,
                source.pooling.name(),
                source.prompt.as_ref().map_or("", Prompt::text)
            ),
            prompt: source.prompt.clone(),
            shards: BTreeMap::new(),
        })
    }

    /// Values of a text's vector.
    pub fn width(&self) -> usize {
        self.teacher.hidden_size()
    }

    /// Whether a word is one of the teacher's tokens.
    pub(super) fn is_token(&self, word: &str) -> bool {
        self.tokenizer
            .encode_fast(word, false)
            .is_ok_and(|encoding| encoding.len() == 1)
    }

    /// Makes a shard, unless it is there.
    ///
    /// # Errors
    /// [`Error::Config`] if it is there, but of other texts or of another teacher; those of
    /// [`Teacher::hidden_states`]; [`Error::File`], [`Error::Io`].
    pub fn make(&mut self, number: usize, texts: &[String], progress: &dyn Progress) -> Result<()> {
        let made_of = self.made_of(texts);
        if self.path(number).exists() {
            self.open_shard(number, &made_of)?;
            progress.advance(texts.len() as u64);
        } else {
            self.write(number, texts, &made_of, progress)?;
        }
        self.shards.insert(number, (made_of, texts.len()));
        Ok(())
    }

    fn write(
        &self,
        number: usize,
        texts: &[String],
        made_of: &str,
        progress: &dyn Progress,
    ) -> Result<()> {
        let encodings = self
            .tokenizer
            .encode_batch(texts.to_vec(), true)
            .map_err(|error| Error::Tokenizer {
                what: error.to_string(),
            })?;
        let sequences: Vec<Vec<u32>> = encodings
            .iter()
            .map(|encoding| match &self.prompt {
                Some(prompt) => prompt.put_before(encoding.get_ids()),
                None => encoding.get_ids().to_vec(),
            })
            .collect();
        let mut vectors = pooled_states(self.teacher, &sequences, self.pooling, progress)?;
        for vector in vectors.chunks_exact_mut(self.width()) {
            normalize(vector);
        }
        if let Some(at) = vectors.iter().position(|value| !value.is_finite()) {
            let what = format!(
                "the teacher's vector of text {} is not finite; its weights are unusable",
                number * SHARD_TEXTS + at / self.width() + 1
            );
            return Err(Error::Model { what });
        }
        let bytes: Vec<u8> = vectors
            .iter()
            .flat_map(|&value| f16::from_f32(value).to_le_bytes())
            .collect();
        let failed = |error: safetensors::SafeTensorError| Error::Model {
            what: error.to_string(),
        };
        let view =
            TensorView::new(Dtype::F16, vec![texts.len(), self.width()], &bytes).map_err(failed)?;
        let metadata = [(MADE_OF.to_owned(), made_of.to_owned())].into();
        let file = safetensors::serialize([(VECTORS, view)], Some(metadata)).map_err(failed)?;
        Ok(write_file(&self.path(number), &file)?)
    }

    /// The vectors of a shard that [`make`](Self::make) was called for, row-major.
    ///
    /// # Errors
    /// [`Error::Option`] if it was not; [`Error::Config`], [`Error::Tensor`] or [`Error::Tensors`] if the file is no
    /// longer what it was.
    pub fn read(&self, number: usize) -> Result<Vec<f32>> {
        let Some((made_of, texts)) = self.shards.get(&number) else {
            let what = format!("shard {number} was not made; make all before training");
            return Err(Error::Option {
                option: "shard",
                what,
            });
        };
        let file = self.open_shard(number, made_of)?;
        let tensors = file.tensors()?;
        let view = tensors
            .tensor(VECTORS)
            .map_err(|error| file.tensor_error(VECTORS, error.to_string()))?;
        if view.shape() != [*texts, self.width()] {
            let what = format!(
                "has shape {:?}; remove the file to make it again",
                view.shape()
            );
            return Err(file.tensor_error(VECTORS, what));
        }
        file.finite_f32(VECTORS, &view)
    }

    /// Says by hash which features these are: those of all shards so far.
    pub(super) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (made_of, _) in self.shards.values() {
            hash.update(made_of);
        }
        hex(&hash.finalize())
    }

    /// Where the shards are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn open_shard(&self, number: usize, made_of: &str) -> Result<TensorFile> {
        let path = self.path(number);
        let file = TensorFile::open(&path)?;
        if file.metadata(MADE_OF).as_deref() != Some(made_of) {
            let what = "this was made of other texts, by another teacher or with other settings; name another \
                        folder for the features, or remove this one"
                .to_owned();
            return Err(Error::Config { path, what });
        }
        Ok(file)
    }

    fn made_of(&self, texts: &[String]) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.recipe);
        for text in texts {
            hash.update([b'\n']);
            hash.update(text);
        }
        hex(&hash.finalize())
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder
            .join(format!("features-{number:06}.safetensors"))
    }
}

/// Scales a vector to unit length; all zero stays all zero.
pub(super) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}
