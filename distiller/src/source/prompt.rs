//! What a teacher was trained to see before every text.

use tokenizers::Tokenizer;

use super::TeacherSource;
use crate::{Error, Result};

/// A text such as `query: ` that goes before every text and vocabulary entry, as the teacher's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    text: String,
    ids: Vec<u32>,
    /// Special tokens that come first.
    behind: usize,
}

impl Prompt {
    /// The text itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its tokens.
    #[expect(clippy::len_without_is_empty, reason = "a prompt is never empty")]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// A sequence with the prompt behind its first special tokens.
    pub fn put_before(&self, ids: &[u32]) -> Vec<u32> {
        let (first, rest) = ids.split_at(self.behind.min(ids.len()));
        [first, &self.ids, rest].concat()
    }
}

impl TeacherSource {
    /// The same teacher, shown `text` before everything.
    ///
    /// # Errors
    /// [`Error::Option`] if the text has no tokens; [`Error::Tokenizer`] if the tokenizer cannot be used.
    pub fn with_prompt(mut self, text: &str) -> Result<Self> {
        let unusable = |error: tokenizers::Error| Error::Tokenizer {
            what: error.to_string(),
        };
        let mut tokenizer: Tokenizer = self.tokenizer.to_string().parse().map_err(unusable)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(unusable)?;
        let encoding = tokenizer.encode(text, true).map_err(unusable)?;
        let special = encoding.get_special_tokens_mask();
        let is_special = |&&mask: &&u32| mask == 1;
        let behind = special.iter().take_while(is_special).count();
        let after = special.iter().rev().take_while(is_special).count();
        let ids = encoding
            .get_ids()
            .get(behind..special.len().saturating_sub(after))
            .unwrap_or_default();
        if ids.is_empty() {
            return Err(Error::Option {
                option: "prompt",
                what: format!("{text:?} has no tokens; leave it out"),
            });
        }
        self.prompt = Some(Prompt {
            text: text.to_owned(),
            ids: ids.to_vec(),
            behind,
        });
        Ok(self)
    }
}
