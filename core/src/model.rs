//! The model: an image that was checked, ready to encode.

use crate::charmap::CharMap;
use crate::error::Error;
#[cfg(feature = "classify")]
use crate::head::Head;
use crate::image::{Codec, Header, Image, SectionKind, saturate};
#[cfg(feature = "classify")]
use crate::ngrams::{NGrams, layout::Window};
use crate::pool::Pool;
use crate::rows::Rows;
use crate::tokenize::{AddedTokens, Limits, Tokenizer};
use crate::vocabulary::Vocabulary;

/// A static embedding model that borrows its image.
///
/// Calls share nothing but the image: one model serves many threads or tasks, each with its own
/// scratch.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    header: Header<'a>,
    pub(crate) tokenizer: Tokenizer<'a>,
    pub(crate) rows: Rows<'a>,
    #[cfg(feature = "classify")]
    pub(crate) ngrams: Option<NGrams<'a>>,
    #[cfg(feature = "classify")]
    head: Option<Head<'a>>,
    /// CRC-32 of the image.
    #[cfg(feature = "classify")]
    pub(crate) crc: u32,
}

impl<'a> Model<'a> {
    /// Reads an image in place: parse, then prove.
    ///
    /// Prelude, checksum and header come first ([`Image::parse`]). Then each section on its own,
    /// in the order in which they need each other: the trie (its token count must be the
    /// header's), the character map, the added tokens (their ids must be tokens, and the map
    /// must lead to them), the rows and what
    /// codebooks they need (one row a token, an entry for every code, and no sum over
    /// [`max_tokens`](crate::Pooling::max_tokens) rows can overflow). Of a classifier, before the rows the
    /// n-grams that have one as well, and at last the head.
    /// Takes time linear in the image.
    ///
    /// # Errors
    ///
    /// One that names the first thing that is wrong; never panics, whatever the bytes are.
    pub fn from_bytes(image: &'a [u8]) -> Result<Self, Error> {
        let image = Image::parse(image)?;
        let header = &image.header;
        let vocabulary = Vocabulary::new(
            image.section(SectionKind::Vocabulary)?,
            image.version,
            header.token_count,
            header.tokenizer.continuing_subword_prefix,
        )?;
        let char_map = CharMap::new(image.section(SectionKind::CharMap)?)?;
        let added_tokens = AddedTokens::new(
            image.section(SectionKind::AddedTokens)?,
            header.token_count,
            &char_map,
            vocabulary.codes_ascii(),
        )?;
        let codebooks = match header.codec {
            Codec::Pq(_) => image.section(SectionKind::Codebooks)?,
            _ => &[],
        };
        let (row_count, most_rows) = (header.token_count, u64::from(header.pooling.max_tokens));
        #[cfg(feature = "classify")]
        let ngrams = image
            .find(SectionKind::NGrams)
            .map(NGrams::new)
            .transpose()?;
        #[cfg(feature = "classify")]
        let (row_count, most_rows) = match &ngrams {
            Some(ngrams) => (
                row_count + ngrams.count,
                ngrams.most_rows(header.pooling.max_tokens),
            ),
            None => (row_count, most_rows),
        };
        let rows = Rows::new(
            image.section(SectionKind::Rows)?,
            codebooks,
            header,
            row_count,
            most_rows,
        )?;
        #[cfg(feature = "classify")]
        let head = image
            .find(SectionKind::Head)
            .map(|head| Head::new(head, header.codec, usize::from(header.dims), image.crc))
            .transpose()?;
        let tokenizer = Tokenizer {
            vocabulary,
            char_map,
            added_tokens,
            unk: header.tokenizer.unk,
            max_word_chars: usize::from(header.tokenizer.max_input_chars_per_word),
        };
        Ok(Self {
            tokenizer,
            rows,
            #[cfg(feature = "classify")]
            ngrams,
            #[cfg(feature = "classify")]
            head,
            #[cfg(feature = "classify")]
            crc: image.crc,
            header: image.header,
        })
    }

    /// What the image says of itself.
    pub const fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// Components of an embedding.
    pub const fn dims(&self) -> usize {
        self.header.dims as usize
    }

    /// Tokens in the vocabulary; ids run from 0 to this, exclusive.
    pub const fn token_count(&self) -> usize {
        self.header.token_count as usize
    }

    /// N-grams that have rows of their own.
    #[cfg(feature = "classify")]
    pub const fn ngram_count(&self) -> usize {
        match &self.ngrams {
            Some(ngrams) => ngrams.count as usize,
            None => 0,
        }
    }

    /// Rows: a token's is that of its id, those of n-grams follow.
    #[cfg(feature = "classify")]
    pub const fn row_count(&self) -> usize {
        self.token_count() + self.ngram_count()
    }

