//! The trie of versions 1 and 2 of the format, in level order.
//!
//! Nodes are numbered level by level, siblings next to each other, the root left out. A node has
//! a label and three bits: *inner* (has children), *last* (of its siblings), *token* (the path to
//! it spells a token). Token ids are not stored: a token's id is the number of token bits before
//! its own.
//!
//! A label is a digit of 6 bits: the bytes that tokens have most of are one digit each, the others
//! two. In version 1 of the format a label is a byte.

use crate::bytes::{u24_at, u32_at};

use super::{Match, Start};

/// Nodes that one block describes.
const BLOCK_NODES: u32 = 64;
/// Bytes of a block's labels: for each half of its nodes six sets, one for each bit of a digit.
const LABELS_LEN: usize = 48;
/// Bytes of a block: bits of 64 nodes (inner, last, token), then two 24-bit numbers.
const BLOCK_LEN: usize = 30;
/// Offset of the inner bits in a block.
const INNER: usize = 0;
/// Offset of the last bits.
const LAST: usize = 8;
/// Offset of the token bits.
const TOKEN: usize = 16;
/// Offset of the number of the node where the children of the block's first inner node begin.
const CHILDREN: usize = 24;
/// Offset of the number of tokens before the block.
const TOKENS_BEFORE: usize = 27;
/// Most nodes of a trie, so that a node's number fits 24 bits.
const MAX_NODES: u32 = (1 << 24) - 1;
/// Digits from here on are the first of two; the second is always below.
const FIRST_OF_TWO: u8 = 60;

/// The digits that spell the byte of a rank.
#[inline]
const fn digits(rank: u8) -> (Option<u8>, u8) {
    match rank.checked_sub(FIRST_OF_TWO) {
        Some(rest) => (
            Some(FIRST_OF_TWO + rest / FIRST_OF_TWO),
            rest % FIRST_OF_TWO,
        ),
        None => (None, rank),
    }
}

/// The rank of the byte that digits spell, if they spell one.
fn byte_rank(first: Option<u8>, last: u8) -> Option<u8> {
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

/// The trie of an image, checked by [`Trie::new`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trie<'a> {
    labels: Labels<'a>,
    blocks: &'a [[u8; BLOCK_LEN]],
    /// First node of the group of pieces that continue a word.
    continuation: Option<u32>,
}

/// The labels of all nodes.
#[derive(Clone, Copy, Debug)]
enum Labels<'a> {
    /// Version 1.
    Bytes(&'a [u8]),
    Digits {
        /// Each byte's place among the bytes.
        ranks: &'a [u8; 256],
        /// For 32 nodes each: the sets of nodes whose digit has bit 0, 1, ..., 5.
        sets: &'a [[[u8; 4]; 6]],
    },
}

impl<'a> Trie<'a> {
    /// Checks a section and finds the node where continuation pieces start.
    pub(crate) fn new(
        section: &'a [u8],
        version: u16,
        token_count: u32,
        prefix: &str,
    ) -> Option<Self> {
        let nodes = u32_at(section, 0);
        let mut trie =
            Self::cut(section, version, nodes).filter(|trie| trie.is_sound(nodes, token_count))?;
        trie.continuation = trie.find_continuation(prefix);
        Some(trie)
    }

    /// Cuts a section into its parts.
    fn cut(section: &'a [u8], version: u16, nodes: u32) -> Option<Self> {
        if nodes == 0 || nodes > MAX_NODES {
            return None;
        }
        let block_count = nodes.div_ceil(BLOCK_NODES) as usize;
        let (labels, blocks) = if version == 1 {
            let (labels, blocks) = section.get(4..)?.split_at_checked(nodes as usize)?;
            (Labels::Bytes(labels), blocks)
        } else {
            let (ranks, body) = section.get(4..)?.split_first_chunk()?;
            let (labels, blocks) = body.split_at_checked(block_count * LABELS_LEN)?;
            let sets = labels.as_chunks().0.as_chunks().0;
            (Labels::Digits { ranks, sets }, blocks)
        };
        (blocks.len() == block_count * BLOCK_LEN).then_some(Self {
            labels,
            blocks: blocks.as_chunks().0,
            continuation: None,
        })
    }

