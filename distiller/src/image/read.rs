//! Reading images back.

use std::path::Path;

use flashvec::Codec;
use flashvec::image::{Image, SectionKind};
use flashvec_support::LONGEST_TOKEN;
use half::f16;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::model::{Provenance, Rows, StaticModel};

/// Turns an image back into a model, in the image's own token order: rows as they are for `f16`
/// and `f32`, as the values they stand for in `f32` for integer codecs.
///
/// # Errors
///
/// [`Error::Image`] names `path` and what is wrong with the image; [`Error::Model`] if it is a classifier's, whose
/// head and n-grams a model has no place for.
pub fn read_image(bytes: &[u8], path: &Path) -> Result<StaticModel> {
    let image_error = |source| Error::Image {
        path: path.to_owned(),
        source,
    };
    let model = flashvec::Model::from_bytes(bytes).map_err(image_error)?;
    let image = Image::parse(bytes).map_err(image_error)?;
    if model.head().is_some() || model.ngram_count() > 0 {
        return Err(Error::Model {
            what: format!(
                "{}: a classifier's image, whose head and n-grams a Model2Vec folder cannot hold; give an image without",
                path.display()
            ),
        });
    }
    let header = model.header();
    let added = image
        .section(SectionKind::AddedTokens)
        .map_err(image_error)?;

    let mut values = Vec::with_capacity(model.token_count() * model.dims());
    let mut row = vec![0.0; model.dims()];
    let mut buffer = vec![0; LONGEST_TOKEN];
    let mut vocabulary = Map::with_capacity(model.token_count());
    let mut tokens = Vec::with_capacity(model.token_count());
    for id in 0..header.token_count {
        model.vector(id, &mut row).map_err(image_error)?;
        values.extend_from_slice(&row);
        let token = model.token(id, &mut buffer).ok_or_else(|| Error::Model {
            what: format!("{}: token {id} has no UTF-8 spelling", path.display()),
        })?;
        vocabulary.insert(token.to_owned(), id.into());
        tokens.push(token.to_owned());
    }
    let stages: Value =
        serde_json::from_str(header.provenance.stages).map_err(|_| Error::Model {
            what: format!(
                "{}: the image does not say what its character map was made from, so it cannot become a folder",
                path.display()
            ),
        })?;
    let added_tokens: Vec<Value> = added_ids(added)
        .filter_map(|id| Some((id, tokens.get(id as usize)?)))
        .map(|(id, content)| {
            json!({
                "id": id, "content": content, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    let unk = tokens.get(header.tokenizer.unk as usize);
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens,
        "normalizer": stages["normalizer"],
        "pre_tokenizer": stages["pre_tokenizer"],
        "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": header.tokenizer.continuing_subword_prefix, "cleanup": true},
        "model": {
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": header.tokenizer.continuing_subword_prefix,
            "max_input_chars_per_word": header.tokenizer.max_input_chars_per_word,
            "vocab": vocabulary,
        },
    });
    Ok(StaticModel {
        tokenizer,
        rows: match header.codec {
            Codec::F16 => Rows::F16(values.into_iter().map(f16::from_f32).collect()),
            _ => Rows::F32(values),
        },
        dims: model.dims(),
        weights: None,
        mapping: None,
        normalize: header.pooling.normalize,
        max_length: (header.pooling.max_chars != u32::MAX)
            .then_some(header.pooling.max_tokens as usize),
        provenance: Provenance {
            teacher: header.provenance.teacher.to_owned(),
            teacher_sha256: header.provenance.teacher_sha256.to_owned(),
            licence: header.provenance.licence.to_owned(),
        },
    })
}

/// Ids of the added tokens: entries of id, length, text.
fn added_ids(mut section: &[u8]) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let (head, rest) = section.split_first_chunk::<5>()?;
        let [a, b, c, d, len] = *head;
        section = rest.get(usize::from(len)..)?;
        Some(u32::from_le_bytes([a, b, c, d]))
    })
}
