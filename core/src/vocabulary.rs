//! The vocabulary: a trie in level order, read in place.
//!
//! Nodes are numbered level by level, siblings next to each other, the root left out. A node has
//! a label byte and three bits: *inner* (has children), *last* (of its siblings), *token* (the
//! path to it spells a token). Token ids are not stored: a token's id is the number of token bits
//! before its own. Siblings are ordered by how often text passes through them, so that the scan
//! for a label is short.

use crate::bytes::{u24_at, u32_at};
use crate::error::{Error, Part};

/// Layout of the section, shared with the writer.
pub mod layout {
    /// Nodes that one block describes.
    pub const BLOCK_NODES: u32 = 64;
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
}

use layout::{BLOCK_LEN, BLOCK_NODES, CHILDREN, INNER, LAST, TOKEN, TOKENS_BEFORE};

/// Most siblings a group may have: one for each byte.
const MAX_SIBLINGS: u32 = 256;

/// The trie of an image, checked by [`Vocabulary::new`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vocabulary<'a> {
    labels: &'a [u8],
    blocks: &'a [u8],
    /// First node of the group of pieces that continue a word.
    continuation: Option<u32>,
}

/// Where a walk starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Word,
    Continuation,
}

impl<'a> Vocabulary<'a> {
    /// Checks a section and finds the node where continuation pieces start.
    pub(crate) fn new(section: &'a [u8], token_count: u32, prefix: &str) -> Result<Self, Error> {
        let damaged = Error::Damaged(Part::Vocabulary);
        let nodes = u32_at(section, 0);
        if nodes == 0 || nodes > layout::MAX_NODES {
            return Err(damaged);
        }
        let (labels, blocks) = section
            .get(4..)
            .and_then(|body| body.split_at_checked(nodes as usize))
            .ok_or(damaged)?;
        if blocks.len() != (nodes.div_ceil(BLOCK_NODES) as usize) * BLOCK_LEN {
            return Err(damaged);
        }
        let mut trie = Self {
            labels,
            blocks,
            continuation: None,
        };
        if !trie.is_sound(nodes, token_count) {
            return Err(damaged);
        }
        trie.continuation = trie.find_continuation(prefix.as_bytes());
        Ok(trie)
    }

    /// Two cursors walk the level order side by side, `node` over all nodes and `group` over the
    /// groups of children that inner nodes own, in the same order. Since every group lies behind
    /// its owner, no walk can cycle; since groups are at most 256 long, no scan is longer.
    fn is_sound(&self, nodes: u32, token_count: u32) -> bool {
        let Some(mut group) = self.group_end(0, nodes) else {
            return false;
        };
        let mut tokens = 0_u32;
        for node in 0..nodes {
            if node % BLOCK_NODES == 0 {
                let block = self.block(node / BLOCK_NODES);
                if u24_at(block, CHILDREN) != group || u24_at(block, TOKENS_BEFORE) != tokens {
                    return false;
                }
            }
            let token = self.bit(TOKEN, node);
            tokens += u32::from(token);
            if self.bit(INNER, node) {
                if group <= node {
                    return false;
                }
                match self.group_end(group, nodes) {
                    Some(end) => group = end,
                    None => return false,
                }
            } else if !token {
                return false;
            }
        }
        group == nodes && tokens == token_count
    }

    /// One past the last sibling of the group that begins at `start`.
    fn group_end(&self, start: u32, nodes: u32) -> Option<u32> {
        let limit = nodes.min(start.saturating_add(MAX_SIBLINGS));
        (start..limit)
            .find(|&node| self.bit(LAST, node))
            .map(|node| node + 1)
    }

    fn find_continuation(&self, prefix: &[u8]) -> Option<u32> {
        let mut group = 0;
        for &byte in prefix {
            let node = self.child(group, byte)?;
            group = self.children(node)?;
        }
        Some(group)
    }

    /// The longest token that `text` begins with: its length in bytes and the node that spells it.
    ///
    /// One walk; it remembers the last node that was a token.
    #[inline]
    pub(crate) fn longest_match(&self, start: Start, text: &[u8]) -> Option<(usize, u32)> {
        let mut group = match start {
            Start::Word => 0,
            Start::Continuation => self.continuation?,
        };
        let mut found = None;
        for (at, &byte) in text.iter().enumerate() {
            let Some(node) = self.child(group, byte) else {
                break;
            };
            if self.bit(TOKEN, node) {
                found = Some((at + 1, node));
            }
            match self.children(node) {
                Some(first) => group = first,
                None => break,
            }
        }
        found
    }

    /// The id of a token, from the node that spells it.
    #[inline]
    pub(crate) fn id(&self, node: u32) -> u32 {
        let block = self.block(node / BLOCK_NODES);
        u24_at(block, TOKENS_BEFORE) + rank(block, TOKEN, node % BLOCK_NODES)
    }

