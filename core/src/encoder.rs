//! Encoding many texts on a host: the bits of [`Model::encode`], at the speed of memory.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use crate::charmap::layout;
use crate::error::Error;
use crate::image::saturate;
use crate::model::Model;
use crate::normalize::decode;
use crate::rows::Rows;
use crate::tokenize::Limits;
use crate::word_cache::{Key, LONGEST, MOST_TOKENS, Tokens, WordCache};

/// Token ids that are collected before their rows are added up.
const IDS: usize = 1024;
/// Bytes of text that are looked at together.
const BLOCK: usize = 64;

/// Encodes texts on a machine with a heap. A [`Model`] and working memory of about 600 KB that does
/// not grow: the tokens of words met before, above all.
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
#[derive(Clone, Debug)]
pub struct Encoder<'m> {
    model: &'m Model<'m>,
    sums: Vec<u32>,
    state: State,
}

/// What an encoder works with, beside the sums.
#[derive(Clone, Debug)]
struct State {
    bytes: Box<[Class; 256]>,
    /// The token that an ASCII character is as a word of its own.
    isolated: Box<[u32; 128]>,
    /// An added token has a byte that breaks words.
    added_tokens_have_breaks: bool,
    words: WordCache,
    scratch: Vec<u32>,
    ids: Box<[u32; IDS]>,
}

/// What a byte does to the word before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// ASCII, and the word goes on.
    Word,
    /// ASCII; ends the word.
    Break,
    /// ASCII; ends the word and is one itself.
    Isolate,
    /// Only the tokeniser can tell: not ASCII, or what an added token may begin with.
    Other,
}

