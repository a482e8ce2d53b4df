//! What a text's bytes do to words, 64 bytes at a time.

use crate::charmap::layout;
use crate::rows::Plain;
use crate::tokenize::Tokenizer;

/// Bytes of text that are looked at together.
pub(super) const BLOCK: usize = 64;

/// Part of a word. What is not ASCII too, whatever the character map makes of it.
const WORD: u8 = 1;
/// ASCII, and a word of its own.
const ISOLATE: u8 = 2;
/// An added token may begin with it.
const ADDED: u8 = 4;

/// The class of every byte; one that is of none breaks words.
#[derive(Clone, Debug)]
pub(super) struct ByteClasses {
    classes: [u8; 256],
    /// For each class: bit `h` of entry `l` is set if the ASCII byte 16 `h` + `l` is of the class.
    #[cfg(target_arch = "x86_64")]
    rows: [[u8; 16]; 3],
    /// Classes of bytes that are not ASCII, as a whole: more of [`ADDED`] than there is.
    #[cfg(target_arch = "x86_64")]
    not_ascii: u8,
}

/// The bytes of a block that are of a class, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    pub(super) word: u64,
    pub(super) isolate: u64,
    /// Where an added token may begin.
    pub(super) added: u64,
}

impl Masks {
    /// The same bytes, the first `count` of them left out.
    #[inline(always)]
    fn skip(self, count: u32) -> Self {
        Self {
            word: self.word.unbounded_shr(count),
            isolate: self.isolate.unbounded_shr(count),
            added: self.added.unbounded_shr(count),
        }
    }
}

/// How a machine classifies.
pub(super) trait Classify {
    fn block(&self, classes: &ByteClasses, block: &[u8; BLOCK]) -> Masks;
}

impl ByteClasses {
    pub(super) fn new(tokenizer: &Tokenizer<'_>) -> Self {
        let mut classes = [WORD; 256];
        for (byte, class) in (0..=u8::MAX).zip(&mut classes) {
            if byte.is_ascii() {
                *class = match tokenizer.char_map.ascii(byte) {
                    layout::ASCII_BREAK => 0,
                    layout::ASCII_ISOLATE => ISOLATE,
                    _ => WORD,
                };
            }
            if tokenizer.added_tokens.may_begin_with(byte) {
                *class |= ADDED;
            }
        }
        Self::of(classes)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn of(classes: [u8; 256]) -> Self {
        Self { classes }
    }

    #[cfg(target_arch = "x86_64")]
    fn of(classes: [u8; 256]) -> Self {
        let (ascii, not_ascii) = classes.split_at(128);
        let rows = [WORD, ISOLATE, ADDED].map(|class| {
            let mut rows = [0; 16];
            for (high, line) in ascii.chunks(16).enumerate() {
                for (row, of) in rows.iter_mut().zip(line) {
                    *row |= u8::from(of & class != 0) << high;
                }
            }
            rows
        });
        Self {
            classes,
            rows,
            not_ascii: not_ascii.iter().fold(0, |all, of| all | of),
        }
    }

    #[inline]
    fn class(&self, byte: u8) -> u8 {
        let class = self.classes.get(usize::from(byte));
        class.copied().unwrap_or(WORD)
    }

    #[inline]
    pub(super) fn is_word(&self, byte: u8) -> bool {
        self.class(byte) & WORD != 0
    }

    #[inline]
    pub(super) fn may_begin_added_token(&self, byte: u8) -> bool {
        self.class(byte) & ADDED != 0
    }

    /// The classes of the 64 bytes from `base` on; nothing behind the end of the text.
    #[inline(always)]
    pub(super) fn masks(&self, classify: &impl Classify, text: &[u8], base: usize) -> Masks {
        let rest = text.get(base..).unwrap_or(&[]);
        if let Some(block) = rest.first_chunk() {
            return classify.block(self, block);
        }
        let behind = BLOCK - rest.len();
        if let Some(block) = text.last_chunk() {
            return classify.block(self, block).skip(behind as u32);
        }
        let mut block = [0; BLOCK];
        if let Some((_, end)) = block.split_at_mut_checked(behind) {
            end.copy_from_slice(rest);
        }
        classify.block(self, &block).skip(behind as u32)
    }
}

/// Any machine: a table.
impl Classify for Plain {
    #[inline]
    fn block(&self, classes: &ByteClasses, block: &[u8; BLOCK]) -> Masks {
        // The lowest bit of each byte, as one byte: it comes to bit 56 and above, and no two meet.
        let pack =
            |bytes: u64| (bytes & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        let mut masks = Masks {
            word: 0,
            isolate: 0,
            added: 0,
        };
        for eight in block.as_chunks::<8>().0.iter().rev() {
            let of = eight
                .iter()
                .rev()
                .fold(0, |of, &byte| of << 8 | u64::from(classes.class(byte)));
            masks.word = masks.word << 8 | pack(of);
            masks.isolate = masks.isolate << 8 | pack(of >> ISOLATE.trailing_zeros());
            masks.added = masks.added << 8 | pack(of >> ADDED.trailing_zeros());
        }
        masks
    }
}

// The low half of a byte chooses its row of the table, the high half the bit in it. Closures would not be
// compiled with these instructions, so there are none.

#[cfg(target_arch = "x86_64")]
impl ByteClasses {
    /// Adds what all bytes that are not ASCII are taken for.
    #[inline(always)]
    fn with_not_ascii(&self, [word, isolate, added]: [u64; 3], not_ascii: u64) -> Masks {
        let may_be_added = if self.not_ascii & ADDED == 0 {
            0
        } else {
            not_ascii
        };
        Masks {
            word: word | not_ascii,
            isolate,
            added: added | may_be_added,
        }
    }
}

/// The bit of a row, by the high half of a byte; none where the byte is not ASCII.
#[cfg(target_arch = "x86_64")]
const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0];

#[cfg(target_arch = "x86_64")]
impl Classify for pulp::x86::V3 {
    #[inline(always)]
    fn block(&self, classes: &ByteClasses, block: &[u8; BLOCK]) -> Masks {
        let [low, high]: [[u8; 32]; 2] = bytemuck::cast(*block);
        let (low, high) = (half(*self, classes, low), half(*self, classes, high));
        let both = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        classes.with_not_ascii(
            [
                both(low[0], high[0]),
                both(low[1], high[1]),
                both(low[2], high[2]),
            ],
            both(low[3], high[3]),
        )
    }
}

/// Of 32 bytes: masks of the classes, and of what is not ASCII.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn half(simd: pulp::x86::V3, classes: &ByteClasses, bytes: [u8; 32]) -> [u32; 4] {
    use bytemuck::cast;
    let avx2 = simd.avx2;
    let bytes = cast(bytes);
    let high = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(bytes), cast([0x0F_u8; 32]));
    let bit = avx2._mm256_shuffle_epi8(cast([BITS; 2]), high);
    let mut masks = [0; 4];
    for (mask, &rows) in masks.iter_mut().zip(&classes.rows) {
        let set = avx2._mm256_shuffle_epi8(cast([rows; 2]), bytes);
        let hit = avx2._mm256_and_si256(set, bit);
        *mask = !avx2._mm256_movemask_epi8(avx2._mm256_cmpeq_epi8(hit, cast([0_u8; 32]))) as u32;
    }
    masks[3] = avx2._mm256_movemask_epi8(bytes) as u32;
    masks
}