    /// Spells a token, back to front, into the end of `buffer`.
    pub(crate) fn spell<'b>(&self, id: u32, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut node = self.node_of(id)?;
        let mut at = buffer.len();
        loop {
            at = at.checked_sub(1)?;
            *buffer.get_mut(at)? = *self.labels.get(node as usize)?;
            match self.parent(node) {
                Some(parent) => node = parent,
                None => return buffer.get(at..),
            }
        }
    }

    /// The node that spells a token.
    fn node_of(&self, id: u32) -> Option<u32> {
        let index = self.last_block(|block| u24_at(block, TOKENS_BEFORE) <= id)?;
        let block = self.block(index);
        let within = select(block, TOKEN, id - u24_at(block, TOKENS_BEFORE))?;
        Some(index * BLOCK_NODES + within)
    }

    /// The parent of a node, or `None` for a child of the root.
    fn parent(&self, node: u32) -> Option<u32> {
        if u24_at(self.block(0), CHILDREN) > node {
            return None;
        }
        let index = self.last_block(|block| u24_at(block, CHILDREN) <= node)?;
        let block = self.block(index);
        let mut groups = 0;
        for sibling in u24_at(block, CHILDREN)..node {
            groups += u32::from(self.bit(LAST, sibling));
        }
        let within = select(block, INNER, groups)?;
        Some(index * BLOCK_NODES + within)
    }

    /// Index of the last block for which a monotone `test` holds.
    fn last_block(&self, test: impl Fn(&[u8]) -> bool) -> Option<u32> {
        let (mut low, mut high) = (0, (self.blocks.len() / BLOCK_LEN) as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            if test(self.block(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    /// The node with label `byte` in the group that begins at `group`.
    #[inline]
    fn child(&self, group: u32, byte: u8) -> Option<u32> {
        let mut node = group;
        loop {
            if *self.labels.get(node as usize)? == byte {
                return Some(node);
            }
            if self.bit(LAST, node) {
                return None;
            }
            node += 1;
        }
    }

    /// The first child of a node, or `None` for a leaf.
    #[inline]
    fn children(&self, node: u32) -> Option<u32> {
        if !self.bit(INNER, node) {
            return None;
        }
        let block = self.block(node / BLOCK_NODES);
        let groups = rank(block, INNER, node % BLOCK_NODES);
        Some(self.skip_groups(u24_at(block, CHILDREN), groups))
    }

    /// The node behind the next `groups` groups (at most 63), counted from `node`.
    #[inline]
    fn skip_groups(&self, mut node: u32, mut groups: u32) -> u32 {
        while groups > 0 {
            // What is left of the 32 last bits that `node` lies in, its own lowest.
            let word = word(self.block(node / BLOCK_NODES), LAST, node) >> (node % 32);
            let ones = word.count_ones();
            if ones < groups {
                groups -= ones;
                match (node | 31).checked_add(1) {
                    Some(next) if (next as usize) < self.labels.len() => node = next,
                    _ => return node,
                }
            } else {
                let mut rest = word;
                for _ in 1..groups {
                    rest &= rest.wrapping_sub(1);
                }
                return node + rest.trailing_zeros() + 1;
            }
        }
        node
    }

    #[inline]
    fn block(&self, index: u32) -> &'a [u8] {
        let at = index as usize * BLOCK_LEN;
        self.blocks.get(at..at + BLOCK_LEN).unwrap_or(&[])
    }

    #[inline]
    fn bit(&self, bits: usize, node: u32) -> bool {
        let at =
            (node / BLOCK_NODES) as usize * BLOCK_LEN + bits + (node % BLOCK_NODES / 8) as usize;
        self.blocks
            .get(at)
            .is_some_and(|byte| byte >> (node % 8) & 1 == 1)
    }
}

/// The 32 bits of a kind in which a node's bit lies.
#[inline]
fn word(block: &[u8], bits: usize, node: u32) -> u32 {
    u32_at(block, bits + (node % BLOCK_NODES / 32 * 4) as usize)
}

/// How many bits of a kind are set before position `within` of a block.
#[inline]
fn rank(block: &[u8], bits: usize, within: u32) -> u32 {
    let before = word(block, bits, within) & ((1 << (within % 32)) - 1);
    let full = if within >= 32 {
        word(block, bits, 0).count_ones()
    } else {
        0
    };
    full + before.count_ones()
}

/// Position of the set bit of a kind that has `before` set bits before it.
fn select(block: &[u8], bits: usize, mut before: u32) -> Option<u32> {
    for within in 0..BLOCK_NODES {
        if word(block, bits, within) >> (within % 32) & 1 == 1 {
            match before.checked_sub(1) {
                Some(left) => before = left,
                None => return Some(within),
            }
        }
    }
    None
}
