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
    /// The code of each byte.
    pub codes: [u8; 256],
}

#[derive(Default)]
struct Node {
    children: Vec<(u8, usize)>,
    token: Option<u32>,
    /// How often text passes through, by Zipf's law over the ids of words and pieces.
    weight: f64,
    /// Bytes of all nodes below.
    len: usize,
    /// Tokens of this node and all below.
    tokens: usize,
    /// Most extents that are open at once below.
    open: usize,
}

impl Trie {
    /// Builds the trie of a vocabulary, by id, whose continuation pieces begin with `prefix`. A
    /// lower id is taken for a more frequent token.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] if two tokens are equal or the trie is too large.
    pub fn build(tokens: &[String], prefix: &str) -> Result<Self> {
        let codes = codes(&insert_all(tokens, prefix, |byte| (None, byte))?);
        let mut nodes = insert_all(tokens, prefix, |byte| {
            layout::digits(codes[usize::from(byte)])
        })?;
        // The likeliest siblings first: a walk passes by those before the one it looks for.
        sort_siblings(&mut nodes, |node| node.weight);
        measure(&mut nodes);
        if nodes[0].open > layout::MAX_OPEN {
            // With the largest subtree last, every open extent at least doubles the tokens.
            sort_siblings(&mut nodes, |node| -(node.tokens as f64));
            measure(&mut nodes);
        }
        if nodes[0].len + layout::PADDING > layout::MAX_NODES_LEN {
            return Err(Error::Tokenizer {
                what: format!(
                    "the vocabulary needs {} bytes of trie nodes, an image holds {}",
                    nodes[0].len,
                    layout::MAX_NODES_LEN
                ),
            });
        }
        let (body, order, places) = write_nodes(&nodes);
        let mut section = codes.to_vec();
        let continuations = prefix.bytes().try_fold(0, |node, byte| {
            child(&nodes, node, codes[usize::from(byte)])
        });
        let code_count = codes
            .iter()
            .filter(|&&code| code != layout::NO_CODE)
            .count();
        for group in [Some(0), continuations] {
            for code in (layout::FIRST_CODE..).take(code_count) {
                let (at, before) = match group.and_then(|node| child(&nodes, node, code)) {
                    Some(child) => places[child],
                    None => (layout::NO_NODE as usize, 0),
                };
                section.extend(u24(at));
                section.extend(u24(before));
            }
        }
        section.extend(body);
        section.extend([0; layout::PADDING]);
        Ok(Self {
            section,
            order,
            codes,
        })
    }
}

/// The code of every byte: the lowest for the byte that most edges of a trie over bytes carry.
fn codes(nodes: &[Node]) -> [u8; 256] {
    let mut edges = [0_usize; 256];
    for node in nodes {
        for &(byte, _) in &node.children {
            edges[usize::from(byte)] += 1;
        }
    }
    // UTF-8 never uses 13 of the bytes: there are enough codes.
    let mut bytes: Vec<u8> = (0..=255)
        .filter(|&byte| edges[usize::from(byte)] > 0)
        .collect();
    bytes.sort_by_key(|&byte| std::cmp::Reverse(edges[usize::from(byte)]));
    let mut codes = [layout::NO_CODE; 256];
    for (code, byte) in (layout::FIRST_CODE..layout::NO_CODE).zip(bytes) {
        codes[usize::from(byte)] = code;
    }
    codes
}

/// The node that a code leads to.
fn child(nodes: &[Node], parent: usize, code: u8) -> Option<usize> {
    let (first, last) = layout::digits(code);
    first
        .into_iter()
        .chain([last])
        .try_fold(parent, |at, digit| {
            let found = nodes[at].children.iter().find(|child| child.0 == digit);
            found.map(|&(_, child)| child)
        })
}

