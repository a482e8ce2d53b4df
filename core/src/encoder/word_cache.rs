//! A bounded cache of words and their tokens, so that a host splits a frequent word once.
//!
//! The key is a word's bytes as they stand in the text, compared whole. What a word becomes does not
//! depend on what is around it, so an entry is right for as long as the model lives.

use memmap2::MmapMut;

use crate::host_memory::zeroed;

/// Longest word that is kept, in bytes: a key is its bytes and its length.
pub(super) const LONGEST: usize = 15;
/// Most tokens of a word that is kept.
pub(super) const MOST_TOKENS: usize = 4;

/// Sets, one after another, that help one another out.
const NEIGHBOURS: usize = 4;

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

    /// Bits of which any number is evenly spread.
    #[inline(always)]
    fn mixed(self) -> u64 {
        let (low, high) = (self.0 as u64, (self.0 >> 64) as u64);
        (low ^ high.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// The tokens of a word: ids of known tokens in 24 bits each, in order. The highest byte of the first is
/// how many these are, of the second how many tokens there are with unknown ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens(u128);

const ID: u32 = 0x00FF_FFFF;

impl Tokens {
    /// Of `count` tokens, `known` are known; `None` if they are too many to keep.
    pub(super) fn new(known: &[u32], count: usize) -> Option<Self> {
        let mut packed = [0; MOST_TOKENS];
        packed.get_mut(..known.len())?.copy_from_slice(known);
        let [first, second, ..] = &mut packed;
        *first |= (known.len() as u32) << 24;
        *second |= u32::from(u8::try_from(count).ok()?) << 24;
        Some(Self(bytemuck::cast(packed)))
    }

    /// Ids, of which the first [`known`](Self::known) count.
    #[inline]
    pub(super) fn ids(self) -> [u32; MOST_TOKENS] {
        const IDS: u128 = ID as u128 * 0x1_0000_0001_0000_0001_0000_0001;
        bytemuck::cast(self.0 & IDS)
    }

    #[inline]
    pub(super) fn known(self) -> usize {
        (self.0 as u32 >> 24) as usize
    }

    /// How many tokens the word has, unknown ones included.
    #[inline]
    pub(super) fn count(self) -> u32 {
        (self.0 >> 32) as u32 >> 24
    }
}

/// Two keys, that of the word that came last first, and the tokens of each: a line of most caches. A key of 0 is
/// that of none.
type Set = [u128; 4];

/// A word's key and its tokens.
type Entry = (u128, u128);

/// Where in a set a word is.
#[inline(always)]
fn find(&[first, second, ..]: &Set, key: u128) -> Option<usize> {
    // Nobody can foresee which of the two it is: no branch.
    let (first, second) = (first == key, second == key);
    (first | second).then_some(usize::from(second))
}

/// Puts a word first; the word that has to go.
fn push(set: &mut Set, (key, tokens): Entry) -> Entry {
    let gone = (set[1], set[3]);
    *set = [key, set[0], tokens, set[2]];
    gone
}

/// Puts a word in the place of another.
fn replace(set: &mut Set, at: usize, (key, tokens): Entry) {
    *set = match at {
        0 => [key, set[1], tokens, set[3]],
        _ => [set[0], key, set[2], tokens],
    };
}

/// What a cache remembers.
#[derive(Debug)]
pub(super) struct Memory {
    /// All sets; where the system gives no memory, none.
    sets: Option<MmapMut>,
    /// What is left of 64 bits after it says which set.
    shift: u32,
    turn: usize,
}

impl Memory {
    /// Of at most so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let sets = (bytes / size_of::<Set>()).max(NEIGHBOURS);
        let bits = sets.ilog2().min(u32::BITS);
        Self {
            sets: zeroed(size_of::<Set>() << bits).ok(),
            shift: u64::BITS - bits,
            turn: 0,
        }
    }

    /// Bytes, whether in use or not.
    pub(super) fn len(&self) -> usize {
        self.sets.as_ref().map_or(0, |sets| sets.len())
    }

    pub(super) fn cache(&mut self) -> WordCache<'_> {
        let memory = self.sets.as_deref_mut().unwrap_or(&mut []);
        WordCache {
            sets: bytemuck::try_cast_slice_mut(memory).unwrap_or(&mut []),
            shift: self.shift,
            turn: &mut self.turn,
        }
    }
}

