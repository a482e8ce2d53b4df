//! A bounded cache of words and their tokens, so that a host splits a frequent word once.
//!
//! The key is a word's bytes as they stand in the text, compared whole. What a word becomes does not
//! depend on what is around it, so an entry is right for as long as the model lives.

use std::boxed::Box;
use std::vec;

/// Longest word that is kept, in bytes: a key is its bytes and its length.
pub(crate) const LONGEST: usize = 15;
/// Most tokens of a word that is kept.
pub(crate) const MOST_TOKENS: usize = 4;

/// Two entries a set. 16,384 entries of 32 bytes, 512 KB, hold what a few megabytes of text repeat.
const SETS: usize = 1 << 13;

/// A word's bytes, the first lowest, and its length in the highest byte: never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u128);

impl Key {
    /// The key of `text[start..start + len]`; `None` if there is no such word of 1 to
    /// [`LONGEST`] bytes.
    #[inline]
    pub(crate) fn new(text: &[u8], start: usize, len: usize) -> Option<Self> {
        if len.wrapping_sub(1) >= LONGEST {
            return None;
        }
        // Sixteen bytes at once; near the end the text's last sixteen.
        let at = start.min(text.len().saturating_sub(16));
        let bytes = match text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            Some(bytes) => u128::from_le_bytes(*bytes).wrapping_shr(8 * (start - at) as u32),
            None => {
                let mut bytes = [0; 16];
                let word = text.get(start..)?;
                bytes.get_mut(..word.len())?.copy_from_slice(word);
                u128::from_le_bytes(bytes)
            }
        };
        let mask = u128::MAX.wrapping_shr(128 - 8 * len as u32);
        Some(Self(bytes & mask | (len as u128) << 120))
    }

    #[inline]
    fn set(self) -> usize {
        let (low, high) = (self.0 as u64, (self.0 >> 64) as u64);
        let mixed =
            (low ^ high.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (mixed >> (64 - SETS.trailing_zeros())) as usize
    }
}

/// The tokens of a word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens {
    /// Ids of known tokens in 24 bits each, in order. The highest byte of the first is how many these
    /// are, of the second how many tokens there are with unknown ones.
    packed: [u32; MOST_TOKENS],
}

const ID: u32 = 0x00FF_FFFF;

impl Tokens {
    /// Of `tokens` tokens, `known` are known; `None` if they are too many to keep.
    pub(crate) fn new(known: &[u32], tokens: usize) -> Option<Self> {
        let mut packed = [0; MOST_TOKENS];
        packed.get_mut(..known.len())?.copy_from_slice(known);
        let [first, second, ..] = &mut packed;
        *first |= (known.len() as u32) << 24;
        *second |= u32::from(u8::try_from(tokens).ok()?) << 24;
        Some(Self { packed })
    }

    /// Ids, of which the first [`known`](Self::known) count.
    #[inline]
    pub(crate) fn ids(&self) -> [u32; MOST_TOKENS] {
        self.packed.map(|id| id & ID)
    }

    #[inline]
    pub(crate) fn known(&self) -> usize {
        (self.packed[0] >> 24) as usize
    }

    /// How many tokens the word has, unknown ones included.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.packed[1] >> 24
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// 0 in an empty entry.
    key: u128,
    tokens: Tokens,
}

/// The cache: sets of two entries, the one filled last first.
#[derive(Clone, Debug)]
pub(crate) struct WordCache {
    sets: Box<[[Entry; 2]]>,
}

impl WordCache {
    pub(crate) fn new() -> Self {
        let empty = Entry {
            key: 0,
            tokens: Tokens {
                packed: [0; MOST_TOKENS],
            },
        };
        Self {
            sets: vec![[empty; 2]; SETS].into_boxed_slice(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&Tokens> {
        let [first, second] = self.sets.get(key.set())?;
        if first.key == key.0 {
            Some(&first.tokens)
        } else if second.key == key.0 {
            Some(&second.tokens)
        } else {
            None
        }
    }

    /// Keeps a word; the older word of its set goes.
    pub(crate) fn insert(&mut self, key: Key, tokens: Tokens) {
        if let Some([first, second]) = self.sets.get_mut(key.set()) {
            *second = *first;
            *first = Entry { key: key.0, tokens };
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
        assert!(word.is_some());
        assert_eq!(Key::new(text, 2, 4), word);
        assert_eq!(Key::new(text, 20, 4), word);
        assert_eq!(Key::new(b"a word", 2, 4), word);
        assert_eq!(Key::new(text, 28, 4), Key::new(b"text", 0, 4));
        assert_ne!(Key::new(b"a\0", 0, 1), Key::new(b"a\0", 0, 2));
        assert_eq!(Key::new(text, 2, 0), None);
        assert!(Key::new(text, 2, 15).is_some());
        assert_eq!(Key::new(text, 2, 16), None);
        assert_ne!(Key::new(text, 2, 15), Key::new(text, 3, 15));
    }

    #[test]
    fn words_come_back_as_they_were_kept() {
        let mut cache = WordCache::new();
        let key = |number: u32| Key::new(&number.to_le_bytes(), 0, 4).unwrap();
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
