//! The vocabulary: a trie in preorder, read in place.
//!
//! A node is a byte: a digit of 5 bits, and whether it is *inner* (has children), the last of its
//! siblings, and a *token* (the path to it spells one). Its children follow it, then its next
//! sibling. An inner node that is not the last of its siblings has the *extent* of its subtree,
//! bytes and tokens, before its children, so that a walk can pass it by. No id is stored: a
//! token's id is the number of tokens before it, which a walk has counted when it gets there.
//!
//! Every byte that tokens have has a code. The codes of those they have most of are one digit,
//! the others two. For each code the section says where the walk of a word and that of a
//! continuation piece are after it, since those two groups are the widest.

use crate::bytes::u24;
use crate::error::{Error, Part};

pub mod layout;
#[cfg(feature = "old-formats")]
mod levels;

use layout::{DIGIT, EXTENT, INNER, LAST_LEAF, LONG, MEDIUM, NO_CODE, SHORT, TOKEN};

/// The vocabulary of an image, checked by [`Vocabulary::new`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vocabulary<'a> {
    Preorder(Trie<'a>),
    /// Versions 1 and 2 of the format. Codes are the bytes themselves.
    #[cfg(feature = "old-formats")]
    Levels(levels::Trie<'a>),
}

/// Where a walk starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Word,
    Continuation,
}

/// The longest token found: the codes it takes, 0 if there is none, and its id.
pub(crate) type Match = (usize, u32);

impl<'a> Vocabulary<'a> {
    /// Checks a section, also that continuation pieces start behind `prefix`.
    pub(crate) fn new(
        section: &'a [u8],
        version: u16,
        token_count: u32,
        prefix: &str,
    ) -> Result<Self, Error> {
        let trie = match version {
            #[cfg(feature = "old-formats")]
            ..3 => levels::Trie::new(section, version, token_count, prefix).map(Self::Levels),
            _ => Trie::new(section, token_count, prefix).map(Self::Preorder),
        };
        trie.ok_or(Error::Damaged(Part::Vocabulary))
    }

    /// Whether the character map of the image gives codes of this vocabulary for ASCII.
    #[inline]
    pub(crate) const fn codes_ascii(&self) -> bool {
        matches!(self, Self::Preorder(_))
    }

    /// The code of a byte.
    #[inline]
    pub(crate) fn code(&self, byte: u8) -> u8 {
        match self {
            Self::Preorder(trie) => trie.code(byte),
            #[cfg(feature = "old-formats")]
            Self::Levels(_) => byte,
        }
    }

    /// The longest token that `codes` begin with.
    #[inline]
    pub(crate) fn longest_match(&self, start: Start, codes: &[u8]) -> Match {
        match self {
            Self::Preorder(trie) => trie.longest_match(start, codes),
            #[cfg(feature = "old-formats")]
            Self::Levels(trie) => trie.longest_match(start, codes),
        }
    }

    /// Spells a token somewhere in `buffer`.
    pub(crate) fn spell<'b>(&self, id: u32, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        match self {
            Self::Preorder(trie) => trie.spell(id, buffer),
            #[cfg(feature = "old-formats")]
            Self::Levels(trie) => trie.spell(id, buffer),
        }
    }
}

/// The trie of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trie<'a> {
    /// The code of each byte.
    codes: &'a [u8; layout::CODES_LEN],
    /// Where a word is after its first code, from the least code on, and a continuation piece.
    starts: [&'a [NodeStart]; 2],
    /// The nodes and their padding.
    nodes: &'a [u8],
}

type NodeStart = [u8; layout::START_LEN];

/// A place among the nodes: what follows, and the tokens before.
#[derive(Clone, Copy, Debug, Default)]
struct Place<'a> {
    rest: &'a [u8],
    tokens: u32,
}

/// A group of siblings that a pass over the nodes is inside of.
#[derive(Clone, Copy, Default)]
struct Group {
    /// The digits of its nodes so far.
    digits: u32,
    /// The digit above it, if that is the first of two.
    first: Option<u8>,
}

/// An extent that has begun: what is left of the nodes behind it, the tokens before that, and the
/// group that goes on there.
#[derive(Clone, Copy, Default)]
struct Open {
    left: usize,
    tokens: u32,
    group: Group,
}

impl<'a> Trie<'a> {
    fn new(section: &'a [u8], token_count: u32, prefix: &str) -> Option<Self> {
        let (codes, rest) = section.split_first_chunk()?;
        let starts_len = layout::START_LEN * code_count(codes)?;
        let (words, rest) = rest.split_at_checked(starts_len)?;
        let (continuations, nodes) = rest.split_at_checked(starts_len)?;
        let trie = Self {
            codes,
            starts: [words.as_chunks().0, continuations.as_chunks().0],
            nodes,
        };
        (nodes.len() <= layout::MAX_NODES_LEN
            && trie.checked_token_count() == Some(token_count)
            && trie.starts_are_sound(Start::Word, Some(trie.root()))
            && trie.starts_are_sound(Start::Continuation, trie.group_behind(prefix)))
        .then_some(trie)
    }