    /// Every byte has a rank of its own. Then two cursors walk the level order side by side,
    /// `node` over all nodes and `group` over the groups of children that inner nodes own, in the
    /// same order. Since every group lies behind its owner, no walk can cycle; since groups have
    /// no more nodes than there are labels, no scan is longer. A node with the first digit of two
    /// is no token and has children with second digits only, so tokens end where bytes do.
    fn is_sound(&self, nodes: u32, token_count: u32) -> bool {
        let mut most_siblings = 256;
        if let Labels::Digits { ranks, .. } = self.labels {
            most_siblings = 64;
            if !(0..=u8::MAX).all(|rank| byte_of(ranks, rank).is_some()) {
                return false;
            }
        }
        let mut group = self.skip_groups(0, 1);
        if group > most_siblings {
            return false;
        }
        let mut tokens = 0_u32;
        for node in 0..nodes {
            if node % BLOCK_NODES == 0
                && (self.number(CHILDREN, node) != group
                    || self.number(TOKENS_BEFORE, node) != tokens)
            {
                return false;
            }
            let token = self.bit(TOKEN, node);
            tokens += u32::from(token);
            if !self.bit(INNER, node) {
                if !token || self.first_of_two(node).is_some() {
                    return false;
                }
                continue;
            }
            let mut children = group..self.skip_groups(group, 1);
            group = children.end;
            if children.start <= node || children.end - children.start > most_siblings {
                return false;
            }
            let first = self.first_of_two(node);
            if first.is_some()
                && (token || children.any(|node| byte_rank(first, self.label(node)).is_none()))
            {
                return false;
            }
        }
        // A group that is not ended within the nodes ends behind them.
        group == nodes && tokens == token_count
    }

    /// The group that continuation pieces begin in, behind `prefix`.
    fn find_continuation(&self, prefix: &str) -> Option<u32> {
        if prefix.is_empty() {
            return Some(0);
        }
        let (len, node) = self.walk(0, prefix.as_bytes(), true);
        if len == prefix.len() {
            self.children(node)
        } else {
            None
        }
    }

    /// The longest token that `text` begins with.
    #[inline(never)]
    pub(crate) fn longest_match(&self, start: Start, text: &[u8]) -> Match {
        let group = match (start, self.continuation) {
            (Start::Word, _) => 0,
            (Start::Continuation, Some(group)) => group,
            (Start::Continuation, None) => return (0, 0),
        };
        let (len, node) = self.walk(group, text, false);
        (
            len,
            self.number(TOKENS_BEFORE, node) + self.rank(TOKEN, node),
        )
    }

    /// Follows `text` from the group that begins at `group`: how far there is a token, or with
    /// `any` a node, and the last such node.
    fn walk(&self, mut group: u32, text: &[u8], any: bool) -> (usize, u32) {
        let mut found = (0, 0);
        for (at, &byte) in text.iter().enumerate() {
            let (mut label, last) = self.labels_of(byte);
            loop {
                let Some(node) = self.sibling(group, label) else {
                    return found;
                };
                let spelled = label == last;
                if spelled {
                    if any || self.bit(TOKEN, node) {
                        found = (at + 1, node);
                    }
                    if at + 1 == text.len() {
                        return found;
                    }
                }
                match self.children(node) {
                    Some(first) => group = first,
                    None => return found,
                }
                if spelled {
                    break;
                }
                label = last;
            }
        }
        found
    }

    /// The first and the last label that spell a byte; they may be the same.
    fn labels_of(&self, byte: u8) -> (u8, u8) {
        match self.labels {
            Labels::Bytes(_) => (byte, byte),
            Labels::Digits { ranks, .. } => {
                let rank = ranks.get(usize::from(byte)).copied().unwrap_or(0);
                let (first, last) = digits(rank);
                (first.unwrap_or(last), last)
            }
        }
    }

