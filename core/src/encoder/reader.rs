//! From a text to the tokens of its words.

use super::byte_classes::{BLOCK, ByteClasses};
use super::word_cache::{Key, LONGEST, Tokens, WordCache};
use super::{Ids, Simd};
use crate::model::Model;
use crate::tokenize::Limits;

/// An added token: its id, and its length in bytes.
type AddedToken = (u32, usize);

/// Cuts a text into words, which come out of the cache or, where they are new or long, through the
/// tokeniser.
///
/// A word here is a run of bytes between ASCII breaks, isolated characters and added tokens. All these
/// end a word for the tokeniser too, and UTF-8 sequences, also cut ones, end with the run: so what
/// the tokeniser makes of the run does not depend on what is around it.
pub(super) struct Reader<'r> {
    pub(super) model: &'r Model<'r>,
    pub(super) classes: &'r ByteClasses,
    pub(super) words: WordCache<'r>,
    pub(super) scratch: &'r mut [u32],
    pub(super) waiting: &'r mut [Waiting; MOST_WAITING],
}

/// A word that is not looked up yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    key: Key,
    start: usize,
    len: usize,
}

impl Waiting {
    pub(super) const NONE: Self = Self {
        key: Key::NONE,
        start: 0,
        len: 0,
    };
}

/// Words that wait at once: those of a sentence, and of another block.
pub(super) const MOST_WAITING: usize = 192;

impl Reader<'_> {
    /// Takes a text, block by block. Words are collected before any is looked up, so that the places
    /// where they may be kept are on their way from memory all at once.
    #[inline(always)]
    pub(super) fn read<S: Simd>(&mut self, text: &[u8], ids: &mut Ids<'_, S>) {
        let mut base = 0;
        let mut waiting = 0;
        while base < text.len() && ids.tokens_left > 0 {
            let masks = self.classes.masks(&ids.simd, text, base);
            let mut len = BLOCK.min(text.len() - base);
            let mut added = None;
            if masks.added != 0 {
                added = self.first_added_token(text, base, masks.added);
                if let Some((at, _)) = added {
                    len = at;
                }
            }
            let block = u64::MAX.unbounded_shr((BLOCK - len) as u32);
            let (word, isolate) = (masks.word & block, masks.isolate & block);
            let mut starts = (word & !(word << 1)) | isolate;
            let mut next = base + len;
            // A word that reaches the end of a block may go on.
            let mut long = false;
            if len == BLOCK && word >> (BLOCK - 1) == 1 && next < text.len() {
                let last = starts.ilog2();
                starts ^= 1 << last;
                next = base + last as usize;
                long = last == 0;
            }
            let words = self.waiting.get_mut(waiting..).unwrap_or(&mut []);
            for (_, waits) in (0..starts.count_ones()).zip(words) {
                let at = starts.trailing_zeros();
                starts &= starts - 1;
                let len = (!(word >> at)).trailing_zeros().max(1) as usize;
                let start = base + at as usize;
                let key = Key::new(text, start, len);
                self.words.prefetch(key);
                *waits = Waiting { key, start, len };
                waiting += 1;
            }
            // Rarely before the text's end.
            if waiting > MOST_WAITING - BLOCK || next >= text.len() || long || added.is_some() {
                self.take_waiting(text, waiting, ids);
                waiting = 0;
                if long && ids.tokens_left > 0 {
                    next = self.long_word(text, base, ids);
                }
                if let Some((_, (id, len))) = added
                    && ids.tokens_left > 0
                {
                    ids.push(id);
                    ids.tokens_left -= 1;
                    next += len;
                }
            }
            base = next;
        }
    }

    /// Takes the first `count` words that wait.
    #[inline(always)]
    fn take_waiting<S: Simd>(&mut self, text: &[u8], count: usize, ids: &mut Ids<'_, S>) {
        for at in 0..count {
            let Some(&Waiting { key, start, len }) = self.waiting.get(at) else {
                return;
            };
            if let Some(tokens) = self.words.get(key)
                && tokens.count() <= ids.tokens_left
            {
                ids.push_word(tokens);
            } else {
                self.other_word(text, start, len, key, ids);
            }
        }
    }

    /// The first added token that begins in a block: where in the block, and the token.
    #[inline(never)]
    fn first_added_token(
        &self,
        text: &[u8],
        base: usize,
        mut candidates: u64,
    ) -> Option<(usize, AddedToken)> {
        while candidates != 0 {
            let at = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let rest = text.get(base + at..).unwrap_or(&[]);
            if let Some(token) = self.added_token(rest) {
                return Some((at, token));
            }
        }
        None
    }

    /// The added token that a text, already cut to what counts, begins with.
    fn added_token(&self, text: &[u8]) -> Option<AddedToken> {
        self.model.tokenizer.added_tokens.longest_match(text)
    }

    /// Takes the word that begins at `start` and fills a block; where it ends.
    #[inline(never)]
    fn long_word(&mut self, text: &[u8], start: usize, ids: &mut Ids<'_, impl Simd>) -> usize {
        let rest = text.get(start..).unwrap_or(&[]);
        let ends = |(at, &byte): (usize, &u8)| {
            !self.classes.is_word(byte)
                || self.classes.may_begin_added_token(byte)
                    && self.added_token(rest.get(at..).unwrap_or(&[])).is_some()
        };
        let len = rest.iter().enumerate().position(ends);
        let word = len.and_then(|len| rest.get(..len)).unwrap_or(rest);
        self.tokenize(word, ids);
        start + word.len()
    }

    /// Takes a word that was looked up in vain, or of which not all tokens count.
    #[inline(never)]
    fn other_word(
        &mut self,
        text: &[u8],
        start: usize,
        len: usize,
        key: Key,
        ids: &mut Ids<'_, impl Simd>,
    ) {
        let word = text.get(start..start + len).unwrap_or(&[]);
        let kept = match key {
            Key::NONE => None,
            key => self.words.get_near(key).or_else(|| self.learn(key, word)),
        };
        match kept {
            Some(tokens) if tokens.count() <= ids.tokens_left => ids.push_word(tokens),
            _ => self.tokenize(word, ids),
        }
    }

    /// Puts a word into the cache, unless it has too many tokens.
    fn learn(&mut self, key: Key, word: &[u8]) -> Option<Tokens> {
        let unk = self.model.tokenizer.unk;
        // Kept words have fewer tokens than this.
        let mut known = [0; LONGEST];
        let (mut len, mut count) = (0, 0);
        self.model
            .tokenizer
            .tokenize(word, Limits::NONE, self.scratch, |id| {
                count += 1;
                if id != unk {
                    if let Some(slot) = known.get_mut(len) {
                        *slot = id;
                    }
                    len += 1;
                }
            });
        let tokens = Tokens::new(known.get(..len)?, count)?;
        self.words.insert(key, tokens);
        Some(tokens)
    }

    /// Takes a word through the tokeniser.
    fn tokenize(&mut self, word: &[u8], ids: &mut Ids<'_, impl Simd>) {
        let limits = Limits {
            chars: u32::MAX,
            tokens: ids.tokens_left,
        };
        let mut taken = 0;
        self.model
            .tokenizer
            .tokenize(word, limits, self.scratch, |id| {
                taken += 1;
                ids.push(id);
            });
        ids.tokens_left -= taken;
    }
}
