//! Layout of the section and what an n-gram is, shared with the writer.

/// Bytes before the groups: kinds, bits of a fingerprint, bits of a bucket's number, 0, number of n-grams.
pub const HEAD_LEN: usize = 8;
/// Buckets of a group.
pub const GROUP: usize = 16;
/// Bytes of a group: the number of its first fingerprint, then those in each bucket.
pub const GROUP_LEN: usize = 3 + GROUP;
/// Most fingerprints in a bucket.
pub const MAX_IN_BUCKET: usize = u8::MAX as usize;
/// Fewest and most bits of a fingerprint.
pub const FINGERPRINT_BITS: core::ops::RangeInclusive<u8> = 4..=16;
/// Most bits of a bucket's number.
pub const MAX_BUCKET_BITS: u8 = 16;

/// Kind: pairs of neighbouring tokens.
pub const PAIRS: u8 = 1 << PAIR;
/// Kind: pairs of tokens with one between them.
pub const SKIP_PAIRS: u8 = 1 << SKIP_PAIR;
/// Kind: triples of neighbouring tokens.
pub const TRIPLES: u8 = 1 << TRIPLE;
/// A text's start and end count as tokens when n-grams are formed.
pub const MARKS: u8 = 1 << 3;
/// The id of a text's start and end.
pub const MARK: u32 = u32::MAX;

const PAIR: u32 = 0;
const SKIP_PAIR: u32 = 1;
const TRIPLE: u32 = 2;

/// A permutation of the 32-bit numbers that spreads their bits: `lowbias32` of Chris Wellons,
/// "Prospecting for Hash Functions", 2018.
const fn mix(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x7FEB_352D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846C_A68B);
    h ^ h >> 16
}

/// The bucket of a hash, for numbers of so many bits.
pub const fn bucket(hash: u32, bits: u8) -> u32 {
    match hash.checked_shr(u32::BITS.wrapping_sub(bits as u32)) {
        Some(bucket) => bucket,
        None => 0,
    }
}

/// The fingerprint of a hash, of so many bits, at most 16.
pub const fn fingerprint(hash: u32, bits: u8) -> u32 {
    hash & ((1 << (bits & 31)) - 1)
}

/// Most rows, tokens' and n-grams', that a text of at most `max_tokens` tokens adds up.
pub const fn most_rows(kinds: u8, max_tokens: u32) -> u64 {
    let kinds = kinds & (PAIRS | SKIP_PAIRS | TRIPLES);
    max_tokens as u64 * (1 + kinds.count_ones() as u64) + 4
}

/// A walk over the tokens of a text that forms n-grams.
///
/// ```
/// use flashvec::ngrams_layout::{MARKS, PAIRS, Window};
///
/// let mut window = Window::new(PAIRS | MARKS);
/// let mut hashes = Vec::new();
/// for id in [7, 8, 9] {
///     window.token(id, |hash| hashes.push(hash));
/// }
/// window.end(|hash| hashes.push(hash));
/// assert_eq!(hashes.len(), 4); // start and 7, 7 and 8, 8 and 9, 9 and end
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Window {
    kinds: u8,
    /// How many of the last two there are.
    known: u8,
    older: u32,
    newer: u32,
}

impl Window {
    /// At the start of a text.
    pub const fn new(kinds: u8) -> Self {
        Self {
            kinds,
            known: (kinds & MARKS != 0) as u8,
            older: MARK,
            newer: MARK,
        }
    }

    /// Takes the next token; calls `visit` with the hash of each n-gram that ends with it: the pair, the pair
    /// with one between, the triple.
    #[inline]
    pub fn token(&mut self, id: u32, mut visit: impl FnMut(u32)) {
        for kind in PAIR..=TRIPLE {
            if self.kinds >> kind & 1 == 0 || (kind != PAIR && self.known < 2) || self.known < 1 {
                continue;
            }
            let mut hash = mix(kind);
            if kind != PAIR {
                hash = mix(hash ^ self.older);
            }
            if kind != SKIP_PAIR {
                hash = mix(hash ^ self.newer);
            }
            visit(mix(hash ^ id));
        }
        self.older = self.newer;
        self.newer = id;
        self.known = if self.known == 0 { 1 } else { 2 };
    }

