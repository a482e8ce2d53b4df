//! Layout of the vocabulary section, shared with the writer.

/// Bytes before the starts: the code of every byte.
pub const CODES_LEN: usize = 256;
/// Bytes of a start: a node's place and the tokens before it, 24 bits each.
pub const START_LEN: usize = 6;
/// The place of a node that there is not.
pub const NO_NODE: u32 = (1 << 24) - 1;
/// Most bytes of nodes, so that a place fits 24 bits.
pub const MAX_NODES_LEN: usize = NO_NODE as usize;
/// Bytes behind the last node, so that eight can be read at every node.
pub const PADDING: usize = 7;

/// Bits of a node: its digit.
pub const DIGIT: u8 = 31;
/// Bit of an inner node: the path to it spells a token. That to a leaf always does.
pub const TOKEN: u8 = 1 << 5;
/// Bit of a leaf: the last of its siblings.
pub const LAST_LEAF: u8 = 1 << 5;
/// Bit of a node: it is inner, so has children.
pub const INNER: u8 = 1 << 6;
/// Bit of an inner node that is not the last of its siblings: an extent follows.
pub const EXTENT: u8 = 1 << 7;

/// An extent below this has its number of tokens in these bits and its length in the next byte.
pub const SHORT: u8 = 32;
/// This extent has its length and its number of tokens in the next four bytes.
pub const MEDIUM: u8 = 30;
/// This extent has its length and its number of tokens in the next six bytes.
pub const LONG: u8 = 31;
/// Most extents on a path.
pub const MAX_OPEN: usize = 24;

/// The least code: a smaller number in a character map has a meaning of its own.
pub const FIRST_CODE: u8 = 4;
/// Codes from here on are two digits.
pub const FIRST_PAIR: u8 = 28;
/// The code of a byte that no token has.
pub const NO_CODE: u8 = 255;

/// The digits that spell a code.
#[inline]
pub const fn digits(code: u8) -> (Option<u8>, u8) {
    if code < FIRST_PAIR {
        (None, code)
    } else {
        (Some((FIRST_PAIR + (code >> 5)) & DIGIT), code & DIGIT)
    }
}

/// Whether a digit is the first of two.
pub const fn is_first_of_two(digit: u8) -> bool {
    digit < FIRST_CODE || digit >= FIRST_PAIR
}

/// The code that digits spell, if they spell one that a byte can have.
pub const fn code(first: Option<u8>, last: u8) -> Option<u8> {
    let code = match first {
        Some(first) => (first.wrapping_sub(FIRST_PAIR) & 7) << 5 | last,
        None => last,
    };
    let pair = code >= FIRST_PAIR;
    if code < FIRST_CODE || code == NO_CODE || pair != first.is_some() {
        None
    } else {
        Some(code)
    }
}

/// Bytes that the extent of a subtree takes, of `len` bytes and `tokens` tokens.
pub const fn extent_len(len: usize, tokens: usize) -> usize {
    if len < 32 && tokens < 8 {
        1
    } else if len < 256 && tokens < MEDIUM as usize {
        2
    } else if len < 1 << 16 && tokens < 1 << 16 {
        5
    } else {
        7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelled_by_digits_of_their_own() {
        for value in FIRST_CODE..NO_CODE {
            let (first, last) = digits(value);
            assert_eq!(code(first, last), Some(value));
            assert_eq!(is_first_of_two(first.unwrap_or(last)), first.is_some());
        }
        let spelled = (0..32)
            .flat_map(|last| {
                let firsts = (0..32).filter(|&digit| is_first_of_two(digit)).map(Some);
                firsts
                    .chain([None])
                    .filter_map(move |first| code(first, last))
            })
            .count();
        assert_eq!(spelled, usize::from(NO_CODE - FIRST_CODE));
    }
}
