//! WordPiece: word characters in, token ids out.

use crate::bytes::u32_at;
use crate::charmap::{Action, CharMap, layout};
use crate::error::{Error, Part};
use crate::image::MAX_ADDED_TOKENS_LEN;
use crate::normalize::{decode, hangul_jamo};
use crate::vocabulary::{Match, Start, Vocabulary};

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
        let Some((codes, pieces)) = scratch.split_at_mut_checked(self.max_word_chars) else {
            return;
        };
        let mut word = Word {
            tokenizer: self,
            codes: bytemuck::cast_slice_mut(codes),
            pieces,
            len: 0,
            following: 0,
            tokens_left: limits.tokens,
            emit,
        };
        let codes_ascii = self.vocabulary.codes_ascii();
        let mut rest = cut(text, limits.chars);
        while word.tokens_left > 0 {
            if codes_ascii {
                rest = word.take_plain(rest);
            }
            let Some((&first, after)) = rest.split_first() else {
                break;
            };
            rest = if codes_ascii && self.char_map.ascii(first) == layout::ASCII_BREAK {
                word.end();
                after
            } else {
                word.special(first, rest)
            };
        }
        word.end();
    }
}

/// The word being read, and where its tokens go.
struct Word<'t, 's, E> {
    tokenizer: &'t Tokenizer<'t>,
    /// The codes of its bytes.
    codes: &'s mut [u8],
    pieces: &'s mut [u32],
    /// Codes of the word so far.
    len: usize,
    /// Those of them that do not begin a character; wraps around below zero for a word that has
    /// more characters than codes fit.
    following: usize,
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

    /// Takes what is a plain character in ASCII, as most are, into the word; returns the rest.
    #[inline(always)]
    fn take_plain<'r>(&mut self, text: &'r [u8]) -> &'r [u8] {
        let char_map = self.tokenizer.char_map;
        let Some(free) = self.codes.get_mut(self.len..) else {
            return text;
        };
        let mut taken = free.len().min(text.len());
        for (at, (slot, &byte)) in free.iter_mut().zip(text).enumerate() {
            *slot = char_map.ascii(byte);
            if *slot <= layout::ASCII_PAGES {
                taken = at;
                break;
            }
        }
        self.len += taken;
        text.get(taken..).unwrap_or(&[])
    }

    /// Does what the first character or added token of `text` asks for; returns the rest. `first`
    /// is the text's first byte.
    #[inline(never)]
    fn special<'r>(&mut self, first: u8, text: &'r [u8]) -> &'r [u8] {
        let Tokenizer {
            vocabulary,
            char_map,
            added_tokens,
            ..
        } = self.tokenizer;
        let entry = char_map.ascii(first);
        let mut len = 1;
        if (entry == layout::ASCII_PAGES || !vocabulary.codes_ascii())
            && added_tokens.may_begin_with(first)
            && let Some((id, added_len)) = added_tokens.longest_match(text)
        {
            self.end();
            self.emit(id);
            len = added_len;
        } else {
            match entry {
                layout::ASCII_DROP => {}
                layout::ASCII_BREAK => self.end(),
                layout::ASCII_ISOLATE => {
                    self.end();
                    self.push_byte(first);
                    self.end();
                }
                layout::ASCII_PAGES => {
                    let (scalar, scalar_len) = decode(text);
                    self.push_mapped(scalar);
                    len = scalar_len;
                }
                code => self.push_code(code),
            }
        }
        text.get(len..).unwrap_or(&[])
    }

    fn push_byte(&mut self, byte: u8) {
        // Continuation bytes belong to the character before them.
        self.following += usize::from(byte & 0xC0 == 0x80);
        self.push_code(self.tokenizer.vocabulary.code(byte));
    }

    fn push_code(&mut self, code: u8) {
        if let Some(slot) = self.codes.get_mut(self.len) {
            *slot = code;
            self.len += 1;
        } else {
            // Four bytes a character fit: more of them is a word that is too long already.
            self.following = self.len.wrapping_sub(self.tokenizer.max_word_chars + 1);
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
        let (len, following) = (self.len, self.following);
        if len == 0 {
            return;
        }
        self.len = 0;
        self.following = 0;
        let tokenizer = self.tokenizer;
        let most = tokenizer.max_word_chars;
        let too_long = len > most && len.wrapping_sub(following) > most;
        let (taken, id) = match self.codes.get(..len) {
            Some(codes) if !too_long => tokenizer.vocabulary.longest_match(Start::Word, codes),
            _ => (0, 0),
        };
        if taken == len {
            self.emit(id);
        } else if taken > 0 {
            self.end_in_pieces(len, (taken, id));
        } else {
            self.emit(tokenizer.unk);
        }
    }

    /// Ends a word of which the first piece is only a part.
    #[inline(never)]
    fn end_in_pieces(&mut self, len: usize, first: Match) {
        match self.split(len, first) {
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

    /// Greedy longest match behind the first piece; the number of pieces.
    fn split(&mut self, len: usize, (mut taken, id): Match) -> Option<usize> {
        *self.pieces.first_mut()? = id;
        let mut count = 1;
        while taken < len {
            let rest = self.codes.get(taken..len)?;
            let vocabulary = &self.tokenizer.vocabulary;
            let (more, id) = vocabulary.longest_match(Start::Continuation, rest);
            if more == 0 {
                return None;
            }
            *self.pieces.get_mut(count)? = id;
            count += 1;
            taken += more;
        }
        Some(count)
    }
}

/// The begin of a text that has at most so many scalar values.
pub(crate) fn cut(text: &[u8], chars: u32) -> &[u8] {
    if text.len() as u64 <= u64::from(chars) {
        return text;
    }
    let mut rest = text;
    for _ in 0..chars {
        if rest.is_empty() {
            break;
        }
        rest = rest.get(decode(rest).1..).unwrap_or(&[]);
    }
    text.get(..text.len() - rest.len()).unwrap_or(text)
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

impl<'a> AddedTokens<'a> {
    /// Checks a section. With `looked_up` a byte that a token begins with must be one that the
    /// character map says to look into the pages for, since only those are looked up here.
    pub(crate) fn new(
        entries: &'a [u8],
        token_count: u32,
        char_map: &CharMap<'_>,
        looked_up: bool,
    ) -> Result<Self, Error> {
        let damaged = Error::Damaged(Part::AddedTokens);
        let mut first_bytes = [0; 8];
        let mut rest = entries;
        if entries.len() > MAX_ADDED_TOKENS_LEN {
            return Err(damaged);
        }
        while !rest.is_empty() {
            let (id, text, after) = split_entry(rest).ok_or(damaged)?;
            let (&first, _) = text.split_first().ok_or(damaged)?;
            let overlooked = looked_up && char_map.ascii(first) != layout::ASCII_PAGES;
            if overlooked || id >= token_count || core::str::from_utf8(text).is_err() {
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

    /// The longest that `text` begins with: its id and its length.
    #[inline(never)]
    pub(crate) fn longest_match(&self, text: &[u8]) -> Option<(u32, usize)> {
        let mut found: Option<(u32, usize)> = None;
        let mut rest = self.entries;
        while let Some((id, token, after)) = split_entry(rest) {
            if text.starts_with(token) && found.is_none_or(|(_, len)| token.len() > len) {
                found = Some((id, token.len()));
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