    /// Spells a token, back to front, into the end of `buffer`.
    pub(crate) fn spell<'b>(&self, id: u32, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut node = self.node_of(id)?;
        let mut at = buffer.len();
        loop {
            let mut byte = self.label(node);
            let mut above = self.parent(node);
            if let Labels::Digits { ranks, .. } = self.labels {
                let first = above.and_then(|above| self.first_of_two(above));
                if first.is_some() {
                    above = self.parent(above?);
                }
                let rank = byte_rank(first, byte)?;
                byte = byte_of(ranks, rank)?;
            }
            at = at.checked_sub(1)?;
            *buffer.get_mut(at)? = byte;
            match above {
                Some(above) => node = above,
                None => return buffer.get(at..),
            }
        }
    }

    /// The node that spells a token.
    fn node_of(&self, id: u32) -> Option<u32> {
        let first = self.last_block(|first| self.number(TOKENS_BEFORE, first) <= id)?;
        self.select(TOKEN, first, id - self.number(TOKENS_BEFORE, first))
    }

    /// The parent of a node, or `None` for a child of the root.
    fn parent(&self, node: u32) -> Option<u32> {
        if self.number(CHILDREN, 0) > node {
            return None;
        }
        let first = self.last_block(|first| self.number(CHILDREN, first) <= node)?;
        let mut groups = 0;
        for sibling in self.number(CHILDREN, first)..node {
            groups += u32::from(self.bit(LAST, sibling));
        }
        self.select(INNER, first, groups)
    }

    /// First node of the last block for whose first node a monotone `test` holds.
    fn last_block(&self, test: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut low, mut high) = (0, self.blocks.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            if test(middle * BLOCK_NODES) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low.checked_sub(1)? * BLOCK_NODES)
    }

    /// The node with a label in the group that begins at `group`.
    fn sibling(&self, group: u32, label: u8) -> Option<u32> {
        let mut node = group;
        while self.block(node).is_some() {
            if self.label(node) == label {
                return Some(node);
            }
            if self.bit(LAST, node) {
                return None;
            }
            node += 1;
        }
        None
    }

    /// The label of a node.
    #[inline(never)]
    fn label(&self, node: u32) -> u8 {
        match self.labels {
            Labels::Bytes(labels) => labels.get(node as usize).copied().unwrap_or(0),
            Labels::Digits { sets, .. } => {
                let sets = sets.get(node as usize / 32).copied().unwrap_or_default();
                sets.iter().rev().fold(0, |digit, set| {
                    digit << 1 | (u32::from_le_bytes(*set) >> (node % 32)) as u8 & 1
                })
            }
        }
    }

    /// The label of a node if it is the first digit of two.
    fn first_of_two(&self, node: u32) -> Option<u8> {
        match self.labels {
            Labels::Bytes(_) => None,
            Labels::Digits { .. } => Some(self.label(node)).filter(|&digit| digit >= FIRST_OF_TWO),
        }
    }

    /// The first child of a node, or `None` for a leaf.
    fn children(&self, node: u32) -> Option<u32> {
        if !self.bit(INNER, node) {
            return None;
        }
        Some(self.skip_groups(self.number(CHILDREN, node), self.rank(INNER, node)))
    }

    /// The node behind the next `groups` groups (at most 63), counted from `node`.
    fn skip_groups(&self, mut node: u32, mut groups: u32) -> u32 {
        while groups > 0 && self.block(node).is_some() {
            groups -= u32::from(self.bit(LAST, node));
            node += 1;
        }
        node
    }

    #[inline]
    fn block(&self, node: u32) -> Option<&'a [u8; BLOCK_LEN]> {
        self.blocks.get((node / BLOCK_NODES) as usize)
    }

    /// One of the two numbers of the node's block.
    #[inline(never)]
    fn number(&self, at: usize, node: u32) -> u32 {
        self.block(node).map_or(0, |block| u24_at(block, at))
    }

    #[inline(never)]
    fn bit(&self, bits: usize, node: u32) -> bool {
        self.block(node)
            .and_then(|block| block.get(bits + (node % BLOCK_NODES / 8) as usize))
            .is_some_and(|byte| byte >> (node % 8) & 1 == 1)
    }

    /// How many bits of a kind are set before the node's in its block.
    #[inline(never)]
    fn rank(&self, bits: usize, node: u32) -> u32 {
        let first = node - node % BLOCK_NODES;
        (first..node)
            .map(|node| u32::from(self.bit(bits, node)))
            .sum()
    }

    /// The node of the block that begins with `first` whose bit of a kind is set and has `before`
    /// set bits before it.
    fn select(&self, bits: usize, first: u32, mut before: u32) -> Option<u32> {
        for node in first..first + BLOCK_NODES {
            if self.bit(bits, node) {
                match before.checked_sub(1) {
                    Some(left) => before = left,
                    None => return Some(node),
                }
            }
        }
        None
    }
}

/// The byte that has a rank.
fn byte_of(ranks: &[u8; 256], rank: u8) -> Option<u8> {
    let byte = ranks.iter().position(|&other| other == rank)?;
    Some(byte as u8)
}
