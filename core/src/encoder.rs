//! Encoding many texts on a host: the bits of [`Model::encode`], at the speed of memory.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use crate::error::Error;
use crate::image::saturate;
use crate::model::Model;
use crate::pool;
use crate::rows::{Adder, Plain, Rows};
use crate::tokenize::cut;

mod byte_classes;
mod reader;
mod word_cache;

use byte_classes::{ByteClasses, Classify};
use reader::{MOST_WAITING, Reader, Waiting};
use word_cache::{MOST_TOKENS, Memory, Tokens};

/// Token ids that are collected before their rows are added up.
const IDS: usize = 1024;

/// Encodes texts on a machine with a heap. A [`Model`] and working memory of about 4 MB that does
/// not grow: above all the tokens of 131,072 words met before, those of many megabytes of text.
///
/// The bits are those of [`Model::encode`]. One encoder serves one thread; encoders of one model
/// share nothing but the model.
///
/// ```no_run
/// # fn main() -> Result<(), flashvec::Error> {
/// # let image: &[u8] = &[];
/// let model = flashvec::Model::from_bytes(image)?;
/// let mut encoder = flashvec::Encoder::new(&model);
/// let embedding: &[f32] = encoder.encode("turn on the light");
/// # let _ = embedding;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Encoder<'m> {
    model: &'m Model<'m>,
    sums: Vec<u32>,
    state: State,
}

/// What a machine computes with.
trait Simd: Classify + Adder {}

impl<S: Classify + Adder> Simd for S {}

/// What an encoder works with, beside the sums.
#[derive(Debug)]
struct State {
    classes: Box<ByteClasses>,
    words: Memory,
    scratch: Vec<u32>,
    waiting: Box<[Waiting; MOST_WAITING]>,
    ids: Box<[u32; IDS]>,
}

impl<'m> Encoder<'m> {
    /// Bytes that [`new`](Self::new) has for words met before.
    pub const WORDS: usize = 4 << 20;

    /// An encoder for a model.
    pub fn new(model: &'m Model<'m>) -> Self {
        Self::with_words(model, Self::WORDS)
    }

    /// An encoder that has so many bytes for words met before, rounded down to a power of two, 32 bytes a
    /// word: fewer for many encoders at once. At most 256 bytes more than asked for.
    pub fn with_words(model: &'m Model<'m>, bytes: usize) -> Self {
        Self {
            model,
            sums: vec![0; model.dims()],
            state: State {
                classes: Box::new(ByteClasses::new(&model.tokenizer)),
                words: Memory::new(bytes),
                scratch: vec![0; model.scratch_len()],
                waiting: Box::new([Waiting::NONE; MOST_WAITING]),
                ids: Box::new([0; IDS]),
            },
        }
    }

    /// The model that this encodes with.
    pub const fn model(&self) -> &'m Model<'m> {
        self.model
    }

    /// The embedding of a text, [`Model::dims`] components, as [`Model::encode`] gives it. Never
    /// panics.
    pub fn encode(&mut self, text: &str) -> &[f32] {
        self.encode_bytes(text.as_bytes())
    }

    /// [`encode`](Self::encode) for bytes that may not be UTF-8, as [`Model::encode_bytes`] reads
    /// them. Never panics.
    pub fn encode_bytes(&mut self, text: &[u8]) -> &[f32] {
        self.state.encode(self.model, text, &mut self.sums);
        bytemuck::cast_slice(&self.sums)
    }

    /// Writes the embedding of a text to the first [`Model::dims`] components of `out`.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`]. Never panics.
    pub fn encode_to(&mut self, text: &str, out: &mut [f32]) -> Result<(), Error> {
        let found = saturate(out.len());
        let dims = self.model.dims();
        let out = out.get_mut(..dims).ok_or(Error::OutputTooSmall {
            needed: saturate(dims),
            found,
        })?;
        self.state
            .encode(self.model, text.as_bytes(), bytemuck::cast_slice_mut(out));
        Ok(())
    }
}

/// Another encoder of the same model, which has not met any words.
impl Clone for Encoder<'_> {
    fn clone(&self) -> Self {
        Self::with_words(self.model, self.state.words.len())
    }
}

