//! Golden images: one a format version and codec, read for good.

use flashvec::{Codec, Error, Model, ProductQuantizer};

/// Codecs of the current format version, by the file names of their golden images.
pub const CODECS: [Codec; 8] = [
    Codec::F32,
    Codec::F16,
    Codec::Int8,
    Codec::Int4,
    Codec::Int2,
    pq(4, 2, false),
    pq(8, 4, false),
    pq(8, 8, true),
];

const fn pq(code_bits: u8, sub_dims: u8, shared: bool) -> Codec {
    Codec::Pq(ProductQuantizer {
        code_bits,
        sub_dims,
        shared,
    })
}

/// Texts whose embeddings are committed.
pub const TEXTS: [&str; 8] = [
    "turn on the light",
    "Turn OFF the kitchen lamp, please!",
    "",
    "[UNK] [PAD] #",
    "ÉTÉ naïve Straße — 中한я 한",
    "tab\tand\u{a0}blank\u{200b}less",
    "a.b,c!d?",
    "unknown \u{1F600} emoji",
];

/// Embeddings' bits as text, a line a text.
pub fn bits(image: &[u8]) -> Result<String, Error> {
    let model = Model::from_bytes(image)?;
    let mut scratch = vec![0; model.scratch_len()];
    let mut out = String::new();
    for text in TEXTS {
        let embedding = model.encode(text, &mut scratch)?;
        let line: Vec<String> = embedding
            .iter()
            .map(|x| format!("{:08x}", x.to_bits()))
            .collect();
        out.push_str(&line.join(" "));
        out.push('\n');
    }
    Ok(out)
}
