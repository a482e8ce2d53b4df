//! A bounded cache of words and their tokens, so that a host splits a frequent word once.
//!
//! The key is a word's bytes as they stand in the text, compared whole. What a word becomes does not
//! depend on what is around it, so an entry is right for as long as the model lives.

use std::boxed::Box;
use std::vec;

/// Longest word that is kept, in bytes: a key is its bytes and its length.
pub(super) const LONGEST: usize = 15;
/// Most tokens of a word that is kept.
pub(super) const MOST_TOKENS: usize = 4;

/// Of two words and 64 bytes each: 65,536 words in 2 MB, most of those of a few megabytes of text.
const SETS: usize = 1 << 16;

/// A word's bytes, the first lowest, and its length in the highest byte: never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u128);

/// By length less one: what of sixteen bytes belongs to a word.
#[expect(clippy::indexing_slicing, reason = "at compile time")]
const MASKS: [u128; LONGEST] = {
    let mut masks = [0; LONGEST];
    let mut len = 1;
    while len <= LONGEST {
        masks[len - 1] = u128::MAX >> (128 - 8 * len);
        len += 1;
    }
    masks
};

impl Key {
    /// That of no word, and of words that are not kept.
    pub(super) const NONE: Self = Self(1);

    /// The key of `text[start..start + len]`; [`NONE`](Self::NONE) if there is no such word of 1 to
    /// [`LONGEST`] bytes.
    #[inline(always)]
    pub(super) fn new(text: &[u8], start: usize, len: usize) -> Self {
        let Some(&mask) = MASKS.get(len.wrapping_sub(1)) else {
            return Self::NONE;
        };
        // Sixteen bytes at once; near the end the text's last sixteen.
        let at = start.min(text.len().saturating_sub(16));
        let bytes = match text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            Some(bytes) => u128::from_le_bytes(*bytes).wrapping_shr(8 * (start - at) as u32),
            None => {
                // As it would be with zeros behind the text.
                let before = text.iter().skip(start).rev();
                before.fold(0, |bytes, &byte| bytes << 8 | u128::from(byte))
            }
        };
        Self(bytes & mask | (len as u128) << 120)
    }

    #[inline(always)]
    fn set(self) -> usize {
        let (low, high) = (self.0 as u64, (self.0 >> 64) as u64);
        let mixed = (low ^ high.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> (64 - SETS.trailing_zeros())) as usize
    }
}

/// The tokens of a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    /// Ids of known tokens in 24 bits each, in order. The highest byte of the first is how many these
    /// are, of the second how many tokens there are with unknown ones.
    packed: [u32; MOST_TOKENS],
}

const ID: u32 = 0x00FF_FFFF;

impl Tokens {
    /// Of `count` tokens, `known` are known; `None` if they are too many to keep.
    pub(super) fn new(known: &[u32], count: usize) -> Option<Self> {
        let mut packed = [0; MOST_TOKENS];
        packed.get_mut(..known.len())?.copy_from_slice(known);
        let [first, second, ..] = &mut packed;
        *first |= (known.len() as u32) << 24;
        *second |= u32::from(u8::try_from(count).ok()?) << 24;
        Some(Self { packed })
    }

    /// Ids, of which the first [`known`](Self::known) count.
    #[inline]
    pub(super) fn ids(&self) -> [u32; MOST_TOKENS] {
        const IDS: u128 = ID as u128 * 0x1_0000_0001_0000_0001_0000_0001;
        bytemuck::cast(bytemuck::cast::<_, u128>(self.packed) & IDS)
    }

    #[inline]
    pub(super) fn known(&self) -> usize {
        (self.packed[0] >> 24) as usize
    }

    /// How many tokens the word has, unknown ones included.
    #[inline]
    pub(super) fn count(&self) -> u32 {
        self.packed[1] >> 24
    }
}

/// Two words, the one that came last first: a line of most caches.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set {
    /// 0 where there is none yet.
    keys: [u128; 2],
    tokens: [Tokens; 2],
}

/// The cache.
#[derive(Clone, Debug)]
pub(super) struct WordCache {
    sets: Box<[Set]>,
}

impl WordCache {
    pub(super) fn new() -> Self {
        let none = Tokens {
            packed: [0; MOST_TOKENS],
        };
        let empty = Set {
            keys: [0; 2],
            tokens: [none; 2],
        };
        Self {
            sets: vec![empty; SETS].into_boxed_slice(),
        }
    }

    /// Has the machine fetch the place where a word would be.
    #[inline(always)]
    pub(super) fn prefetch(&self, key: Key) {
        prefetch_index::prefetch_index(&self.sets, key.set());
    }

    /// The tokens of a word that is kept.
    #[inline(always)]
    pub(super) fn get(&self, key: Key) -> Option<&Tokens> {
        let set = self.sets.get(key.set())?;
        let [first, second] = set.keys.map(|kept| kept == key.0);
        // Nobody can foresee which of the two it is: no branch.
        let tokens = set.tokens.get(usize::from(second))?;
        (first | second).then_some(tokens)
    }

    /// Keeps a word; the older word of its set goes.
    pub(super) fn insert(&mut self, key: Key, tokens: Tokens) {
        if let Some(set) = self.sets.get_mut(key.set()) {
            set.keys = [key.0, set.keys[0]];
            set.tokens = [tokens, set.tokens[0]];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_words_bytes_wherever_they_stand() {
        let text = b"a word, and another word of text";
        let word = Key::new(b"word", 0, 4);
        assert_ne!(word, Key::NONE);
        assert_eq!(Key::new(text, 2, 4), word);
        assert_eq!(Key::new(text, 20, 4), word);
        assert_eq!(Key::new(b"a word", 2, 4), word);
        assert_eq!(Key::new(text, 28, 4), Key::new(b"text", 0, 4));
        assert_ne!(Key::new(b"a\0", 0, 1), Key::new(b"a\0", 0, 2));
        assert_eq!(Key::new(text, 2, 0), Key::NONE);
        assert_ne!(Key::new(text, 2, 15), Key::NONE);
        assert_eq!(Key::new(text, 2, 16), Key::NONE);
        assert_ne!(Key::new(text, 2, 15), Key::new(text, 3, 15));
    }

    #[test]
    fn words_come_back_as_they_were_kept() {
        let mut cache = WordCache::new();
        let key = |number: u32| Key::new(&number.to_le_bytes(), 0, 4);
        for number in 0..100_000 {
            assert!(cache.get(key(number)).is_none());
            let tokens = Tokens::new(&[number, ID], 3).unwrap();
            cache.insert(key(number), tokens);
            let kept = cache.get(key(number)).unwrap();
            assert_eq!(kept.ids(), [number, ID, 0, 0]);
            assert_eq!((kept.known(), kept.count()), (2, 3));
        }
        let kept = (0..100_000).filter(|&number| cache.get(key(number)).is_some());
        assert!(kept.count() > SETS);
    }

    #[test]
    fn too_many_tokens_are_not_kept() {
        assert!(Tokens::new(&[1, 2, 3, 4], 4).is_some());
        assert!(Tokens::new(&[1, 2, 3, 4, 5], 5).is_none());
        assert!(Tokens::new(&[], 256).is_none());
    }
}