impl State {
    /// Writes a text's embedding to `sums`.
    fn encode(&mut self, model: &Model<'_>, text: &[u8], sums: &mut [u32]) {
        // The words of a text do not say which n-grams it has.
        if model.ngrams.is_some() {
            let pooling = &model.header().pooling;
            model.sum(text, sums, &mut self.scratch).finish(pooling);
            return;
        }
        match model.rows.arch() {
            #[cfg(target_arch = "x86_64")]
            Some(pulp::Arch::V4(simd)) => simd.vectorize(Encode {
                simd,
                state: self,
                model,
                text,
                sums,
            }),
            #[cfg(target_arch = "x86_64")]
            Some(pulp::Arch::V3(simd)) => simd.vectorize(Encode {
                simd,
                state: self,
                model,
                text,
                sums,
            }),
            _ => self.encode_with(Plain, model, text, sums),
        }
    }

    #[inline(always)]
    fn encode_with(&mut self, simd: impl Simd, model: &Model<'_>, text: &[u8], sums: &mut [u32]) {
        let pooling = &model.header().pooling;
        sums.fill(0);
        let mut ids = Ids {
            simd,
            rows: &model.rows,
            sums,
            waiting: &mut self.ids,
            len: 0,
            added: 0,
            scale: 0,
            unk: model.tokenizer.unk,
            tokens_left: pooling.max_tokens,
        };
        let mut reader = Reader {
            model,
            classes: &self.classes,
            words: self.words.cache(),
            scratch: &mut self.scratch,
            waiting: &mut self.waiting,
        };
        reader.read(cut(text, pooling.max_chars), &mut ids);
        ids.flush();
        let bits = model.rows.sum_bits(ids.scale);
        pool::finish(ids.sums, bits, ids.added, pooling);
    }
}

/// [`State::encode_with`] as what [`pulp`] compiles for an architecture. A closure would not do: a call
/// stays between it and its body.
#[cfg(target_arch = "x86_64")]
struct Encode<'e, 'm, S> {
    simd: S,
    state: &'e mut State,
    model: &'e Model<'m>,
    text: &'e [u8],
    sums: &'e mut [u32],
}

#[cfg(target_arch = "x86_64")]
impl<S: Simd> pulp::NullaryFnOnce for Encode<'_, '_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.state
            .encode_with(self.simd, self.model, self.text, self.sums);
    }
}

/// Token ids on their way into the sums.
struct Ids<'p, S> {
    simd: S,
    rows: &'p Rows<'p>,
    sums: &'p mut [u32],
    waiting: &'p mut [u32; IDS],
    /// How many wait to be added.
    len: usize,
    /// How many were added.
    added: u32,
    /// The sum of their scales.
    scale: u32,
    unk: u32,
    tokens_left: u32,
}

impl<S: Simd> Ids<'_, S> {
    /// Takes a token; the caller sees to `tokens_left`.
    #[inline]
    fn push(&mut self, id: u32) {
        if self.len >= IDS {
            self.make_room();
        }
        if let Some(slot) = self.waiting.get_mut(self.len) {
            *slot = id;
            self.len += usize::from(id != self.unk);
        }
    }

    /// Takes all tokens of a word, of which there are no more than `tokens_left`.
    #[inline]
    fn push_word(&mut self, tokens: Tokens) {
        if self.len > IDS - MOST_TOKENS {
            self.make_room();
        }
        if let Some(slots) = self
            .waiting
            .get_mut(self.len..)
            .and_then(|slots| slots.first_chunk_mut::<MOST_TOKENS>())
        {
            *slots = tokens.ids();
            for &id in slots.get(..tokens.known()).unwrap_or(&[]) {
                self.rows.prefetch(id);
            }
            self.len += tokens.known();
            self.tokens_left -= tokens.count();
        }
    }

    /// Adds what waits.
    #[inline(always)]
    fn flush(&mut self) {
        let ids = self.waiting.get(..self.len).unwrap_or(&[]);
        let scale = self.rows.add_tokens(self.simd, ids, self.sums);
        self.flushed(scale);
    }

    /// Adds what waits in a text of so many tokens that the rest finds no room.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) {
        let ids = self.waiting.get(..self.len).unwrap_or(&[]);
        let scale = self.rows.add_tokens_aside(ids, self.sums);
        self.flushed(scale);
    }

    /// What waited was added: rows of so much scale.
    #[inline(always)]
    fn flushed(&mut self, scale: u32) {
        self.scale = self.scale.wrapping_add(scale);
        self.added += self.len as u32;
        self.len = 0;
    }
}
