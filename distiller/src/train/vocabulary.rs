//! A vocabulary for texts in a language that no base is there for.

use serde_json::json;
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, TokenizerBuilder};
use tokenizers::{DecoderWrapper, PostProcessorWrapper};

use crate::{Error, Provenance, Result, Rows, StaticModel};

/// Most tokens.
const TOKENS: usize = 30_000;
const UNKNOWN: &str = "[UNK]";

/// A model whose vocabulary is learned from texts, lower-cased and without accents as BERT's uncased ones, and whose rows
/// are all 0.
///
/// # Errors
/// [`Error::Tokenizer`] if no vocabulary can be learned.
pub fn learn_vocabulary(texts: &[String]) -> Result<StaticModel> {
    let wrong = |e: tokenizers::Error| Error::Tokenizer { what: e.to_string() };
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
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(TOKENS)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(vec![AddedToken::from(UNKNOWN, true)])
        .build();
    tokenizer
        .train(&mut trainer, texts.iter())
        .map_err(wrong)?;
    let text = tokenizer.to_string(false).map_err(wrong)?;
    let mut tokenizer: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| Error::Tokenizer { what: e.to_string() })?;
    tokenizer["model"]["unk_token"] = json!(UNKNOWN);
    let tokens = tokenizer["model"]["vocab"].as_object().map_or(0, serde_json::Map::len);
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
