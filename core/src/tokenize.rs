//! WordPiece: word characters in, token ids out.

use crate::bytes::u32_at;
use crate::charmap::{Action, CharMap, layout};
use crate::error::{Error, Part};
use crate::image::MAX_ADDED_TOKENS_LEN;
use crate::normalize::{decode, hangul_jamo};
use crate::vocabulary::{Start, Vocabulary};

/// How much of a text counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Unicode scalar values.
    pub(crate) chars: u32,
    /// Tokens, unknown ones included.
    pub(crate) tokens: u32,
}

impl Limits {
    pub(crate) const NONE: Self = Self {
        chars: u32::MAX,
        tokens: u32::MAX,
    };
}

/// Everything that turns a text into token ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokenizer<'a> {
    pub(crate) vocabulary: Vocabulary<'a>,
    pub(crate) char_map: CharMap<'a>,
    pub(crate) added_tokens: AddedTokens<'a>,
    pub(crate) unk: u32,
    pub(crate) max_word_chars: usize,
}

impl Tokenizer<'_> {
    /// Words of scratch that [`Tokenizer::tokenize`] needs: the word's bytes and its pieces.
    pub(crate) const fn scratch_len(max_word_chars: usize) -> usize {
        2 * max_word_chars
    }

    /// Calls `emit` with each token's id, in text order. `scratch` has at least `scratch_len` words.
    pub(crate) fn tokenize(
        &self,
        text: &[u8],
        limits: Limits,
        scratch: &mut [u32],
        emit: impl FnMut(u32),
    ) {
        let Some((bytes, pieces)) = scratch.split_at_mut_checked(self.max_word_chars) else {
            return;
        };
        let mut word = Word {
            tokenizer: self,
            bytes: bytemuck::cast_slice_mut(bytes),
            pieces,
            len: 0,
            chars: 0,
            tokens_left: limits.tokens,
            emit,
        };
        let mut rest = text;
        let mut chars_left = limits.chars;
        while word.tokens_left > 0 && chars_left > 0 {
            let Some(&first) = rest.first() else {
                break;
            };
            if self.added_tokens.may_begin_with(first)
                && let Some(added) = self.added_tokens.longest_match(rest, chars_left)
            {
                word.end();
                word.emit(added.id);
                chars_left -= added.chars;
                rest = rest.get(added.len..).unwrap_or(&[]);
                continue;
            }
            chars_left -= 1;
            let len = if first < 0x80 {
                match self.char_map.ascii(first) {
                    layout::ASCII_DROP => {}
                    layout::ASCII_BREAK => word.end(),
                    layout::ASCII_ISOLATE => {
                        word.end();
                        word.push_byte(first);
                        word.end();
                    }
                    layout::ASCII_PAGES => word.push_mapped(u32::from(first)),
                    mapped => word.push_byte(mapped),
                }
                1
            } else {
                let Some((scalar, len)) = decode(rest) else {
                    break;
                };
                word.push_mapped(scalar);
                len
            };
            rest = rest.get(len..).unwrap_or(&[]);
        }
        word.end();
    }
}

/// The word being read, and where its tokens go.
struct Word<'t, 's, E> {
    tokenizer: &'t Tokenizer<'t>,
    bytes: &'s mut [u8],
    pieces: &'s mut [u32],
    /// Bytes of the word so far.
    len: usize,
    /// Characters of the word so far, those that no longer fit included.
    chars: usize,
    tokens_left: u32,
    emit: E,
}

impl<E: FnMut(u32)> Word<'_, '_, E> {
    fn emit(&mut self, id: u32) {
        if let Some(left) = self.tokens_left.checked_sub(1) {
            self.tokens_left = left;
            (self.emit)(id);
        }
    }

