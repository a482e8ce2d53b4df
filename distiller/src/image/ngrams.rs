//! Which n-grams have rows, as a section.

use flashvec::ngrams_layout::{
    FINGERPRINT_BITS, GROUP, MARKS, MAX_BUCKET_BITS, MAX_IN_BUCKET, bucket, fingerprint,
};

use crate::error::{Error, Result};

/// The number of n-grams in a bucket that the number of buckets comes nearest to: at a given rate of other n-grams that
/// are taken for one with a row, fewer buckets need more bits a fingerprint, and more of them more bytes of counts.
const IN_BUCKET: f64 = 6.6;

/// N-grams that have rows, known by their hashes.
#[derive(Clone, Debug)]
pub struct NGramTable {
    section: Vec<u8>,
    kinds: u8,
    indices: Vec<u32>,
    len: usize,
}

impl NGramTable {
    /// A table of n-grams with these hashes, as [`Window`](flashvec::ngrams_layout::Window) forms them, for texts of
    /// which n-grams of these kinds are formed.
    ///
    /// Of n-grams that the table cannot tell apart, the first is kept. Of all others, one in 2^`fingerprint_bits`,
    /// times about seven, is taken for one of the table.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] for kinds or bits that an image does not hold, for no hashes, and for so many that they do not
    /// fit.
    pub fn new(kinds: u8, fingerprint_bits: u8, hashes: &[u32]) -> Result<Self> {
        let bits = (hashes.len() as f64 / IN_BUCKET).log2().round();
        let bits = bits.clamp(0.0, f64::from(MAX_BUCKET_BITS)) as u8;
        Self::with_buckets(kinds, fingerprint_bits, bits, hashes)
    }

    /// [`new`](Self::new) with 2^`bucket_bits` buckets.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn with_buckets(
        kinds: u8,
        fingerprint_bits: u8,
        bucket_bits: u8,
        hashes: &[u32],
    ) -> Result<Self> {
        let wrong = |what: String| Error::Model {
            what: format!("n-grams: {what}"),
        };
        if kinds & !MARKS == 0 || kinds >= 2 * MARKS {
            return Err(wrong(format!("there are no kinds {kinds:#b}")));
        }
        if !FINGERPRINT_BITS.contains(&fingerprint_bits) || bucket_bits > MAX_BUCKET_BITS {
            return Err(wrong(format!(
                "fingerprints have 4 to 16 bits and buckets' numbers at most 16, not {fingerprint_bits} and {bucket_bits}"
            )));
        }
        let buckets = 1_usize << bucket_bits;
        let mut fingerprints = vec![Vec::new(); buckets];
        let mut places = Vec::with_capacity(hashes.len());
        for &hash in hashes {
            let (bucket, fingerprint) = (
                bucket(hash, bucket_bits) as usize,
                fingerprint(hash, fingerprint_bits),
            );
            let known = fingerprints[bucket].iter().position(|&f| f == fingerprint);
            let place = known.unwrap_or_else(|| {
                fingerprints[bucket].push(fingerprint);
                fingerprints[bucket].len() - 1
            });
            places.push((bucket, place as u32));
        }
        let len: usize = fingerprints.iter().map(Vec::len).sum();
        let most = fingerprints.iter().map(Vec::len).max().unwrap_or(0);
        if len == 0 || len > flashvec::image::MAX_TOKENS as usize || most > MAX_IN_BUCKET {
            return Err(wrong(format!(
                "an image cannot hold {len} of them in {buckets} buckets, {most} in one"
            )));
        }

        let mut section = vec![kinds, fingerprint_bits, bucket_bits, 0];
        section.extend((len as u32).to_le_bytes());
        let mut starts = Vec::with_capacity(buckets);
        let mut before = 0_u32;
        for group in fingerprints.chunks(GROUP) {
            section.extend(&before.to_le_bytes()[..3]);
            let counts = section.len();
            section.resize(counts + GROUP, 0);
            for (count, bucket) in section[counts..].iter_mut().zip(group) {
                *count = bucket.len() as u8;
                starts.push(before);
                before += bucket.len() as u32;
            }
        }
        let (mut held, mut holds) = (0_u32, 0);
        for &fingerprint in fingerprints.iter().flatten() {
            held |= fingerprint << holds;
            holds += u32::from(fingerprint_bits);
            while holds >= 8 {
                section.push(held as u8);
                held >>= 8;
                holds -= 8;
            }
        }
        if holds > 0 {
            section.push(held as u8);
        }
        let indices = places
            .iter()
            .map(|&(bucket, place)| starts[bucket] + place)
            .collect();
        Ok(Self {
            section,
            kinds,
            indices,
            len,
        })
    }

    /// The section's bytes.
    pub fn section(&self) -> &[u8] {
        &self.section
    }

    /// The kinds of n-grams that are formed.
    pub const fn kinds(&self) -> u8 {
        self.kinds
    }

    /// For each hash, in the order they were given, the number of its row among those of n-grams. Hashes that the table
    /// cannot tell apart have the same.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Rows: at most one a hash.
    #[allow(clippy::len_without_is_empty)] // none is empty
    pub const fn len(&self) -> usize {
        self.len
    }

    /// For each row the first of the hashes that have it.
    pub fn firsts(&self) -> Vec<usize> {
        let mut firsts = vec![usize::MAX; self.len];
        for (at, &index) in self.indices.iter().enumerate().rev() {
            firsts[index as usize] = at;
        }
        firsts
    }
}

#[cfg(test)]
mod tests {
    use flashvec::ngrams_layout::{GROUP_LEN, HEAD_LEN, PAIRS};

    use super::*;

    #[test]
    fn fingerprints_lie_bucket_by_bucket() {
        // Buckets by the highest bit, fingerprints the lowest four.
        let hashes = [0x8000_0005, 1, 0x8000_000A, 2, 0x7FFF_FFF1, 0x8000_0015];
        let table = NGramTable::with_buckets(PAIRS, 4, 1, &hashes).unwrap();
        let mut expected = vec![PAIRS, 4, 1, 0, 4, 0, 0, 0];
        expected.extend([0, 0, 0, 2, 2]);
        expected.resize(HEAD_LEN + GROUP_LEN, 0);
        expected.extend([0x21, 0xA5]);
        assert_eq!(table.section(), expected);
        assert_eq!(table.indices(), [2, 0, 3, 1, 0, 2]);
        assert_eq!(table.firsts(), [1, 3, 0, 2]);
        assert_eq!((table.len(), table.kinds()), (4, PAIRS));
    }

    #[test]
    fn what_an_image_cannot_hold_is_refused() {
        let many: Vec<u32> = (0..300).collect();
        for (kinds, fingerprint_bits, bucket_bits, hashes) in [
            (0, 8, 0, &many[..9]),
            (MARKS, 8, 0, &many[..9]),
            (16 | PAIRS, 8, 0, &many[..9]),
            (PAIRS, 3, 0, &many[..9]),
            (PAIRS, 17, 0, &many[..9]),
            (PAIRS, 8, 17, &many[..9]),
            (PAIRS, 8, 0, &[]),
            (PAIRS, 9, 0, &many[..256]),
        ] {
            NGramTable::with_buckets(kinds, fingerprint_bits, bucket_bits, hashes).unwrap_err();
        }
        NGramTable::with_buckets(PAIRS, 9, 0, &many[..255]).unwrap();
        assert_eq!(NGramTable::new(PAIRS, 8, &[7]).unwrap().len(), 1);
    }
}
