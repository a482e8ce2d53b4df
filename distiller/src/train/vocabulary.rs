//! A vocabulary for texts in a language that no base is there for.

use serde_json::{Value, json};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, TokenizerBuilder};
use tokenizers::{DecoderWrapper, PostProcessorWrapper};

use crate::{Error, Provenance, Result, Rows, StaticModel};

/// Most tokens.
const TOKENS: usize = 30_000;
const UNKNOWN: &str = "[UNK]";
const PREFIX: &str = "##";

/// A model whose vocabulary is learned from texts, lower-cased and without accents as BERT's uncased ones, and whose rows
/// are all 0.
///
/// # Errors
/// [`Error::Tokenizer`] if no vocabulary can be learned.
pub fn learn_vocabulary(texts: &[String]) -> Result<StaticModel> {
    // The trainer numbers pieces of one character as it meets them, in no fixed order, and which others there are depends
    // on that. With those of a first round named beforehand, in order, a second has nothing left to chance.
    let first = trained(texts, Vec::new())?;
    let mut characters: Vec<String> = vocabulary(&first)
        .filter(|token| {
            token
                .strip_prefix(PREFIX)
                .is_some_and(|rest| rest.chars().count() == 1)
        })
        .cloned()
        .collect();
    characters.sort_unstable();
    let mut tokenizer = trained(texts, characters)?;
    if let Some(added) = tokenizer["added_tokens"].as_array_mut() {
        added.retain(|entry| entry["content"] == UNKNOWN);
    }
    tokenizer["model"]["unk_token"] = json!(UNKNOWN);
    let tokens = vocabulary(&tokenizer).count();
    Ok(StaticModel {
        tokenizer,
        rows: Rows::F32(vec![0.0; tokens]),
        dims: 1,
        weights: None,
        mapping: None,
        normalize: true,
        max_length: None,
        provenance: Provenance::default(),
    })
}

fn vocabulary(tokenizer: &Value) -> impl Iterator<Item = &String> {
    let vocabulary = tokenizer["model"]["vocab"].as_object();
    vocabulary.into_iter().flat_map(serde_json::Map::keys)
}

/// A `tokenizer.json` with a vocabulary of these texts, the `first` tokens before others.
fn trained(texts: &[String], first: Vec<String>) -> Result<Value> {
    let wrong = |e: tokenizers::Error| Error::Tokenizer {
        what: e.to_string(),
    };
    let mut tokenizer = TokenizerBuilder::<
        WordPiece,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(WordPiece::default())
    .with_normalizer(Some(BertNormalizer::default().into()))
    .with_pre_tokenizer(Some(BertPreTokenizer.into()))
    .build()
    .map_err(wrong)?;
    let special = std::iter::once(UNKNOWN.to_owned()).chain(first);
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(TOKENS)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(special.map(|token| AddedToken::from(token, true)).collect())
        .build();
    tokenizer.train(&mut trainer, texts.iter()).map_err(wrong)?;
    let text = tokenizer.to_string(false).map_err(wrong)?;
    serde_json::from_str(&text).map_err(|e| Error::Tokenizer {
        what: e.to_string(),
    })
}
