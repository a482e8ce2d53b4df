//! Golden images: one a format version and codec, read for good.

use flashvec::{Classification, Codec, Error, Head, Model, ProductQuantizer};
use flashvec_distiller::image::HeadParts;

use crate::synthetic;

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

/// The head of the golden head file, beside the tiny image in `int8`.
pub fn head_parts() -> HeadParts {
    synthetic::CLASSIFIERS[0].head(16)
}

/// A classification's bits as text: scores, scope score, whether in scope, best label (or `-`).
fn classification_bits(found: &Classification<'_>) -> String {
    let scores = found.scores().iter().copied().chain([found.scope_score()]);
    let bits: Vec<String> = scores.map(|x| format!("{:08x}", x.to_bits())).collect();
    let best = found
        .best()
        .map_or("-".to_owned(), |best| best.label.to_string());
    format!("{} {} {best}\n", bits.join(" "), found.is_in_scope())
}

/// Names of a head's labels and classifications' bits as text, a line a text.
pub fn head_bits(head: &Head<'_>, base: &Model<'_>) -> Result<String, Error> {
    let names: Vec<&str> = (0..).map_while(|at| head.label(at)).collect();
    let mut out = format!("{names:?}\n");
    let mut scratch = vec![0; head.scratch_len(base)];
    for text in TEXTS {
        let found = head.classify(base, text, &mut scratch)?;
        out.push_str(&classification_bits(&found));
    }
    Ok(out)
}

/// Embeddings' bits as text, a line a text; of a classifier, classifications' as well.
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
    if let Some(head) = model.head() {
        out.push_str(&head_bits(head, &model)?);
    }
    Ok(out)
}