impl<'m> Encoder<'m> {
    /// An encoder for a model.
    pub fn new(model: &'m Model<'m>) -> Self {
        let tokenizer = &model.tokenizer;
        let mut scratch = vec![0; model.scratch_len()];
        let mut bytes = Box::new([Class::Other; 256]);
        let mut isolated = Box::new([tokenizer.unk; 128]);
        for ((byte, class), isolated) in (0..128).zip(bytes.iter_mut()).zip(isolated.iter_mut()) {
            *class = match tokenizer.char_map.ascii(byte) {
                _ if tokenizer.added_tokens.may_begin_with(byte) => Class::Other,
                layout::ASCII_DROP | layout::ASCII_PAGES => Class::Other,
                layout::ASCII_BREAK => Class::Break,
                layout::ASCII_ISOLATE => Class::Isolate,
                _ => Class::Word,
            };
            if *class == Class::Isolate {
                tokenizer.tokenize(&[byte], Limits::NONE, &mut scratch, |id| *isolated = id);
            }
        }
        let is_break = |byte: &u8| matches!(bytes.get(usize::from(*byte)), Some(Class::Break));
        let added_tokens_have_breaks = tokenizer
            .added_tokens
            .texts()
            .any(|token| token.iter().any(is_break));
        Self {
            model,
            sums: vec![0; model.dims()],
            state: State {
                bytes,
                isolated,
                added_tokens_have_breaks,
                words: WordCache::new(),
                scratch,
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

impl State {
    /// Writes a text's embedding to `sums`.
    fn encode(&mut self, model: &Model<'_>, text: &[u8], sums: &mut [u32]) {
        sums.fill(0);
        let mut pool = Pool {
            rows: &model.rows,
            sums,
            ids: &mut self.ids,
            len: 0,
            known: 0,
            unk: model.tokenizer.unk,
            tokens_left: model.header().pooling.max_tokens,
        };
        let mut reader = Reader {
            model,
            bytes: &self.bytes,
            isolated: &self.isolated,
            added_tokens_have_breaks: self.added_tokens_have_breaks,
            words: &mut self.words,
            scratch: &mut self.scratch,
        };
        reader.read(cut(text, model.header().pooling.max_chars), &mut pool);
        pool.flush();
        let known = pool.known;
        model.pool(sums, known);
    }
}

/// The first `max_chars` scalar values of a text.
fn cut(text: &[u8], max_chars: u32) -> &[u8] {
    match text.get(..max_chars as usize) {
        // No more bytes than scalar values that count.
        None => text,
        Some(start) if start.is_ascii() => start,
        Some(_) => {
            let mut rest = text;
            for _ in 0..max_chars {
                let Some((_, len)) = decode(rest) else {
                    break;
                };
                rest = rest.get(len..).unwrap_or(&[]);
            }
            text.get(..text.len() - rest.len()).unwrap_or(text)
        }
    }
}

/// Token ids on their way into the sums.
struct Pool<'p> {
    rows: &'p Rows<'p>,
    sums: &'p mut [u32],
    ids: &'p mut [u32; IDS],
    /// How many of `ids` wait to be added.
    len: usize,
    /// Tokens added, waiting ones included.
    known: u32,
    unk: u32,
    tokens_left: u32,
}

impl Pool<'_> {
    /// Takes a token; the caller sees to `tokens_left`.
    #[inline]
    fn push(&mut self, id: u32) {
        if self.len >= IDS {
            self.flush();
        }
        if let Some(slot) = self.ids.get_mut(self.len) {
            *slot = id;
            let known = id != self.unk;
            self.len += usize::from(known);
            self.known += u32::from(known);
        }
    }

    /// Takes all tokens of a word, of which there are no more than `tokens_left`.
    #[inline]
    fn push_word(&mut self, tokens: &Tokens) {
        if self.len > IDS - MOST_TOKENS {
            self.flush();
        }
        if let Some(slots) = self
            .ids
            .get_mut(self.len..)
            .and_then(|slots| slots.first_chunk_mut::<MOST_TOKENS>())
        {
            *slots = tokens.ids();
            self.len += tokens.known();
            self.known += tokens.known() as u32;
            self.tokens_left -= tokens.count();
        }
    }

    #[inline(never)]
    fn flush(&mut self) {
        let ids = self.ids.get(..self.len).unwrap_or(&[]);
        self.rows.add_all(ids, self.sums);
        self.len = 0;
    }
}

/// Cuts a text into words. Those of plain ASCII come out of the cache; what is not so simple goes
/// through the tokeniser, from the beginning of a word to a break.
struct Reader<'r> {
    model: &'r Model<'r>,
    bytes: &'r [Class; 256],
    isolated: &'r [u32; 128],
    added_tokens_have_breaks: bool,
    words: &'r mut WordCache,
    scratch: &'r mut [u32],
}

impl Reader<'_> {
    fn read(&mut self, text: &[u8], pool: &mut Pool<'_>) {
        if pool.tokens_left == 0 {
            return;
        }
        // Where the word begins, and where its end is looked for.
        let mut start = 0;
        let mut from = 0;
        loop {
            let base = from - from % BLOCK;
            let mut ends = self.ends_of_words(text, base) & u64::MAX << (from % BLOCK);
            while ends != 0 {
                let end = base + ends.trailing_zeros() as usize;
                ends &= ends - 1;
                let next = text.get(end).copied();
                let class = next.map_or(Class::Break, |byte| self.class(byte));
                if class == Class::Other {
                    let end = self.tokenize_to_break(text, start, end, pool);
                    start = end + 1;
                    if start >= text.len() || pool.tokens_left == 0 {
                        return;
                    }
                    if start >= base + BLOCK {
                        break;
                    }
                    ends &= u64::MAX << (start % BLOCK);
                    continue;
                }
                if end > start {
                    self.word(text, start, end, pool);
                }
                if pool.tokens_left == 0 {
                    return;
                }
                let Some(next) = next else {
                    return;
                };
                if class == Class::Isolate {
                    let id = self.isolated.get(usize::from(next)).copied();
                    pool.push(id.unwrap_or(pool.unk));
                    pool.tokens_left -= 1;
                    if pool.tokens_left == 0 {
                        return;
                    }
                }
                start = end + 1;
            }
            from = start.max(base + BLOCK);
        }
    }

