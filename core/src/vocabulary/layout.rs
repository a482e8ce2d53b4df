//! Layout of the vocabulary section, shared with the writer.

/// Bytes before the labels: the number of nodes, the rank of every byte.
pub const HEAD_LEN: usize = 4 + 256;
/// Nodes that one block describes.
pub const BLOCK_NODES: u32 = 64;
/// Bytes of a block's labels: for each half of its nodes six sets, one for each bit of a digit.
pub const LABELS_LEN: usize = 48;
/// Bytes of a block: bits of 64 nodes (inner, last, token), then two 24-bit numbers.
pub const BLOCK_LEN: usize = 30;
/// Offset of the inner bits in a block.
pub const INNER: usize = 0;
/// Offset of the last bits.
pub const LAST: usize = 8;
/// Offset of the token bits.
pub const TOKEN: usize = 16;
/// Offset of the number of the node where the children of the block's first inner node begin.
pub const CHILDREN: usize = 24;
/// Offset of the number of tokens before the block.
pub const TOKENS_BEFORE: usize = 27;
/// Most nodes of a trie, so that a node's number fits 24 bits.
pub const MAX_NODES: u32 = (1 << 24) - 1;
/// Digits from here on are the first of two; the second is always below.
pub const FIRST_OF_TWO: u8 = 60;

/// The digits that spell the byte of a rank.
#[inline]
pub const fn digits(rank: u8) -> (Option<u8>, u8) {
    match rank.checked_sub(FIRST_OF_TWO) {
        Some(rest) => (
            Some(FIRST_OF_TWO + rest / FIRST_OF_TWO),
            rest % FIRST_OF_TWO,
        ),
        None => (None, rank),
    }
}

/// The rank of the byte that digits spell, if they spell one.
pub fn rank(first: Option<u8>, last: u8) -> Option<u8> {
    let above = match first {
        Some(first) => first
            .checked_sub(FIRST_OF_TWO - 1)?
            .checked_mul(FIRST_OF_TWO)?,
        None => 0,
    };
    if last < FIRST_OF_TWO {
        above.checked_add(last)
    } else {
        None
    }
}
