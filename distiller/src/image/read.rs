//! Reading images back.

use std::path::Path;

use flashvec::Codec;
use flashvec::head_layout::PRELUDE_LEN;
use flashvec::image::{Image, SectionKind};
use flashvec_support::LONGEST_TOKEN;
use half::f16;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::model::{Pipeline, Provenance, Rows, StaticModel};

use super::HeadParts;

/// Turns an image back into a model, in the image's own token order: rows as they are for `f16`
/// and `f32`, as the values they stand for in `f32` for integer codecs.
///
/// # Errors
///
/// [`Error::Image`] names `path` and what is wrong with the image; [`Error::Model`] if it has a head, for which there is
/// [`read_classifier`], or n-grams, which a model has no place for.
pub fn read_image(bytes: &[u8], path: &Path) -> Result<StaticModel> {
    let image_error = damaged(path);
    let image = Image::parse(bytes).map_err(image_error)?;
    if image.find(SectionKind::Head).is_some() {
        return Err(Error::Model {
            what: format!(
                "{}: a classifier's image, and only its rows could be used here; give an image without a head",
                path.display()
            ),
        });
    }
    read_rows(bytes, path)
}

/// Turns an image back into a model and the head that it has, if any; see [`read_image`].
///
/// # Errors
///
/// [`Error::Image`] names `path` and what is wrong with the image; [`Error::Model`] if it has n-grams, which a model has no
/// place for.
pub fn read_classifier(bytes: &[u8], path: &Path) -> Result<Pipeline> {
    let model = read_rows(bytes, path)?;
    let image = Image::parse(bytes).map_err(damaged(path))?;
    let section = image.find(SectionKind::Head);
    Ok(Pipeline {
        model,
        head: section
            .map(|section| head_parts(section, path))
            .transpose()?,
    })
}

/// The head in a head file, which belongs beside the image `base`.
///
/// # Errors
///
/// [`Error::Image`] names `path` and what is wrong with the file or with `base`, or that the file is another image's.
pub fn read_head(file: &[u8], path: &Path, base: &[u8]) -> Result<HeadParts> {
    let base = flashvec::Model::from_bytes(base).map_err(damaged(path))?;
    flashvec::Head::from_bytes(file, &base).map_err(damaged(path))?;
    // Its own length, which the file may go on behind.
    let len = file.get(8..).and_then(|rest| rest.first_chunk());
    let len = len.map_or(0, |&len| u32::from_le_bytes(len) as usize);
    head_parts(file.get(PRELUDE_LEN..len).unwrap_or(&[]), path)
}

fn head_parts(section: &[u8], path: &Path) -> Result<HeadParts> {
    let broken = flashvec::Error::Damaged(flashvec::Part::Head);
    HeadParts::read(section).ok_or_else(|| damaged(path)(broken))
}

fn damaged(path: &Path) -> impl Fn(flashvec::Error) -> Error {
    move |source| Error::Image {
        path: path.to_owned(),
        source,
    }
}

/// The model in an image without n-grams.
fn read_rows(bytes: &[u8], path: &Path) -> Result<StaticModel> {
    let image_error = damaged(path);
    let model = flashvec::Model::from_bytes(bytes).map_err(&image_error)?;
    let image = Image::parse(bytes).map_err(&image_error)?;
    if model.ngram_count() > 0 {
        return Err(Error::Model {
            what: format!(
                "{}: an image with rows of n-grams, which a model of tokens has no place for; give one without, as \
                 `flashvec train --ngrams none` makes it",
                path.display()
            ),
        });
    }
    let header = model.header();
    let added = image
        .section(SectionKind::AddedTokens)
        .map_err(&image_error)?;

    let mut values = Vec::with_capacity(model.token_count() * model.dims());
    let mut row = vec![0.0; model.dims()];
    let mut buffer = vec![0; LONGEST_TOKEN];
    let mut vocabulary = Map::with_capacity(model.token_count());
    let mut tokens = Vec::with_capacity(model.token_count());
    for id in 0..header.token_count {
        model.vector(id, &mut row).map_err(&image_error)?;
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