    /// The number of tokens, if the nodes are sound.
    ///
    /// One pass, with a stack of the extents that have begun: the last node of a group ends the
    /// innermost of them, exactly there. So every extent leads to a sibling, no group has a digit
    /// twice (and so no more than 32 nodes), tokens end where bytes do, and a walk has always
    /// counted fewer tokens than there are.
    fn checked_token_count(&self) -> Option<u32> {
        let mut open = [Open::default(); layout::MAX_OPEN];
        let mut depth = 0_usize;
        let mut group = Group::default();
        let (mut rest, mut tokens) = (self.nodes, 0);
        loop {
            let node = rest.first_chunk()?;
            let digit = node[0] & DIGIT;
            let first_of_two = group.first.is_none() && layout::is_first_of_two(digit);
            let sound = match group.first {
                Some(_) => layout::code(group.first, digit).is_some(),
                None => !first_of_two || (is(node, INNER) && !is(node, TOKEN)),
            };
            if group.digits >> digit & 1 != 0 || !sound {
                return None;
            }
            group.digits |= 1 << digit;
            if is(node, EXTENT) {
                let next = Place { rest, tokens }.next()?;
                *open.get_mut(depth)? = Open {
                    left: next.rest.len(),
                    tokens: next.tokens,
                    group,
                };
                depth += 1;
            }
            tokens += u32::from(is(node, TOKEN) || !is(node, INNER));
            rest = rest.get(children_at(node)..)?;
            if is(node, INNER) {
                group = Group {
                    digits: 0,
                    first: first_of_two.then_some(digit),
                };
            } else if is(node, EXTENT) {
                return None;
            } else if is(node, LAST_LEAF) {
                let Some(above) = depth.checked_sub(1) else {
                    return (rest.len() == layout::PADDING).then_some(tokens);
                };
                depth = above;
                let ended = open.get(above)?;
                if (ended.left, ended.tokens) != (rest.len(), tokens) {
                    return None;
                }
                group = ended.group;
            }
        }
    }

    /// What the starts say is what a search of the group finds.
    fn starts_are_sound(&self, start: Start, group: Option<Place<'a>>) -> bool {
        let starts = self.starts_of(start);
        (layout::FIRST_CODE..).zip(starts).all(|(code, start)| {
            let (at, tokens) = match group.and_then(|group| group.find_code(code)) {
                Some(found) => ((self.nodes.len() - found.rest.len()) as u32, found.tokens),
                None => (layout::NO_NODE, 0),
            };
            let ([a, b, c, _], [d, e, f, _]) = (at.to_le_bytes(), tokens.to_le_bytes());
            *start == [a, b, c, d, e, f]
        })
    }

    const fn root(&self) -> Place<'a> {
        Place {
            rest: self.nodes,
            tokens: 0,
        }
    }

    /// The group of the nodes behind a prefix of tokens.
    fn group_behind(&self, prefix: &str) -> Option<Place<'a>> {
        prefix.bytes().try_fold(self.root(), |group, byte| {
            group.find_code(self.code(byte))?.children()
        })
    }

    #[inline]
    fn code(&self, byte: u8) -> u8 {
        self.codes
            .get(usize::from(byte))
            .copied()
            .unwrap_or(NO_CODE)
    }

    /// Follows the codes from one node to the next; the last token on the way is the longest.
    #[inline(never)]
    fn longest_match(&self, start: Start, codes: &[u8]) -> Match {
        let mut found = (0, 0);
        let Some((mut rest, mut tokens)) = codes.first().and_then(|&code| self.start(start, code))
        else {
            return found;
        };
        let Some(mut node) = rest.first_chunk() else {
            return found;
        };
        let mut len = 1;
        loop {
            if !is(node, INNER) {
                return (len, tokens);
            }
            if is(node, TOKEN) {
                found = (len, tokens);
                tokens += 1;
            }
            let Some(&code) = codes.get(len) else {
                return found;
            };
            let Some(children) = rest.get(children_at(node)..) else {
                return found;
            };
            let mut group = Place {
                rest: children,
                tokens,
            };
            if code >= layout::FIRST_PAIR {
                let Some(below) = first_digit(children, tokens, code) else {
                    return found;
                };
                group = below;
            }
            len += 1;
            match search(group, code) {
                Some((place, chunk)) => (rest, tokens, node) = (place.rest, place.tokens, chunk),
                None => return found,
            }
        }
    }

    #[inline(always)]
    fn starts_of(&self, start: Start) -> &'a [NodeStart] {
        let [words, continuations] = self.starts;
        match start {
            Start::Word => words,
            Start::Continuation => continuations,
        }
    }

    /// The node of the first code.
    #[inline(always)]
    fn start(&self, start: Start, code: u8) -> Option<(&'a [u8], u32)> {
        let index = usize::from(code).wrapping_sub(usize::from(layout::FIRST_CODE));
        let &[a, b, c, d, e, f] = self.starts_of(start).get(index)?;
        let rest = self.nodes.get(u24([a, b, c]) as usize..)?;
        Some((rest, u24([d, e, f])))
    }

    /// Goes down by the tokens before each node.
    fn spell<'b>(&self, id: u32, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut len = 0;
        let mut first = None;
        let mut place = self.root();
        loop {
            let node = *place.rest.first()?;
            if let Some(next) = place.next()
                && next.tokens <= id
            {
                place = next;
                continue;
            }
            let digit = node & DIGIT;
            if first.is_none() && layout::is_first_of_two(digit) {
                first = Some(digit);
            } else {
                let code = layout::code(first.take(), digit)?;
                *buffer.get_mut(len)? = self.codes.iter().position(|&other| other == code)? as u8;
                len += 1;
            }
            if place.tokens == id && (node & INNER == 0 || node & TOKEN != 0) {
                return buffer.get(..len);
            }
            place = place.children()?;
        }
    }
}