/// The trie of all tokens over the labels that `spell` gives for each byte.
fn insert_all(
    tokens: &[String],
    prefix: &str,
    spell: impl Fn(u8) -> (Option<u8>, u8),
) -> Result<Vec<Node>> {
    let mut nodes = vec![Node::default()];
    let mut words = 0.0;
    for (id, token) in tokens.iter().enumerate() {
        let body = token.strip_prefix(prefix).unwrap_or(token);
        // Reserved tokens and single characters come first by id, but not by frequency; siblings
        // that only lead to such are in the order of their digits, so of their bytes' frequency.
        let weight = if body.chars().nth(1).is_some() && body.chars().all(char::is_alphanumeric) {
            words += 1.0;
            1.0 / (words + 2.0)
        } else {
            0.0
        };
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

/// Puts siblings in order, those with the highest `rank` first.
fn sort_siblings(nodes: &mut [Node], rank: impl Fn(&Node) -> f64) {
    for at in 0..nodes.len() {
        let mut children = std::mem::take(&mut nodes[at].children);
        children.sort_by(|a, b| {
            rank(&nodes[b.1])
                .total_cmp(&rank(&nodes[a.1]))
                .then(a.0.cmp(&b.0))
        });
        nodes[at].children = children;
    }
}

/// Whether the extent of a child's subtree is written: if it has one and a sibling behind it.
fn has_extent(nodes: &[Node], parent: usize, nth: usize) -> bool {
    let children = &nodes[parent].children;
    nth + 1 < children.len() && !nodes[children[nth].1].children.is_empty()
}

/// Measures all subtrees. Children have higher numbers than their parents.
fn measure(nodes: &mut [Node]) {
    for at in (0..nodes.len()).rev() {
        let (mut len, mut open) = (0, 0);
        let mut tokens = usize::from(nodes[at].token.is_some());
        for (nth, &(_, child)) in nodes[at].children.iter().enumerate() {
            let below = &nodes[child];
            len += 1 + below.len;
            tokens += below.tokens;
            if has_extent(nodes, at, nth) {
                len += layout::extent_len(below.len, below.tokens);
                open = open.max(below.open + 1);
            } else {
                open = open.max(below.open);
            }
        }
        nodes[at].len = len;
        nodes[at].open = open;
        nodes[at].tokens = tokens;
    }
}

/// The bytes of all nodes, the tokens in their order, and for each node its place and the tokens
/// before it.
fn write_nodes(nodes: &[Node]) -> (Vec<u8>, Vec<u32>, Vec<(usize, usize)>) {
    let (mut body, mut order) = (Vec::new(), Vec::new());
    let mut places = vec![(0, 0); nodes.len()];
    // Groups that have begun: their parent and how many of its children are written.
    let mut groups = vec![(0, 0)];
    while let Some((parent, nth)) = groups.pop() {
        let Some(&(digit, at)) = nodes[parent].children.get(nth) else {
            continue;
        };
        groups.extend([(parent, nth + 1), (at, 0)]);
        places[at] = (body.len(), order.len());
        let node = &nodes[at];
        let is_last = nth + 1 == nodes[parent].children.len();
        let token = if node.token.is_some() {
            layout::TOKEN
        } else {
            0
        };
        if has_extent(nodes, parent, nth) {
            body.push(digit | layout::EXTENT | layout::INNER | token);
            body.extend(extent(node.len, node.tokens));
        } else if !node.children.is_empty() {
            body.push(digit | layout::INNER | token);
        } else {
            body.push(digit | if is_last { layout::LAST_LEAF } else { 0 });
        }
        order.extend(node.token);
    }
    (body, order, places)
}

fn extent(len: usize, tokens: usize) -> Vec<u8> {
    match layout::extent_len(len, tokens) {
        1 => vec![(tokens << 5 | len) as u8],
        2 => vec![tokens as u8, len as u8],
        5 => [layout::MEDIUM]
            .into_iter()
            .chain(u24(len).take(2))
            .chain(u24(tokens).take(2))
            .collect(),
        _ => [layout::LONG]
            .into_iter()
            .chain(u24(len))
            .chain(u24(tokens))
            .collect(),
    }
}

fn u24(number: usize) -> impl Iterator<Item = u8> {
    (number as u32).to_le_bytes().into_iter().take(3)
}
