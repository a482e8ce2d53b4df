//! From a text to the tokens of its words.

use super::byte_classes::{BLOCK, ByteClasses};
use super::word_cache::{Key, LONGEST, Slot, Tokens, WordCache};
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
    pub(super) words: &'r mut WordCache,
    pub(super) scratch: &'r mut [u32],
}

impl Reader<'_> {
    /// Takes a text, block by block. In a block all words are looked up before any is taken, so that
    /// reads of the cache do not wait for one another.
    #[inline(always)]
    pub(super) fn read<S: Simd>(&mut self, text: &[u8], ids: &mut Ids<'_, S>) {
        let mut slots = [Slot::NONE; BLOCK];
        let mut base = 0;
        'blocks: while base < text.len() && ids.tokens_left > 0 {
            let masks = self.classes.masks(&ids.simd, text, base);
            let mut len = BLOCK.min(text.len() - base);
            let mut added = None;
            if masks.added != 0 {
                added = self.first_added_token(text, base, masks.added);
                if let Some((at, _)) = added {
                    len = at;
                }
            }
            let block = if len < BLOCK {
                (1 << len) - 1
            } else {
                u64::MAX
            };
            let (word, isolate) = (masks.word & block, masks.isolate & block);
            let mut starts = (word & !(word << 1)) | isolate;
            let mut next = base + len;
            // A word that reaches the end of a block may go on.
            if len == BLOCK && word >> (BLOCK - 1) == 1 && next < text.len() {
                let last = starts.ilog2();
                starts ^= 1 << last;
                next = base + last as usize;
                if last == 0 {
                    next = self.long_word(text, base, ids);
                }
            }
            let len_at = |start: usize| ((!(word >> start)).trailing_zeros() as usize).max(1);
            let mut left = starts;
            for slot in &mut slots {
                if left == 0 {
                    break;
                }
                let start = left.trailing_zeros() as usize;
                left &= left - 1;
                *slot = Key::new(text, base + start, len_at(start))
                    .map_or(Slot::NONE, |key| self.words.find(key));
            }
            let mut left = starts;
            for &slot in &slots {
                if left == 0 {
                    break;
                }
                let start = left.trailing_zeros() as usize;
                left &= left - 1;
                if let Some(tokens) = self.words.get(slot)
                    && tokens.count() <= ids.tokens_left
                {
                    ids.push_word(tokens);
                } else if self.other_word(text, base + start, len_at(start), slot, ids) {
                    // The cache has changed, so what was looked up may be elsewhere.
                    base += start + len_at(start);
                    continue 'blocks;
                }
            }
            if let Some((_, (id, len))) = added
                && ids.tokens_left > 0
            {
                ids.push(id);
                ids.tokens_left -= 1;
                next += len;
            }
            base = next;
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

    /// Takes a word that was looked up in vain, or of which not all tokens count; whether the cache
    /// learnt it.
    #[inline(never)]
    fn other_word(
        &mut self,
        text: &[u8],
        start: usize,
        len: usize,
        slot: Slot,
        ids: &mut Ids<'_, impl Simd>,
    ) -> bool {
        let word = text.get(start..start + len).unwrap_or(&[]);
        let learnt = match Key::new(text, start, len) {
            Some(key) if slot == Slot::NONE => self.learn(key, word),
            _ => None,
        };
        match learnt {
            Some(tokens) if tokens.count() <= ids.tokens_left => ids.push_word(&tokens),
            _ => self.tokenize(word, ids),
        }
        learnt.is_some()
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