    /// The head, if the image is a classifier's.
    #[cfg(feature = "classify")]
    pub const fn head(&self) -> Option<&Head<'a>> {
        self.head.as_ref()
    }

    /// `u32` words of scratch that every call needs: one a dimension, two a character of the
    /// longest word (456 words, 1.8 KB, for 256 dimensions and BERT's 100 characters); of a classifier with
    /// many labels more, as `Head::scratch_len` says.
    pub const fn scratch_len(&self) -> usize {
        #[cfg(feature = "classify")]
        if let Some(head) = &self.head {
            return head.scratch_len(self);
        }
        self.dims() + self.tokenizer_scratch_len()
    }

    /// Words of scratch that tokenising needs.
    pub(crate) const fn tokenizer_scratch_len(&self) -> usize {
        Tokenizer::scratch_len(self.tokenizer.max_word_chars)
    }

    /// The embedding of a text: `dims` components, in `scratch`.
    ///
    /// As Model2Vec computes it: the text is cut to
    /// [`max_chars`](crate::Pooling::max_chars) scalar values and its tokens to
    /// [`max_tokens`](crate::Pooling::max_tokens), unknown tokens are dropped, the mean of the
    /// other tokens' rows is taken and, if the model says so, scaled to unit length. A text
    /// without known tokens gives all zeros. A word of more than
    /// [`max_input_chars_per_word`](crate::WordPiece::max_input_chars_per_word) characters is one
    /// unknown token, as for the teacher.
    ///
    /// # Errors
    ///
    /// [`Error::ScratchTooSmall`]. Never panics.
    pub fn encode<'s>(&self, text: &str, scratch: &'s mut [u32]) -> Result<&'s [f32], Error> {
        self.encode_bytes(text.as_bytes(), scratch)
    }

    /// [`encode`](Self::encode) for bytes that may not be UTF-8: each invalid sequence counts as
    /// one U+FFFD, as in `String::from_utf8_lossy`.
    ///
    /// # Errors
    ///
    /// [`Error::ScratchTooSmall`]. Never panics.
    pub fn encode_bytes<'s>(
        &self,
        text: &[u8],
        scratch: &'s mut [u32],
    ) -> Result<&'s [f32], Error> {
        let (sums, rest) = self.split_scratch(scratch, self.scratch_len())?;
        Ok(self.sum(text, sums, rest).finish(&self.header.pooling))
    }

    /// The sum of a text's rows.
    #[inline]
    pub(crate) fn sum<'s>(
        &self,
        text: &[u8],
        sums: &'s mut [u32],
        scratch: &mut [u32],
    ) -> Pool<'_, 's> {
        let pooling = &self.header.pooling;
        let limits = Limits {
            chars: pooling.max_chars,
            tokens: pooling.max_tokens,
        };
        let mut sum = Sum::new(self, sums);
        self.tokenizer
            .tokenize(text, limits, scratch, |id| sum.add(id));
        sum.end()
    }

    /// The embedding of tokens, for texts that were tokenised before: as [`encode`](Self::encode)
    /// gives it for a text of these tokens. Ids of no token are unknown tokens.
    ///
    /// # Errors
    ///
    /// [`Error::ScratchTooSmall`]. Never panics.
    pub fn encode_ids<'s>(&self, ids: &[u32], scratch: &'s mut [u32]) -> Result<&'s [f32], Error> {
        let (sums, _) = self.split_scratch(scratch, self.scratch_len())?;
        let pooling = &self.header.pooling;
        let counting = usize::try_from(pooling.max_tokens).unwrap_or(usize::MAX);
        let mut sum = Sum::new(self, sums);
        for &id in ids.iter().take(counting) {
            let known = id < self.header.token_count;
            sum.add(if known { id } else { self.tokenizer.unk });
        }
        Ok(sum.end().finish(pooling))
    }

    /// The same model with the next narrower vectors of this machine, without any at last; `None` after
    /// that. What tests compare with.
    #[cfg(feature = "std")]
    #[doc(hidden)]
    pub fn narrower(mut self) -> Option<Self> {
        self.rows = self.rows.narrower()?;
        Some(self)
    }

    /// The direction of a text's embedding in 8 bits: `dims` components in `out`, the largest of
    /// them ±127. A quarter of the RAM, and compared without floating point by
    /// [`cosine_i8`](crate::cosine_i8).
    ///
    /// # Errors
    ///
    /// [`Error::ScratchTooSmall`], [`Error::OutputTooSmall`]. Never panics.
    pub fn encode_i8(&self, text: &str, scratch: &mut [u32], out: &mut [i8]) -> Result<(), Error> {
        let found = saturate(out.len());
        let out = out.get_mut(..self.dims()).ok_or(Error::OutputTooSmall {
            needed: saturate(self.dims()),
            found,
        })?;
        let embedding = self.encode(text, scratch)?;
        let largest = embedding.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let factor = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        for (component, x) in out.iter_mut().zip(embedding) {
            let scaled = x * factor;
            // Half away from zero; the conversion cuts off the fraction.
            *component = (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i8;
        }
        Ok(())
    }

    /// Calls `visit` with each known token's id and vector (`dims` components, not normalised), in
    /// text order: the whole text, as Model2Vec's method of this name does by default.
    ///
    /// # Errors
    ///
    /// [`Error::ScratchTooSmall`]. Never panics.
    pub fn encode_as_sequence(
        &self,
        text: &str,
        scratch: &mut [u32],
        mut visit: impl FnMut(u32, &[f32]),
    ) -> Result<(), Error> {
        let (vector, rest) = self.split_scratch(scratch, self.scratch_len())?;
        self.tokenizer
            .tokenize(text.as_bytes(), Limits::NONE, rest, |id| {
                if id != self.tokenizer.unk {
                    self.rows.vector(id, vector);
                    visit(id, bytemuck::cast_slice(vector));
                }
            });
        Ok(())
    }

    /// Writes a token's vector (`dims` components, not normalised) to `out`; all zeros if there is no
    /// such token. In an image with n-grams, theirs follow those of tokens.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`]. Never panics.
    pub fn vector(&self, id: u32, out: &mut [f32]) -> Result<(), Error> {
        let found = saturate(out.len());
        let out = out.get_mut(..self.dims()).ok_or(Error::OutputTooSmall {
            needed: saturate(self.dims()),
            found,
        })?;
        self.rows.vector(id, bytemuck::cast_slice_mut(out));
        Ok(())
    }

    /// Calls `visit` with each token's id, in text order: the whole text, unknown tokens included,
    /// exactly as the teacher's tokeniser does without special tokens and truncation.
    ///
    /// # Errors
    ///
    /// [`Error::ScratchTooSmall`]. Never panics.
    pub fn tokenize(
        &self,
        text: &str,
        scratch: &mut [u32],
        visit: impl FnMut(u32),
    ) -> Result<(), Error> {
        let (_, rest) = self.split_scratch(scratch, self.scratch_len())?;
        self.tokenizer
            .tokenize(text.as_bytes(), Limits::NONE, rest, visit);
        Ok(())
    }

    /// The text of a token, somewhere in `buffer`; `None` if there is no such token or it does not
    /// fit. Never panics.
    pub fn token<'b>(&self, id: u32, buffer: &'b mut [u8]) -> Option<&'b str> {
        if id >= self.header.token_count {
            return None;
        }
        core::str::from_utf8(self.tokenizer.vocabulary.spell(id, buffer)?).ok()
    }

    /// The scratch of a call that needs so many words, as sums and the rest.
    #[inline]
    pub(crate) fn split_scratch<'s>(
        &self,
        scratch: &'s mut [u32],
        needed: usize,
    ) -> Result<(&'s mut [u32], &'s mut [u32]), Error> {
        let found = saturate(scratch.len());
        scratch
            .get_mut(..needed)
            .and_then(|scratch| scratch.split_at_mut_checked(self.dims()))
            .ok_or(Error::ScratchTooSmall {
                needed: saturate(needed),
                found,
            })
    }
}