#[cfg(target_arch = "x86_64")]
impl Classify for pulp::x86::V4 {
    #[inline(always)]
    fn block(&self, classes: &ByteClasses, block: &[u8; BLOCK]) -> Masks {
        use bytemuck::cast;
        let (avx512f, avx512bw) = (self.avx512f, self.avx512bw);
        let bytes = cast(*block);
        let high =
            avx512f._mm512_and_si512(avx512bw._mm512_srli_epi16::<4>(bytes), cast([0x0F_u8; 64]));
        let bit = avx512bw._mm512_shuffle_epi8(cast([BITS; 4]), high);
        let mut masks = [0; 3];
        for (mask, &rows) in masks.iter_mut().zip(&classes.rows) {
            let set = avx512bw._mm512_shuffle_epi8(cast([rows; 4]), bytes);
            *mask = avx512bw._mm512_test_epi8_mask(set, bit);
        }
        classes.with_not_ascii(masks, avx512bw._mm512_movepi8_mask(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As every kind of vectors of this machine has it.
    #[cfg(target_arch = "x86_64")]
    fn vectors(classes: &ByteClasses, block: &[u8; BLOCK]) -> impl Iterator<Item = Masks> {
        let v3 = pulp::x86::V3::try_new().map(|simd| simd.block(classes, block));
        let v4 = pulp::x86::V4::try_new().map(|simd| simd.block(classes, block));
        v3.into_iter().chain(v4)
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vectors_and_tables_agree() {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut number = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        for _ in 0..100 {
            let mut table = [WORD; 256];
            for class in &mut table[..128] {
                *class = [0, WORD, ISOLATE, WORD | ADDED, ISOLATE | ADDED, ADDED]
                    [usize::from(number()) % 6];
            }
            let classes = ByteClasses::of(table);
            let block = [(); BLOCK].map(|()| number());
            for masks in vectors(&classes, &block) {
                assert_eq!(masks, Plain.block(&classes, &block));
            }
            // What is not ASCII may be taken for more than it is where added tokens begin.
            table[usize::from(number() | 0x80)] |= ADDED;
            let classes = ByteClasses::of(table);
            let exact = Plain.block(&classes, &block);
            for more in vectors(&classes, &block) {
                assert_eq!((more.word, more.isolate), (exact.word, exact.isolate));
                assert_eq!(more.added & exact.added, exact.added);
            }
        }
    }

    #[test]
    fn nothing_is_behind_the_end() {
        let mut table = [WORD; 256];
        table[usize::from(b' ')] = 0;
        table[usize::from(b'.')] = ISOLATE | ADDED;
        let classes = ByteClasses::of(table);
        let text: std::vec::Vec<u8> = b"a word. ".repeat(20);
        for len in [0, 1, 5, 63, 64, 65, 100, 160] {
            for base in (0..=len).step_by(3) {
                let masks = classes.masks(&Plain, &text[..len], base);
                for at in 0..BLOCK {
                    let byte = text[..len].get(base + at);
                    let bit = |mask: u64| mask >> at & 1 == 1;
                    assert_eq!(bit(masks.word), byte.is_some_and(|b| !b". ".contains(b)));
                    assert_eq!(bit(masks.isolate), byte == Some(&b'.'));
                    assert_eq!(bit(masks.added), byte == Some(&b'.'));
                }
            }
        }
    }
}
