use std::collections::HashMap;
use std::vec;
use std::vec::Vec;

use super::layout::{GROUP, GROUP_LEN, HEAD_LEN, MARKS, PAIRS, SKIP_PAIRS, TRIPLES};
use super::*;

fn random(state: &mut u64) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) as u32
}

/// A section, straight from its specification; fingerprints of a bucket in the order of `hashes`.
fn section(kinds: u8, f: u8, b: u8, hashes: &[u32]) -> Vec<u8> {
    let mut buckets = vec![Vec::new(); 1 << b];
    for &hash in hashes {
        let bucket = u64::from(hash) >> (32 - b);
        buckets[bucket as usize].push(hash & ((1 << f) - 1));
    }
    let mut section = vec![kinds, f, b, 0];
    section.extend((hashes.len() as u32).to_le_bytes());
    let mut before = 0;
    for group in buckets.chunks(GROUP) {
        section.extend(&(before as u32).to_le_bytes()[..3]);
        let counts: Vec<u8> = group.iter().map(|bucket| bucket.len() as u8).collect();
        before += group.iter().map(Vec::len).sum::<usize>();
        section.extend(&counts);
        section.extend(vec![0; GROUP - counts.len()]);
    }
    let start = section.len();
    section.resize(start + (hashes.len() * usize::from(f)).div_ceil(8), 0);
    let mut bit = 0;
    for fingerprint in buckets.iter().flatten() {
        for at in 0..usize::from(f) {
            let set = (fingerprint >> at & 1) as u8;
            section[start + bit / 8] |= set << (bit % 8);
            bit += 1;
        }
    }
    section
}

#[test]
fn lookup_is_that_of_a_map() {
    let mut state = 0x2545_F491_4F6C_DD1D;
    for _ in 0..300 {
        let f = 4 + (random(&mut state) % 13) as u8;
        let b = (random(&mut state) % 11) as u8;
        let most = (200 << b).min(3000);
        let count = 1 + random(&mut state) % most;
        // Every bucket's count fits a byte with so many; equal fingerprints in a bucket do happen.
        let hashes: Vec<u32> = (0..count)
            .map(|at| (at << (32 - b).min(31)) ^ random(&mut state) >> b)
            .collect();
        let hashes = if b == 0 {
            hashes.into_iter().take(255).collect()
        } else {
            hashes
        };
        let bytes = section(PAIRS, f, b, &hashes);
        let ngrams = NGrams::new(&bytes).unwrap();
        let key = |hash: u32| (u64::from(hash) >> (32 - b), hash & ((1 << f) - 1));
        let mut in_order = hashes.clone();
        in_order.sort_by_key(|&hash| key(hash).0);
        let mut map = HashMap::new();
        for (index, &hash) in in_order.iter().enumerate() {
            map.entry(key(hash)).or_insert(index as u32);
        }
        let others = (0..2000).map(|_| random(&mut state)).collect::<Vec<u32>>();
        let nearby = hashes.iter().map(|hash| hash ^ 1);
        for hash in hashes.iter().copied().chain(nearby).chain(others) {
            assert_eq!(ngrams.index(hash), map.get(&key(hash)).copied(), "{f} {b}");
        }
    }
}

#[test]
fn whatever_is_wrong_is_refused() {
    let hashes: Vec<u32> = (0..100_u32)
        .map(|at| at.wrapping_mul(0x9E37_79B9))
        .collect();
    let good = section(PAIRS | MARKS, 9, 5, &hashes);
    assert!(NGrams::new(&good).is_ok());
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = good.clone();
        change(&mut changed);
        assert_ne!(changed, good);
        NGrams::new(&changed).err() == Some(Error::Damaged(Part::NGrams))
    };
    for len in 0..good.len() {
        assert!(refused(&|bytes| bytes.truncate(len)), "{len}");
    }
    assert!(refused(&|bytes| bytes.push(0)));
    for kinds in 0..=255 {
        if kinds == good[0] {
            continue;
        }
        let known = kinds < 16 && kinds & (PAIRS | SKIP_PAIRS | TRIPLES) != 0;
        assert_eq!(refused(&|bytes| bytes[0] = kinds), !known, "{kinds}");
    }
    // All else before the fingerprints, bit by bit: bounds, and numbers that have to agree.
    for at in 1..HEAD_LEN + 2 * GROUP_LEN {
        for bit in 0..8 {
            assert!(refused(&|bytes| bytes[at] ^= 1 << bit), "{at} {bit}");
        }
    }
    // Sound but for their bounds.
    for (f, b) in [(3, 5), (17, 5), (9, 17)] {
        assert!(NGrams::new(&section(PAIRS, f, b, &hashes)).is_err());
    }
    assert!(NGrams::new(&section(PAIRS, 9, 5, &[])).is_err());
    for (f, b) in [(4, 5), (16, 5), (9, 16), (9, 0)] {
        assert!(NGrams::new(&section(PAIRS, f, b, &hashes)).is_ok());
    }
}
