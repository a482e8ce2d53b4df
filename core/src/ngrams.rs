//! N-grams of tokens that have rows of their own: which a text has, and the row of each.

use crate::bytes::{u24, u32_at};
use crate::error::{Error, Part};
use crate::image::MAX_TOKENS;

pub mod layout;

/// The n-grams of an image, checked by [`NGrams::new`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct NGrams<'a> {
    groups: &'a [u8],
    fingerprints: &'a [u8],
    pub(crate) kinds: u8,
    fingerprint_bits: u8,
    bucket_bits: u8,
    pub(crate) count: u32,
}

impl<'a> NGrams<'a> {
    /// Checks a section: its lengths, and that the groups' buckets hold all fingerprints, one after the other.
    pub(crate) fn new(section: &'a [u8]) -> Result<Self, Error> {
        Self::read(section).ok_or(Error::Damaged(Part::NGrams))
    }

    fn read(section: &'a [u8]) -> Option<Self> {
        let (head, rest) = section.split_first_chunk::<{ layout::HEAD_LEN }>()?;
        let &[kinds, fingerprint_bits, bucket_bits, zero, ..] = head;
        let count = u32_at(head, 4);
        let sound = kinds < 2 * layout::MARKS
            && kinds & !layout::MARKS != 0
            && layout::FINGERPRINT_BITS.contains(&fingerprint_bits)
            && bucket_bits <= layout::MAX_BUCKET_BITS
            && zero == 0
            && (1..=MAX_TOKENS).contains(&count);
        if !sound {
            return None;
        }
        let groups_len = (1_usize << bucket_bits).div_ceil(layout::GROUP) * layout::GROUP_LEN;
        let (groups, fingerprints) = rest.split_at_checked(groups_len)?;
        // At most 28 bits.
        let bits = count * u32::from(fingerprint_bits);
        if fingerprints.len() != bits.div_ceil(8) as usize {
            return None;
        }
        let mut before = 0;
        for [a, b, c, counts @ ..] in groups.as_chunks::<{ layout::GROUP_LEN }>().0 {
            if u24([*a, *b, *c]) != before {
                return None;
            }
            before += sum(counts);
        }
        (before == count).then_some(Self {
            groups,
            fingerprints,
            kinds,
            fingerprint_bits,
            bucket_bits,
            count,
        })
    }

    /// Most rows that a text adds up.
    pub(crate) const fn most_rows(&self, max_tokens: u32) -> u64 {
        layout::most_rows(self.kinds, max_tokens)
    }

    /// The number of the first n-gram with the fingerprint of `hash` in its bucket.
    #[inline(never)]
    pub(crate) fn index(&self, hash: u32) -> Option<u32> {
        let bucket = layout::bucket(hash, self.bucket_bits) as usize;
        let [a, b, c, counts @ ..] = self
            .groups
            .get(bucket / layout::GROUP * layout::GROUP_LEN..)?
            .first_chunk::<{ layout::GROUP_LEN }>()?;
        let (before, rest) = counts.split_at_checked(bucket % layout::GROUP)?;
        let first = u24([*a, *b, *c]) + sum(before);
        let in_bucket = u32::from(*rest.first()?);
        let bits = u32::from(self.fingerprint_bits);
        let wanted = layout::fingerprint(hash, self.fingerprint_bits);
        let mask = layout::fingerprint(u32::MAX, self.fingerprint_bits);
        let start = first * bits;
        let mut bytes = self.fingerprints.get((start / 8) as usize..)?.iter();
        let mut held = u32::from(*bytes.next().unwrap_or(&0)) >> (start % 8);
        let mut holds = 8 - start % 8;
        (first..first + in_bucket).find(|_| {
            while holds < bits {
                held |= u32::from(*bytes.next().unwrap_or(&0)) << holds;
                holds += 8;
            }
            let found = held & mask == wanted;
            held >>= bits;
            holds -= bits;
            found
        })
    }
}

fn sum(counts: &[u8]) -> u32 {
    counts.iter().map(|&count| u32::from(count)).sum()
}

#[cfg(test)]
mod tests;