/// A text's tokens, and the n-grams that they form, on their way into a sum.
struct Sum<'m, 's> {
    model: &'m Model<'m>,
    pool: Pool<'m, 's>,
    #[cfg(feature = "classify")]
    ngrams: Option<(&'m NGrams<'m>, Window)>,
}

impl<'m, 's> Sum<'m, 's> {
    #[inline]
    fn new(model: &'m Model<'m>, sums: &'s mut [u32]) -> Self {
        Self {
            model,
            pool: Pool::new(&model.rows, sums),
            #[cfg(feature = "classify")]
            ngrams: model
                .ngrams
                .as_ref()
                .map(|ngrams| (ngrams, Window::new(ngrams.kinds))),
        }
    }

    #[inline]
    fn add(&mut self, id: u32) {
        if id != self.model.tokenizer.unk {
            self.pool.add(id);
        }
        #[cfg(feature = "classify")]
        if let Some((ngrams, window)) = &mut self.ngrams {
            if id == self.model.tokenizer.unk {
                window.unknown();
            } else {
                window.token(id, |hash| {
                    add_ngram(self.model, ngrams, &mut self.pool, hash)
                });
            }
        }
    }

    #[inline]
    fn end(self) -> Pool<'m, 's> {
        #[cfg(feature = "classify")]
        {
            let mut sum = self;
            if let Some((ngrams, window)) = &mut sum.ngrams {
                window.end(|hash| add_ngram(sum.model, ngrams, &mut sum.pool, hash));
            }
            sum.pool
        }
        #[cfg(not(feature = "classify"))]
        self.pool
    }
}

/// Adds the row of an n-gram that has one.
#[cfg(feature = "classify")]
fn add_ngram(model: &Model<'_>, ngrams: &NGrams<'_>, pool: &mut Pool<'_, '_>, hash: u32) {
    if let Some(index) = ngrams.index(hash) {
        pool.add(model.header.token_count + index);
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Model<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Model({})", self.header);
    }
}