    /// Takes a token that is unknown: no n-gram has it or goes over it.
    #[inline]
    pub const fn unknown(&mut self) {
        self.known = 0;
    }

    /// Takes the end of the text. A text whose last token is unknown, or that has none, ends without n-grams.
    #[inline]
    pub fn end(&mut self, visit: impl FnMut(u32)) {
        if self.kinds & MARKS != 0 && self.known > 0 && self.newer != MARK {
            self.token(MARK, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// The specification's words: `mix(kind)`, then each id.
    fn hash(kind: u32, ids: &[u32]) -> u32 {
        ids.iter().fold(mix(kind), |h, id| mix(h ^ id))
    }

    fn formed(kinds: u8, ids: &[Option<u32>]) -> Vec<u32> {
        let mut window = Window::new(kinds);
        let mut hashes = Vec::new();
        for id in ids {
            match id {
                Some(id) => window.token(*id, |hash| hashes.push(hash)),
                None => window.unknown(),
            }
        }
        window.end(|hash| hashes.push(hash));
        hashes
    }

    #[test]
    fn ngrams_of_a_text() {
        let text = [Some(1), Some(2), Some(3), None, Some(4), Some(5)];
        assert_eq!(
            formed(PAIRS, &text),
            [hash(0, &[1, 2]), hash(0, &[2, 3]), hash(0, &[4, 5])]
        );
        assert_eq!(formed(SKIP_PAIRS, &text), [hash(1, &[1, 3])]);
        assert_eq!(formed(TRIPLES, &text), [hash(2, &[1, 2, 3])]);
        assert_eq!(
            formed(PAIRS | SKIP_PAIRS | TRIPLES | MARKS, &text),
            [
                hash(0, &[MARK, 1]),
                hash(0, &[1, 2]),
                hash(1, &[MARK, 2]),
                hash(2, &[MARK, 1, 2]),
                hash(0, &[2, 3]),
                hash(1, &[1, 3]),
                hash(2, &[1, 2, 3]),
                hash(0, &[4, 5]),
                hash(0, &[5, MARK]),
                hash(1, &[4, MARK]),
                hash(2, &[4, 5, MARK]),
            ]
        );
    }

    #[test]
    fn texts_without_tokens_have_no_ngrams() {
        let all = PAIRS | SKIP_PAIRS | TRIPLES | MARKS;
        assert_eq!(formed(all, &[]), []);
        assert_eq!(formed(all, &[None]), []);
        assert_eq!(formed(all & !MARKS, &[Some(1)]), []);
        assert_eq!(formed(all, &[Some(1), None]), [hash(0, &[MARK, 1])]);
    }

    #[test]
    fn no_text_has_more_rows_than_promised() {
        for kinds in 1..16_u8 {
            if kinds & 7 == 0 {
                continue;
            }
            for len in 0..20 {
                let text: Vec<Option<u32>> = (0..len).map(Some).collect();
                let rows = u64::from(len) + formed(kinds, &text).len() as u64;
                assert!(rows <= most_rows(kinds, len), "{kinds} {len}: {rows}");
            }
        }
    }

    #[test]
    fn parts_of_a_hash() {
        assert_eq!(mix(0), 0);
        assert_eq!(mix(1), 0x6889_90C0);
        assert_eq!(hash(2, &[5, 6, 7]), 0xB61B_910F);
        assert_eq!(bucket(0xABCD_1234, 0), 0);
        assert_eq!(bucket(0xABCD_1234, 8), 0xAB);
        assert_eq!(bucket(0xABCD_1234, 16), 0xABCD);
        assert_eq!(fingerprint(0xABCD_1234, 4), 4);
        assert_eq!(fingerprint(0xABCD_1234, 16), 0x1234);
    }
}
