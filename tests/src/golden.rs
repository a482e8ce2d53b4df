//! Golden images: one a format version and codec, read for good.

use flashvec::{Codec, Error, Model};

/// Codecs of the format's current version, by the file names of their golden images.
pub const CODECS: [Codec; 3] = [Codec::F32, Codec::F16, Codec::Int8];

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