/// The cache.
pub(super) struct WordCache<'m> {
    sets: &'m mut [Set],
    shift: u32,
    /// The neighbour whose older word goes next.
    turn: &'m mut usize,
}

impl WordCache<'_> {
    /// The set of a word.
    #[inline(always)]
    fn set(&self, key: Key) -> usize {
        (key.mixed() >> self.shift) as usize
    }

    /// Has the machine fetch the place where a word would be.
    #[inline(always)]
    pub(super) fn prefetch(&self, key: Key) {
        prefetch_index::prefetch_index(&*self.sets, self.set(key));
    }

    /// The tokens of a word that is kept in its place, where all but few are.
    #[inline(always)]
    pub(super) fn get(&self, key: Key) -> Option<Tokens> {
        let set = self.sets.get(self.set(key))?;
        set.get(2 + find(set, key.0)?).copied().map(Tokens)
    }

    /// The sets near a word's, its own included, and which of them is its own.
    fn near(&mut self, key: Key) -> (&mut [Set], usize) {
        let own = self.set(key);
        let first = own - own % NEIGHBOURS;
        let near = self.sets.get_mut(first..first + NEIGHBOURS);
        (near.unwrap_or(&mut []), own - first)
    }

    /// The tokens of a word that may be kept near its place; it moves there.
    pub(super) fn get_near(&mut self, key: Key) -> Option<Tokens> {
        let (near, own) = self.near(key);
        let mut places = near.iter().enumerate();
        let (set, at) = places.find_map(|(set, of)| Some((set, find(of, key.0)?)))?;
        let tokens = *near.get(set)?.get(2 + at)?;
        if set != own {
            let gone = push(near.get_mut(own)?, (key.0, tokens));
            replace(near.get_mut(set)?, at, gone);
        }
        Some(Tokens(tokens))
    }

    /// Keeps a word in its place. The older word there goes to a free place nearby, or one of
    /// the older words there goes.
    pub(super) fn insert(&mut self, key: Key, tokens: Tokens) {
        let turn = *self.turn;
        *self.turn = (turn + 1) % NEIGHBOURS;
        let (near, own) = self.near(key);
        let Some(set) = near.get_mut(own) else {
            return;
        };
        let gone = push(set, (key.0, tokens.0));
        if gone.0 == 0 {
            return;
        }
        let mut places = near.iter().enumerate();
        let free = places.find_map(|(set, of)| Some((set, find(of, 0)?)));
        let (set, at) = free.unwrap_or((turn, 1));
        if set != own
            && let Some(set) = near.get_mut(set)
        {
            replace(set, at, gone);
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
        let mut memory = Memory::new(4 << 20);
        let mut cache = memory.cache();
        let key = |number: u32| Key::new(&number.to_le_bytes(), 0, 4);
        for number in 0..200_000 {
            assert!(cache.get(key(number)).is_none());
            let tokens = Tokens::new(&[number, ID], 3).unwrap();
            cache.insert(key(number), tokens);
            let kept = cache.get(key(number)).unwrap();
            assert_eq!(kept.ids(), [number, ID, 0, 0]);
            assert_eq!((kept.known(), kept.count()), (2, 3));
        }
        // All places are taken, and words are found near theirs.
        let kept = |cache: &mut WordCache<'_>, number| cache.get_near(key(number)).is_some();
        let count = (0..200_000).filter(|&number| kept(&mut cache, number));
        assert!(count.count() > 130_000);
        for number in 0..200_000 {
            let near = cache.get_near(key(number));
            assert_eq!(near.is_some(), cache.get(key(number)).is_some());
            assert!(near.is_none_or(|kept| kept.ids() == [number, ID, 0, 0]));
        }
    }

    #[test]
    fn too_many_tokens_are_not_kept() {
        assert!(Tokens::new(&[1, 2, 3, 4], 4).is_some());
        assert!(Tokens::new(&[1, 2, 3, 4, 5], 5).is_none());
        assert!(Tokens::new(&[], 256).is_none());
    }
}
