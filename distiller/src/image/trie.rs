//! Building the vocabulary trie of an image.

use flashvec::vocabulary_layout as layout;

use crate::error::{Error, Result};

/// A trie section, and the order it puts the tokens in.
#[derive(Clone, Debug)]
pub struct Trie {
    /// The section's bytes.
    pub section: Vec<u8>,
    /// For each id of the image, the id that the token had before.
    pub order: Vec<u32>,
}

#[derive(Default)]
struct Node {
    children: Vec<(u8, usize)>,
    token: Option<u32>,
    /// How often text passes through, by Zipf's law over token ids.
    weight: f64,
}

impl Trie {
    /// Builds the trie of a vocabulary, by id. A lower id is taken for a more frequent token.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] if two tokens are equal or the trie has too many nodes.
    pub fn build(tokens: &[String]) -> Result<Self> {
        let ranks = ranks(&insert_all(tokens, |byte| (None, byte))?);
        let mut nodes = insert_all(tokens, |byte| layout::digits(ranks[usize::from(byte)]))?;
        if nodes.len() - 1 > layout::MAX_NODES as usize {
            return Err(Error::Tokenizer {
                what: format!(
                    "the vocabulary needs {} trie nodes, an image holds {}",
                    nodes.len() - 1,
                    layout::MAX_NODES
                ),
            });
        }
        // The likeliest siblings first: a walk looks at 32 at a time, in order.
        for at in 0..nodes.len() {
            let mut children = std::mem::take(&mut nodes[at].children);
            children.sort_by(|a, b| {
                nodes[b.1]
                    .weight
                    .total_cmp(&nodes[a.1].weight)
                    .then(a.0.cmp(&b.0))
            });
            nodes[at].children = children;
        }
        Ok(write(&ranks, &nodes))
    }
}

/// The rank of every byte: first the byte that most edges of a trie over bytes carry.
fn ranks(nodes: &[Node]) -> [u8; 256] {
    let mut edges = [0_usize; 256];
    for node in nodes {
        for &(byte, _) in &node.children {
            edges[usize::from(byte)] += 1;
        }
    }
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.sort_by_key(|&byte| std::cmp::Reverse(edges[usize::from(byte)]));
    let mut ranks = [0; 256];
    for (rank, byte) in (0..=255).zip(bytes) {
        ranks[usize::from(byte)] = rank;
    }
    ranks
}

/// The trie of all tokens over the labels that `spell` gives for each byte.
fn insert_all(tokens: &[String], spell: impl Fn(u8) -> (Option<u8>, u8)) -> Result<Vec<Node>> {
    let mut nodes = vec![Node::default()];
    for (id, token) in tokens.iter().enumerate() {
        let weight = 1.0 / (id as f64 + 2.0);
        let mut at = 0;
        let labels = token.bytes().flat_map(|byte| {
            let (first, last) = spell(byte);
            first.into_iter().chain([last])
        });
        for label in labels {
            nodes[at].weight += weight;
            at = match nodes[at].children.iter().find(|child| child.0 == label) {
                Some(&(_, child)) => child,
                None => {
                    let child = nodes.len();
                    nodes[at].children.push((label, child));
                    nodes.push(Node::default());
                    child
                }
            };
        }
        nodes[at].weight += weight;
        if nodes[at].token.replace(id as u32).is_some() {
            return Err(Error::Tokenizer {
                what: format!("token {token:?} is in the vocabulary twice"),
            });
        }
    }
    Ok(nodes)
}

fn write(ranks: &[u8; 256], nodes: &[Node]) -> Trie {
    // Level order; the root has no entry of its own.
    let mut level_order: Vec<(u8, usize, bool)> = Vec::with_capacity(nodes.len() - 1);
    let push_group = |out: &mut Vec<(u8, usize, bool)>, node: &Node| {
        let last = node.children.len().wrapping_sub(1);
        out.extend(
            node.children
                .iter()
                .enumerate()
                .map(|(i, &(label, child))| (label, child, i == last)),
        );
    };
    push_group(&mut level_order, &nodes[0]);
    let mut at = 0;
    while at < level_order.len() {
        let node = level_order[at].1;
        push_group(&mut level_order, &nodes[node]);
        at += 1;
    }

    let mut section = Vec::new();
    section.extend((level_order.len() as u32).to_le_bytes());
    section.extend(ranks);
    for block in level_order.chunks(layout::BLOCK_NODES as usize) {
        let (low, high) = block.split_at(block.len().min(32));
        for half in [low, high] {
            for bit in 0..6 {
                let set = half
                    .iter()
                    .rev()
                    .fold(0, |set, (digit, ..)| set << 1 | u32::from(digit >> bit & 1));
                section.extend(set.to_le_bytes());
            }
        }
    }
    let mut order = Vec::new();
    let mut children_from = nodes[0].children.len();
    for block in level_order.chunks(layout::BLOCK_NODES as usize) {
        let (mut inner, mut last, mut token) = (0_u64, 0_u64, 0_u64);
        let (children, tokens_before) = (children_from, order.len());
        for (bit, &(_, index, is_last)) in block.iter().enumerate() {
            let node = &nodes[index];
            inner |= u64::from(!node.children.is_empty()) << bit;
            last |= u64::from(is_last) << bit;
            token |= u64::from(node.token.is_some()) << bit;
            children_from += node.children.len();
            order.extend(node.token);
        }
        section.extend(inner.to_le_bytes());
        section.extend(last.to_le_bytes());
        section.extend(token.to_le_bytes());
        section.extend_from_slice(&(children as u32).to_le_bytes()[..3]);
        section.extend_from_slice(&(tokens_before as u32).to_le_bytes()[..3]);
    }
    Trie { section, order }
}
