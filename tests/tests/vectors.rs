//! With vector instructions and without them, every bit is the same.

use flashvec::image::{CRC_OFFSET, PRELUDE_LEN, SectionKind, crc32};
use flashvec::{Codec, Model, ProductQuantizer};
use flashvec_tests::golden::CODECS;
use flashvec_tests::synthetic::{self, Random};

/// A text's worth of token ids, some of no token.
fn ids(random: &mut Random, tokens: usize, count: usize) -> Vec<u32> {
    let mut id = || (random.number() % (tokens as u64 + 2)) as u32;
    (0..count).map(|_| id()).collect()
}

/// Panics unless embeddings of random tokens have the same bits either way.
fn compare(image: &[u8], random: &mut Random, name: &str) {
    let wide = Model::from_bytes(image).unwrap();
    let narrower = std::iter::successors(Some(wide.clone()), |model| model.clone().narrower());
    let models: Vec<Model> = narrower.collect();
    let plain = models.last().unwrap();
    let mut scratch = vec![0; wide.scratch_len()];
    let bits = |model: &Model<'_>, ids: &[u32], scratch: &mut [u32]| -> Vec<u32> {
        let embedding = model.encode_ids(ids, scratch).unwrap();
        embedding.iter().map(|x| x.to_bits()).collect()
    };
    for count in [0, 1, 2, 3, 4, 5, 31, 32, 33, 64, 100, 511, 512, 600] {
        let ids = ids(random, wide.token_count(), count);
        for model in &models {
            assert_eq!(
                bits(model, &ids, &mut scratch),
                bits(plain, &ids, &mut scratch),
                "{name}, {count} tokens"
            );
        }
    }
}

/// The image with its rows overwritten with what `fill` gives for each byte of a row, and
/// codebooks with -128: what adds up to the most.
fn overwrite(image: &[u8], fill: impl Fn(usize) -> u8) -> Vec<u8> {
    let mut out = image.to_vec();
    let parsed = flashvec::image::Image::parse(image).unwrap();
    let header = &parsed.header;
    let row_len = header.codec.row_len(usize::from(header.dims));
    let mut at = PRELUDE_LEN + parsed.header_len;
    for section in header.sections.as_slice() {
        let bytes = &mut out[at..][..section.len as usize];
        match section.kind {
            SectionKind::Rows => {
                for row in bytes.chunks_mut(row_len) {
                    row.iter_mut().enumerate().for_each(|(i, b)| *b = fill(i));
                }
            }
            SectionKind::Codebooks => bytes.fill(0x80),
            _ => {}
        }
        at += section.len as usize;
    }
    let crc = crc32(&out[PRELUDE_LEN..]);
    out[CRC_OFFSET..][..4].copy_from_slice(&crc.to_le_bytes());
    out
}

#[test]
fn embeddings_have_the_same_bits_with_vectors() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for codec in CODECS {
        let image = synthetic::tiny_image(codec).unwrap();
        compare(&image, &mut random, &codec.to_string());
    }
}

#[test]
fn the_largest_sums_have_the_same_bits_with_vectors() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let model = synthetic::model(synthetic::tiny_tokenizer(), 72);
    let pq = |code_bits, sub_dims, shared| {
        Codec::Pq(ProductQuantizer {
            code_bits,
            sub_dims,
            shared,
        })
    };
    // The largest scale that 512 tokens leave room for, then the value of the largest magnitude.
    let cases = [
        (Codec::Int8, vec![0xFF, 0x7F], 0x80),
        // 2^31 / 512 / 15 is 279,620; 30 << 13 is below, 2^31 / 512 / 3 is above all but 31 << 15.
        (Codec::Int4, vec![0xDE], 0x00),
        (Codec::Int2, vec![0xFF], 0xFF),
        // 2^31 / 512 / 128 is 32,768: 31 << 10.
        (pq(8, 8, false), vec![0xAF], 0x01),
        (pq(4, 8, true), vec![0xAF], 0x21),
        (pq(4, 4, false), vec![0xAF], 0x21),
    ];
    for (codec, scale, value) in cases {
        let image = synthetic::image(&model, codec).unwrap();
        let image = overwrite(&image, |i| scale.get(i).copied().unwrap_or(value));
        compare(&image, &mut random, &codec.to_string());
    }
}

#[test]
fn scales_of_16_bits_have_the_same_bits_with_vectors() {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    let mut model = synthetic::model(synthetic::tiny_tokenizer(), 72);
    model.max_length = Some(100);
    let image = synthetic::image(&model, Codec::Int8).unwrap();
    for fill in [[0xFF, 0xFF], [0x00, 0x80], [0xFF, 0x7F]] {
        let image = overwrite(&image, |i| fill.get(i).copied().unwrap_or(0x80));
        compare(&image, &mut random, "int8");
    }
}

#[test]
fn ids_encode_as_their_text() {
    for codec in CODECS {
        let image = synthetic::tiny_image(codec).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let mut scratch = vec![0; model.scratch_len()];
        for text in flashvec_tests::golden::TEXTS {
            let mut ids = Vec::new();
            model
                .tokenize(text, &mut scratch, |id| ids.push(id))
                .unwrap();
            let expected = model.encode(text, &mut scratch).unwrap().to_vec();
            assert_eq!(model.encode_ids(&ids, &mut scratch).unwrap(), expected);
        }
    }
}