    #[inline]
    fn push_byte(&mut self, byte: u8) {
        // Continuation bytes belong to the character before them.
        self.chars += usize::from(byte & 0xC0 != 0x80);
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        } else {
            // Four bytes a character fit: more of them is a word that is too long already.
            self.chars = self.tokenizer.max_word_chars + 1;
        }
    }

    fn push_scalar(&mut self, scalar: u32) {
        let continuation = |shift: u32| 0x80 | (scalar >> shift) as u8 & 0x3F;
        match scalar {
            0..0x80 => self.push_byte(scalar as u8),
            0x80..0x800 => {
                self.push_byte(0xC0 | (scalar >> 6) as u8);
                self.push_byte(continuation(0));
            }
            0x800..0x1_0000 => {
                self.push_byte(0xE0 | (scalar >> 12) as u8);
                self.push_byte(continuation(6));
                self.push_byte(continuation(0));
            }
            _ => {
                self.push_byte(0xF0 | (scalar >> 18) as u8 & 7);
                self.push_byte(continuation(12));
                self.push_byte(continuation(6));
                self.push_byte(continuation(0));
            }
        }
    }

    #[inline(never)]
    fn push_mapped(&mut self, scalar: u32) {
        match self.tokenizer.char_map.action(scalar) {
            Action::Drop => {}
            Action::Break => self.end(),
            Action::Keep => self.push_scalar(scalar),
            Action::Isolate => {
                self.end();
                self.push_scalar(scalar);
                self.end();
            }
            Action::Hangul => {
                for jamo in hangul_jamo(scalar) {
                    if jamo != 0 {
                        self.push_scalar(jamo);
                    }
                }
            }
            Action::Shift(distance) => self.push_scalar(scalar.wrapping_add_signed(distance)),
            Action::Text(text) => {
                for &byte in text {
                    if byte == layout::TEXT_BREAK {
                        self.end();
                    } else {
                        self.push_byte(byte);
                    }
                }
            }
        }
    }

    /// Ends the word, if one was begun, and emits its tokens: its pieces, or the unknown token if
    /// some part of it is no piece or it is too long.
    #[inline(never)]
    fn end(&mut self) {
        if self.chars == 0 {
            self.len = 0;
            return;
        }
        let pieces = if self.chars <= self.tokenizer.max_word_chars {
            self.split()
        } else {
            None
        };
        self.len = 0;
        self.chars = 0;
        match pieces {
            Some(count) => {
                for at in 0..count {
                    if let Some(&id) = self.pieces.get(at) {
                        self.emit(id);
                    }
                }
            }
            None => self.emit(self.tokenizer.unk),
        }
    }

    /// Greedy longest match from the left; the number of pieces.
    fn split(&mut self) -> Option<usize> {
        let vocabulary = &self.tokenizer.vocabulary;
        let mut rest = self.bytes.get(..self.len)?;
        let mut start = Start::Word;
        let mut count = 0;
        while !rest.is_empty() {
            let (len, node) = vocabulary.longest_match(start, rest)?;
            *self.pieces.get_mut(count)? = vocabulary.id(node);
            count += 1;
            rest = rest.get(len..)?;
            start = Start::Continuation;
        }
        Some(count)
    }
}

/// Tokens that are looked for in the raw text, before anything is normalised, `[UNK]` say.
///
/// The section is a list of entries: id (4 bytes), length (1 byte), UTF-8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddedTokens<'a> {
    entries: &'a [u8],
    /// A bit for each byte that begins one.
    first_bytes: [u32; 8],
}

/// An added token found in a text.
pub(crate) struct AddedToken {
    pub(crate) id: u32,
    /// Bytes of text.
    pub(crate) len: usize,
    /// Scalar values of text.
    pub(crate) chars: u32,
}

impl<'a> AddedTokens<'a> {
    pub(crate) fn new(entries: &'a [u8], token_count: u32) -> Result<Self, Error> {
        let damaged = Error::Damaged(Part::AddedTokens);
        let mut first_bytes = [0; 8];
        let mut rest = entries;
        if entries.len() > MAX_ADDED_TOKENS_LEN {
            return Err(damaged);
        }
        while !rest.is_empty() {
            let (id, text, after) = split_entry(rest).ok_or(damaged)?;
            let (&first, _) = text.split_first().ok_or(damaged)?;
            if id >= token_count || core::str::from_utf8(text).is_err() {
                return Err(damaged);
            }
            if let Some(bits) = first_bytes.get_mut(usize::from(first / 32)) {
                *bits |= 1 << (first % 32);
            }
            rest = after;
        }
        Ok(Self {
            entries,
            first_bytes,
        })
    }

    #[inline]
    pub(crate) fn may_begin_with(&self, byte: u8) -> bool {
        self.first_bytes
            .get(usize::from(byte / 32))
            .is_some_and(|bits| bits >> (byte % 32) & 1 == 1)
    }

    #[inline(never)]
    pub(crate) fn longest_match(&self, text: &[u8], chars_left: u32) -> Option<AddedToken> {
        let mut found: Option<AddedToken> = None;
        let mut rest = self.entries;
        while let Some((id, token, after)) = split_entry(rest) {
            let len = token.len();
            let chars = token.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u32;
            if chars <= chars_left
                && text.starts_with(token)
                && found.as_ref().is_none_or(|best| len > best.len)
            {
                found = Some(AddedToken { id, len, chars });
            }
            rest = after;
        }
        found
    }
}

fn split_entry(entries: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (head, rest) = entries.split_at_checked(5)?;
    let (text, after) = rest.split_at_checked(usize::from(*head.get(4)?))?;
    Some((u32_at(head, 0), text, after))
}
