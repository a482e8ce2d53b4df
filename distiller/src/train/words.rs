//! Texts as words, so that they can be split anew for every choice of tokens.

use std::collections::HashMap;

use flashvec::Model;
use flashvec_support::LONGEST_TOKEN;

use crate::compress::bare_image;
use crate::image::WordPieceTokenizer;
use crate::pretrain::Texts;
use crate::{Error, Result, StaticModel};

/// The tokens that words are split into, by their text.
pub(super) struct Vocabulary {
    pub(super) tokenizer: WordPieceTokenizer,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// # Errors
    /// Those of [`WordPieceTokenizer::from_json`].
    pub(super) fn new(model: &StaticModel) -> Result<Self> {
        let tokenizer = WordPieceTokenizer::from_json(&model.tokenizer)?;
        let ids = tokenizer.tokens.iter().cloned().zip(0..).collect();
        Ok(Self { tokenizer, ids })
    }

    pub(super) fn len(&self) -> usize {
        self.tokenizer.tokens.len()
    }

    /// A word in the longest of the tokens that have a number, from the left, by their numbers; `None`: unknown.
    fn split(&self, word: &str, numbers: &[Option<u32>]) -> Option<Vec<u32>> {
        let mut pieces = Vec::new();
        let mut rest = word;
        let mut spelled = String::new();
        while !rest.is_empty() {
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
            let (end, piece) = ends.rev().find_map(|end| {
                spelled.clear();
                if !pieces.is_empty() {
                    spelled.push_str(&self.tokenizer.continuing_subword_prefix);
                }
                spelled.push_str(&rest[..end]);
                let id = *self.ids.get(spelled.as_str())?;
                Some((end, numbers[id as usize]?))
            })?;
            pieces.push(piece);
            rest = &rest[end..];
        }
        Some(pieces)
    }
}

/// All words of some texts.
#[derive(Default)]
pub(super) struct Words {
    numbers: HashMap<String, u32>,
    /// `None`: a word with a character that no token has.
    list: Vec<Option<String>>,
}

/// How each word is split, in numbers of tokens; `None`: it is unknown.
pub(super) type Splits = Vec<Option<Vec<u32>>>;

impl Words {
    /// Reads texts as numbers of words, adding those that were not met before.
    ///
    /// # Errors
    /// Those of writing and reading an image with the model's vocabulary.
    pub(super) fn read(&mut self, model: &StaticModel, texts: &[String]) -> Result<Texts> {
        let unusable = |source| Error::Image {
            path: "the image to tokenise with".into(),
            source,
        };
        let (image, _) = bare_image(model)?;
        let model = Model::from_bytes(&image).map_err(unusable)?;
        let prefix = model.header().tokenizer.continuing_subword_prefix;
        let unknown = model.header().tokenizer.unk;
        let mut scratch = vec![0; model.scratch_len()];
        let mut buffer = vec![0; LONGEST_TOKEN];
        let mut read = Texts::default();
        for text in texts {
            let mut ids = Vec::new();
            model
                .tokenize(text, &mut scratch, |id| ids.push(id))
                .map_err(unusable)?;
            let mut words: Vec<Option<String>> = Vec::new();
            for id in ids {
                let token = model.token(id, &mut buffer).unwrap_or_default();
                let inside = token.strip_prefix(prefix).filter(|rest| !rest.is_empty());
                match (inside, words.last_mut()) {
                    _ if id == unknown => words.push(None),
                    (Some(rest), Some(Some(word))) => word.push_str(rest),
                    _ => words.push(Some(token.to_owned())),
                }
            }
            read.push(words.into_iter().map(|word| self.number(word)));
        }
        Ok(read)
    }

    fn number(&mut self, word: Option<String>) -> u32 {
        // No word is spelled with nothing.
        let key = word.clone().unwrap_or_default();
        let next = self.list.len() as u32;
        *self.numbers.entry(key).or_insert_with(|| {
            self.list.push(word);
            next
        })
    }

    /// Splits every word into the tokens that have a number.
    pub(super) fn split(&self, vocabulary: &Vocabulary, numbers: &[Option<u32>]) -> Splits {
        let split = |word: &Option<String>| vocabulary.split(word.as_deref()?, numbers);
        self.list.iter().map(split).collect()
    }
}