impl<'a> Place<'a> {
    /// The node with a digit, in the group that begins here.
    #[inline(never)]
    fn find(self, digit: u8) -> Option<Self> {
        let mut place = self;
        while (*place.rest.first()? ^ digit) & DIGIT != 0 {
            place = place.next()?;
        }
        Some(place)
    }

    /// The node that a code leads to, in the group that begins here.
    fn find_code(self, code: u8) -> Option<Self> {
        if code < layout::FIRST_PAIR {
            self.find(code)
        } else {
            first_digit(self.rest, self.tokens, code)?.find(code & DIGIT)
        }
    }

    /// The group of the children of the node here.
    #[inline(never)]
    fn children(self) -> Option<Self> {
        let node = self.rest.first_chunk()?;
        if !is(node, INNER) {
            return None;
        }
        Some(Self {
            rest: self.rest.get(children_at(node)..)?,
            tokens: self.tokens + u32::from(is(node, TOKEN)),
        })
    }

    /// The next sibling of the node here.
    #[inline(never)]
    fn next(self) -> Option<Self> {
        let (step, tokens) = subtree(self.rest.first_chunk()?)?;
        Some(Self {
            rest: self.rest.get(step..)?,
            tokens: self.tokens + tokens,
        })
    }
}

/// A node and what may be its extent.
type Chunk = [u8; layout::PADDING + 1];

/// Whether a bit of a node is set.
#[inline(always)]
fn is(&[node, ..]: &Chunk, bit: u8) -> bool {
    // In a word, for which processors have an instruction to test a bit.
    u32::from(node) & u32::from(bit) != 0
}

/// The node with the digit in the lower bits of `code`, in the group that begins at `place`.
#[inline(always)]
fn search(
    Place {
        mut rest,
        mut tokens,
    }: Place<'_>,
    code: u8,
) -> Option<(Place<'_>, &Chunk)> {
    loop {
        let node: &Chunk = rest.first_chunk()?;
        if (u32::from(node[0]) ^ u32::from(code)) & u32::from(DIGIT) == 0 {
            return Some((Place { rest, tokens }, node));
        }
        let (step, more) = subtree(node)?;
        rest = rest.get(step..)?;
        tokens += more;
    }
}

/// The group behind the first digit of a code of two, in the group that begins with `rest`.
#[inline(never)]
fn first_digit(rest: &[u8], tokens: u32, code: u8) -> Option<Place<'_>> {
    let group = Place { rest, tokens };
    group.find(layout::digits(code).0?)?.children()
}

/// Bytes and tokens of a node with all below it, or `None` for the last of its siblings.
#[inline(always)]
fn subtree(node: &Chunk) -> Option<(usize, u32)> {
    let head = node[1];
    if is(node, EXTENT) {
        let &[_, _, a, b, c, d, e, f] = node;
        Some(if head >= SHORT {
            (2 + usize::from(head & 31), u32::from(head >> 5))
        } else if head < MEDIUM {
            (3 + usize::from(a), u32::from(head))
        } else if head == MEDIUM {
            let [len, tokens] = [[a, b], [c, d]].map(u16::from_le_bytes);
            (6 + usize::from(len), u32::from(tokens))
        } else {
            (8 + u24([a, b, c]) as usize, u24([d, e, f]))
        })
    } else if is(node, INNER | LAST_LEAF) {
        None
    } else {
        Some((1, 1))
    }
}

/// How far behind an inner node its children are.
#[inline(always)]
fn children_at(node: &Chunk) -> usize {
    if !is(node, EXTENT) {
        1
    } else {
        match node[1] {
            LONG => 8,
            MEDIUM => 6,
            SHORT.. => 2,
            _ => 3,
        }
    }
}

/// How many bytes have a code: each its own, from the least on without a gap.
fn code_count(codes: &[u8; layout::CODES_LEN]) -> Option<usize> {
    let mut seen = [false; 256];
    let (mut count, mut most) = (0, 0);
    for &code in codes.iter().filter(|&&code| code != NO_CODE) {
        let seen = seen.get_mut(usize::from(code))?;
        if core::mem::replace(seen, true) || code < layout::FIRST_CODE {
            return None;
        }
        count += 1;
        most = most.max(usize::from(code - layout::FIRST_CODE) + 1);
    }
    (most == count).then_some(count)
}
