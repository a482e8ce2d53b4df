//! The texts of a corpus and the short ones made of it, in shards.

use std::path::PathBuf;

use flashvec_distiller::pretrain::{Features, Phrases, SHARD_TEXTS, WordCounts, WordLists};

use crate::error::{Error, Result};
use crate::texts::Texts;

#[derive(clap::Args)]
pub struct TextArgs {
    /// Files of texts, one a line: sentences, some ten thousand or more
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub corpus: Vec<PathBuf>,

    /// Phrases of 3 to 12 words that are cut from texts, to learn from as well: so many a text
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = parse_share)]
    phrases: f64,

    /// Lists of 2 to 10 of the corpus' words, drawn at random, to learn from as well: so many a text
    #[arg(long, value_name = "SHARE", default_value_t = 0.6, value_parser = parse_share)]
    word_lists: f64,
}

fn parse_share(value: &str) -> std::result::Result<f64, String> {
    let share: f64 = value.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=100.0).contains(&share) {
        Ok(share)
    } else {
        Err("expected a number from 0, for none, to 100".to_owned())
    }
}

/// A corpus that has been read once, to know how much there is.
pub struct CorpusTexts<'a> {
    args: &'a TextArgs,
    texts: usize,
    phrases: usize,
    words: WordCounts,
}

/// A corpus with what is made of it.
pub struct AllTexts<'a> {
    args: &'a TextArgs,
    texts: usize,
    phrases: usize,
    lists: Option<WordLists>,
    /// Lists to draw.
    listed: usize,
}

impl<'a> CorpusTexts<'a> {
    /// # Errors
    /// [`Error::Arguments`] if there is no text; those of reading.
    pub fn read(args: &'a TextArgs) -> Result<Self> {
        let (mut texts, mut phrases) = (0_usize, 0);
        let mut counts = WordCounts::default();
        let mut cut = Phrases::new(args.phrases);
        for_each_text(args, |text| {
            texts += 1;
            phrases += cut.of(&text).len();
            if args.word_lists > 0.0 {
                counts.add(&text);
            }
            Ok(())
        })?;
        if texts == 0 {
            return Err(Error::Arguments("the corpus has no texts".to_owned()));
        }
        Ok(Self {
            args,
            texts,
            phrases,
            words: counts,
        })
    }

    /// Texts of the corpus itself.
    pub fn texts(&self) -> usize {
        self.texts
    }

    /// With word lists, for a teacher that knows some words and some not.
    pub fn all(self, features: &Features<'_>) -> AllTexts<'a> {
        let lists = self.words.lists(features);
        let listed = (self.texts as f64 * self.args.word_lists).round() as usize;
        AllTexts {
            args: self.args,
            texts: self.texts,
            phrases: self.phrases,
            listed: lists.as_ref().map_or(0, |_| listed),
            lists,
        }
    }
}

impl AllTexts<'_> {
    /// All texts: those of the corpus, then phrases, then lists.
    pub fn total(&self) -> usize {
        self.texts + self.phrases + self.listed
    }

    /// Calls `visit` with each shard's number and texts.
    pub fn for_each_shard(
        self,
        mut visit: impl FnMut(usize, &[String]) -> Result<()>,
    ) -> Result<()> {
        let (mut number, mut shard) = (0, Vec::with_capacity(SHARD_TEXTS));
        let mut push = |text: String| {
            shard.push(text);
            if shard.len() == SHARD_TEXTS {
                visit(number, &shard)?;
                number += 1;
                shard.clear();
            }
            Ok(())
        };
        for_each_text(self.args, &mut push)?;
        if self.phrases > 0 {
            let mut cut = Phrases::new(self.args.phrases);
            for_each_text(self.args, |text| {
                cut.of(&text).into_iter().try_for_each(&mut push)
            })?;
        }
        self.lists
            .into_iter()
            .flatten()
            .take(self.listed)
            .try_for_each(&mut push)?;
        if shard.is_empty() {
            return Ok(());
        }
        visit(number, &shard)
    }
}

fn for_each_text(args: &TextArgs, mut visit: impl FnMut(String) -> Result<()>) -> Result<()> {
    for path in &args.corpus {
        let mut texts = Texts::file(path)?;
        while let Some(text) = texts.next()? {
            visit(text)?;
        }
    }
    Ok(())
}