    #[inline]
    fn class(&self, byte: u8) -> Class {
        self.bytes
            .get(usize::from(byte))
            .copied()
            .unwrap_or(Class::Other)
    }

    /// A bit for each of the 64 bytes from `base` on that does not continue a word, and for the end
    /// of the text.
    #[inline]
    fn ends_of_words(&self, text: &[u8], base: usize) -> u64 {
        let rest = text.get(base..).unwrap_or(&[]);
        let ends_in = |block: &[u8; BLOCK]| {
            block.iter().rev().fold(0_u64, |ends, &byte| {
                ends << 1 | u64::from(self.class(byte) != Class::Word)
            })
        };
        match rest.first_chunk() {
            Some(block) => ends_in(block),
            None => {
                let mut block = [0; BLOCK];
                if let Some(start) = block.get_mut(..rest.len()) {
                    start.copy_from_slice(rest);
                }
                // Shorter than a block, so the shift is less than 64.
                let end = 1 << (rest.len() % BLOCK);
                ends_in(&block) & (end - 1) | end
            }
        }
    }

    /// Takes the word `text[start..end]`, which is plain ASCII between breaks.
    #[inline]
    fn word(&mut self, text: &[u8], start: usize, end: usize, pool: &mut Pool<'_>) {
        let tokens = match Key::new(text, start, end - start) {
            Some(key) => match self.words.get(key) {
                Some(tokens) => Some(*tokens),
                None => self.learn(key, text.get(start..end).unwrap_or(&[])),
            },
            None => None,
        };
        match tokens {
            Some(tokens) if tokens.count() <= pool.tokens_left => pool.push_word(&tokens),
            _ => self.tokenize(text.get(start..end).unwrap_or(&[]), pool),
        }
    }

    /// Puts a word into the cache, unless it has too many tokens.
    #[inline(never)]
    fn learn(&mut self, key: Key, word: &[u8]) -> Option<Tokens> {
        let unk = self.model.tokenizer.unk;
        // A token has a byte at least.
        let mut known = [0; LONGEST];
        let (mut len, mut count) = (0, 0);
        self.model
            .tokenizer
            .tokenize(word, Limits::NONE, self.scratch, |id| {
                count += 1;
                if id != unk
                    && let Some(slot) = known.get_mut(len)
                {
                    *slot = id;
                    len += 1;
                }
            });
        let tokens = Tokens::new(known.get(..len)?, count)?;
        self.words.insert(key, tokens);
        Some(tokens)
    }

    /// Takes a text through the tokeniser.
    #[inline(never)]
    fn tokenize(&mut self, text: &[u8], pool: &mut Pool<'_>) {
        let limits = Limits {
            chars: u32::MAX,
            tokens: pool.tokens_left,
        };
        let mut taken = 0;
        self.model
            .tokenizer
            .tokenize(text, limits, self.scratch, |id| {
                taken += 1;
                pool.push(id);
            });
        pool.tokens_left -= taken;
    }

    /// Takes the text from `start`, the beginning of a word, to the break behind `end`, through the
    /// tokeniser; where that break is.
    #[inline(never)]
    fn tokenize_to_break(
        &mut self,
        text: &[u8],
        start: usize,
        end: usize,
        pool: &mut Pool<'_>,
    ) -> usize {
        let rest = text.get(end..).unwrap_or(&[]);
        // An added token that begins before a break may go on behind it.
        let to = if self.added_tokens_have_breaks {
            text.len()
        } else {
            rest.iter()
                .position(|&byte| self.class(byte) == Class::Break)
                .map_or(text.len(), |len| end + len)
        };
        self.tokenize(text.get(start..to).unwrap_or(&[]), pool);
        to
    }
}
