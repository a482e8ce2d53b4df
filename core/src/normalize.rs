//! From text to word characters: UTF-8 decoding and the Hangul decomposition.

/// The replacement character, which stands for every invalid sequence.
const REPLACEMENT: u32 = 0xFFFD;

/// Decodes the scalar value that `bytes` begins with, and its length in bytes.
///
/// An invalid sequence counts as one U+FFFD for each maximal part that could have begun a valid
/// one, exactly as `String::from_utf8_lossy` does. The length is 0 only for no bytes.
#[inline(never)]
pub(crate) fn decode(bytes: &[u8]) -> (u32, usize) {
    let Some((&first, rest)) = bytes.split_first() else {
        return (REPLACEMENT, 0);
    };
    // How many bytes follow, and the range of the first of them (Unicode, table 3-7).
    let (following, low, high) = match first {
        0..=0x7F => return (u32::from(first), 1),
        0xC2..=0xDF => (1, 0x80, 0xBF),
        0xE0 => (2, 0xA0, 0xBF),
        0xED => (2, 0x80, 0x9F),
        0xE1..=0xEF => (2, 0x80, 0xBF),
        0xF0 => (3, 0x90, 0xBF),
        0xF4 => (3, 0x80, 0x8F),
        0xF1..=0xF3 => (3, 0x80, 0xBF),
        _ => return (REPLACEMENT, 1),
    };
    let mut range = low..=high;
    let mut scalar = u32::from(first) & (0x3F >> following);
    for read in 0..following {
        match rest.get(read) {
            Some(byte) if range.contains(byte) => scalar = scalar << 6 | u32::from(byte & 0x3F),
            _ => return (REPLACEMENT, read + 1),
        }
        range = 0x80..=0xBF;
    }
    (scalar, following + 1)
}

/// Conjoining jamo of a precomposed Hangul syllable (Unicode, section 3.12): leading consonant,
/// vowel and, unless 0, trailing consonant.
pub(crate) fn hangul_jamo(syllable: u32) -> [u32; 3] {
    let index = syllable.wrapping_sub(0xAC00);
    let trailing = index % 28;
    [
        0x1100 + index / 588,
        0x1161 + index % 588 / 28,
        if trailing == 0 { 0 } else { 0x11A7 + trailing },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn decode_all(mut bytes: &[u8]) -> String {
        let mut out = String::new();
        while !bytes.is_empty() {
            let (scalar, len) = decode(bytes);
            out.push(char::from_u32(scalar).unwrap());
            bytes = &bytes[len..];
        }
        out
    }

    #[test]
    fn every_scalar_value_decodes() {
        for scalar in (0..=0x10FFFF).filter_map(char::from_u32) {
            let mut buffer = [0; 4];
            let bytes = scalar.encode_utf8(&mut buffer).as_bytes();
            assert_eq!(decode(bytes), (u32::from(scalar), bytes.len()));
        }
    }

    #[test]
    fn invalid_sequences_decode_as_from_utf8_lossy_does() {
        // Every pair and a sample of longer runs over the bytes at the edges of UTF-8's ranges.
        let edges = [
            0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
            0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ];
        for a in edges {
            for b in edges {
                for c in edges {
                    for d in edges {
                        let bytes: Vec<u8> = std::vec![a, b, c, d];
                        assert_eq!(
                            decode_all(&bytes),
                            String::from_utf8_lossy(&bytes),
                            "{bytes:x?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn hangul_decomposes_by_the_rule() {
        assert_eq!(hangul_jamo(0xAC00), [0x1100, 0x1161, 0]);
        assert_eq!(hangul_jamo(0xD7A3), [0x1112, 0x1175, 0x11C2]);
    }
}
