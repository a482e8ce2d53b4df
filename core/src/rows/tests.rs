//! Random rows of every codec, added with vectors and without.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::image::{Pooling, ProductQuantizer, Provenance, Sections, WordPiece};
use crate::pool::Pool;

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as usize * end) >> 32
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

fn header(codec: Codec, dims: u16, max_tokens: u32, normalize: bool) -> Header<'static> {
    Header {
        dims,
        token_count: TOKENS,
        codec,
        tokenizer: WordPiece {
            continuing_subword_prefix: "",
            unk: 0,
            max_input_chars_per_word: 1,
        },
        pooling: Pooling {
            normalize,
            max_tokens,
            max_chars: u32::MAX,
            unit: 0.01,
        },
        provenance: Provenance {
            teacher: "",
            teacher_sha256: "",
            licence: "",
            command: "",
            tool: "",
            stages: "",
        },
        sections: Sections::new(&[]).unwrap(),
    }
}

const TOKENS: u32 = 50;

fn embedding(rows: &Rows<'_>, pooling: &Pooling, dims: usize, ids: &[u32]) -> Vec<u32> {
    let mut sums = vec![1; dims];
    let mut pool = Pool::new(rows, &mut sums);
    ids.iter().for_each(|&id| pool.add(id));
    let embedding = pool.finish(pooling);
    embedding.iter().map(|x| x.to_bits()).collect()
}

/// Random rows, with scales as large as `max_tokens` allows.
fn section(random: &mut Random, codec: Codec, dims: usize, max_tokens: u32) -> Vec<u8> {
    let mut section = random.bytes(codec.row_len(dims) * TOKENS as usize);
    let most = match codec {
        Codec::Int4 => layout::INT4_MAX,
        Codec::Int2 => layout::INT2_MAX,
        _ => 128,
    };
    let most = i32::MAX as u32 / most / max_tokens;
    // With scales as large as vectors take them, and sometimes larger.
    let most_int8 = [0x7FFF, 0x7FFF, 0x7FFF, 0xFFFF][random.below(4)];
    for row in section.chunks_mut(codec.row_len(dims)) {
        match codec {
            // Finite, and not so large that sums become infinite.
            Codec::F32 => row
                .iter_mut()
                .skip(3)
                .step_by(4)
                .for_each(|b| *b = *b & 0x83 | 0x38),
            Codec::F16 => row.iter_mut().skip(1).step_by(2).for_each(|b| *b &= 0xBF),
            Codec::Int8 => {
                let most = most.min(most_int8) as usize;
                let scale = if random.below(2) == 0 {
                    most
                } else {
                    random.below(most + 1)
                };
                row[..2].copy_from_slice(&(scale as u16).to_le_bytes());
                // Some rows of the largest magnitude only.
                if random.below(4) == 0 {
                    row[2..].fill(0x80);
                }
            }
            _ => {
                while layout::scale(row[0]) > most {
                    row[0] -= 1;
                }
            }
        }
    }
    section
}

#[test]
fn embeddings_have_the_same_bits_with_vectors() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..2000 {
        let dims = match round % 4 {
            0 => 1 + random.below(1024),
            1 => 8 * (1 + random.below(64)),
            2 => 32 * (1 + random.below(16)),
            _ => 1 + random.below(70),
        };
        let mut pq = ProductQuantizer {
            code_bits: [4, 8][random.below(2)],
            sub_dims: [2, 4, 6, 8, 12, 16, 24, 32][random.below(8)],
            shared: random.below(2) == 0,
        };
        if !pq.fits(dims) {
            pq.sub_dims = if dims % 2 == 0 { 2 } else { 1 };
        }
        let codec = match random.below(6) {
            0 => Codec::F32,
            1 => Codec::F16,
            2 => Codec::Int8,
            3 => Codec::Int4,
            4 => Codec::Int2,
            _ if pq.fits(dims) => Codec::Pq(pq),
            _ => Codec::Int8,
        };
        let max_tokens = [8, 100, 512][random.below(3)];
        let header = header(codec, dims as u16, max_tokens, random.below(4) > 0);
        let section = section(&mut random, codec, dims, max_tokens);
        let codebooks = match codec {
            Codec::Pq(pq) => random.bytes(pq.codebooks(dims) * pq.codebook_len()),
            _ => Vec::new(),
        };
        let wide = Rows::new(
            &section,
            &codebooks,
            &header,
            TOKENS,
            u64::from(header.pooling.max_tokens),
        )
        .unwrap();
        let mut narrow = wide;
        let mut all = Vec::from([wide]);
        while let Some(narrower) = narrow.narrower() {
            narrow = narrower;
            all.push(narrow);
        }
        let count = [random.below(7), random.below(513), 32, 64][random.below(4)];
        let ids: Vec<u32> = (0..count.min(max_tokens as usize))
            .map(|_| random.below(TOKENS as usize) as u32)
            .collect();
        for rows in all {
            assert_eq!(
                embedding(&rows, &header.pooling, dims, &ids),
                embedding(&narrow, &header.pooling, dims, &ids),
                "{codec}, {dims} dimensions, {} tokens, {:?}",
                ids.len(),
                rows.arch()
            );
        }
        // And both are what the rows say.
        let mut sums = vec![0.0_f64; dims];
        for &id in &ids {
            let mut vector = vec![0; dims];
            narrow.vector(id, &mut vector);
            let values = vector.iter().map(|&bits| f64::from(f32::from_bits(bits)));
            sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
        }
        let length = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
        let factor = match header.pooling.normalize {
            true if length > 0.0 => 1.0 / length,
            true => 0.0,
            false => 1.0 / ids.len().max(1) as f64,
        };
        for (bits, sum) in embedding(&wide, &header.pooling, dims, &ids)
            .iter()
            .zip(&sums)
        {
            let expected = sum * factor;
            let close = 1e-4 * (1.0 + expected.abs());
            assert!((f64::from(f32::from_bits(*bits)) - expected).abs() < close);
        }
    }
}

/// What is left of rows that cancel one another out has all its bits, though it is small beside them.
#[test]
fn rows_that_cancel_out_leave_what_is_left() {
    let dims = 8;
    let mut section = vec![0; Codec::Int8.row_len(dims) * TOKENS as usize];
    let mut rows = section.chunks_mut(Codec::Int8.row_len(dims));
    let mut fill = |scale: u16, values: [i8; 8]| {
        let row = rows.next().unwrap();
        row[..2].copy_from_slice(&scale.to_le_bytes());
        row[2..].copy_from_slice(&values.map(|value| value as u8));
    };
    fill(0x7FFF, [127; 8]);
    fill(0x7FFF, [-127; 8]);
    fill(1, [3, -4, 0, 0, 0, 0, 12, 0]);
    let header = header(Codec::Int8, dims as u16, 512, true);
    let rows = Rows::new(
        &section,
        &[],
        &header,
        TOKENS,
        u64::from(header.pooling.max_tokens),
    )
    .unwrap();
    let ids: Vec<u32> = (0..510).map(|at| at % 2).chain([2]).collect();
    let expected = [3.0, -4.0, 0.0, 0.0, 0.0, 0.0, 12.0, 0.0_f32];
    assert_eq!(
        embedding(&rows, &header.pooling, dims, &ids),
        expected.map(|x| (x * (1.0_f32 / 13.0)).to_bits())
    );
}
