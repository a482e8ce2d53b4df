//! Short texts made of a corpus: sentences of an encyclopedia are long, and what people search for or say is not.
//!
//! Phrases are parts of its sentences. Word lists are words drawn at random: in text a word comes with its usual
//! company, and only out of it does a row learn what its own word does to the teacher's vector.

use std::collections::HashMap;

use ndarray_rand::rand::distributions::{Distribution, WeightedIndex};
use ndarray_rand::rand::seq::SliceRandom;
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::features::Features;

/// Always the same texts, so that the teacher's vectors of them can be used again.
const SEED: u64 = 0;

/// Words a phrase.
const PHRASE: std::ops::RangeInclusive<usize> = 3..=12;
/// Words a list.
const LIST: std::ops::RangeInclusive<usize> = 2..=10;

/// The most frequent words of a corpus that lists are drawn from.
const WORDS: usize = 20_000;
/// Those of them that are common.
const COMMON_WORDS: usize = 800;
/// With fewer words than this, lists would say little: the corpus is very small, or does not put spaces between words.
const FEWEST_WORDS: usize = 8;
/// How often a word is drawn, as a power of how often the corpus has it.
const COMMON_POWER: f64 = 0.4;
const POWER: f64 = 0.25;
/// Shares of common words that lists have, each as often.
const COMMON_SHARES: [f64; 4] = [0.2, 0.5, 0.8, 1.0];
/// What lists end with, each as often.
const ENDS: [&str; 7] = ["", "", "", "", ".", ".", "?"];

/// Cuts phrases from texts.
pub struct Phrases {
    generator: Xoshiro256Plus,
    share: f64,
    due: f64,
}

impl Phrases {
    /// `share` phrases a text. The same texts give the same phrases.
    pub fn new(share: f64) -> Self {
        Self {
            generator: Xoshiro256Plus::seed_from_u64(SEED),
            share,
            due: 0.0,
        }
    }

    /// The phrases of the next text: none if it is none's turn, or if the text is no longer than they would be.
    pub fn of(&mut self, text: &str) -> Vec<String> {
        self.due += self.share;
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut phrases = Vec::new();
        while self.due >= 1.0 {
            self.due -= 1.0;
            let count = self.generator.gen_range(PHRASE);
            if words.len() <= count {
                continue;
            }
            let first = self.generator.gen_range(0..=words.len() - count);
            let phrase = words[first..first + count].join(" ");
            let edges = |c| ",;:()\"' ".contains(c);
            let phrase = phrase.trim_matches(edges);
            if !phrase.is_empty() {
                phrases.push(phrase.to_owned());
            }
        }
        phrases
    }
}

/// How often a corpus has each word.
#[derive(Default)]
pub struct WordCounts(HashMap<String, u64>);

impl WordCounts {
    /// Counts the words of a text: what is between white space, without the punctuation around it, in lower case; what
    /// is not all letters is no word.
    pub fn add(&mut self, text: &str) {
        for word in text.split_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            if word.is_empty() || !word.chars().all(char::is_alphabetic) {
                continue;
            }
            *self.0.entry(word.to_lowercase()).or_default() += 1;
        }
    }

    /// Lists of the most frequent of the words that `features` knows as one token, without an end; `None` if there are
    /// too few for it. The same counts give the same lists.
    pub fn lists(self, features: &Features<'_>) -> Option<WordLists> {
        self.lists_of(|word| features.is_token(word))
    }

    fn lists_of(self, is_token: impl Fn(&str) -> bool) -> Option<WordLists> {
        // A word that occurs once may be a typing error.
        let mut counts: Vec<(String, u64)> = self.0.into_iter().filter(|word| word.1 > 1).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        // Words of several tokens, most of them names, would teach less about each (0.2 less on STS-B).
        let counts: Vec<(String, u64)> = counts
            .into_iter()
            .filter(|(word, _)| is_token(word))
            .take(WORDS)
            .collect();
        if counts.len() < FEWEST_WORDS {
            return None;
        }
        let weighted = |most: usize, power: f64| {
            let weights = counts.iter().take(most);
            WeightedIndex::new(weights.map(|&(_, count)| (count as f64).powf(power))).ok()
        };
        Some(WordLists {
            common: weighted(COMMON_WORDS, COMMON_POWER)?,
            all: weighted(WORDS, POWER)?,
            words: counts.into_iter().map(|(word, _)| word).collect(),
            generator: Xoshiro256Plus::seed_from_u64(SEED),
        })
    }
}

/// Words drawn at random, a list a text.
pub struct WordLists {
    words: Vec<String>,
    common: WeightedIndex<f64>,
    all: WeightedIndex<f64>,
    generator: Xoshiro256Plus,
}

impl Iterator for WordLists {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let generator = &mut self.generator;
        // The shorter of two draws: more short lists than long ones.
        let count = generator.gen_range(LIST).min(generator.gen_range(LIST) + 1);
        let share = *COMMON_SHARES.choose(generator)?;
        let mut text = String::new();
        for at in 0..count {
            let words = if generator.r#gen::<f64>() < share {
                &self.common
            } else {
                &self.all
            };
            if at > 0 {
                text.push(' ');
            }
            text.push_str(&self.words[words.sample(generator)]);
        }
        text.push_str(ENDS.choose(generator)?);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_parts_of_their_texts() {
        let text =
            "(one, two three four five six seven eight nine ten eleven twelve thirteen fourteen)";
        let cut = |share| {
            let mut phrases = Phrases::new(share);
            (0..40).flat_map(|_| phrases.of(text)).collect::<Vec<_>>()
        };
        let phrases = cut(0.5);
        assert_eq!(phrases.len(), 20);
        assert_eq!(cut(2.0).len(), 80);
        assert!(cut(0.0).is_empty());
        for phrase in &phrases {
            assert!(text.contains(phrase), "{phrase}");
            assert!((3..=12).contains(&phrase.split(' ').count()), "{phrase}");
            assert!(
                !phrase.starts_with('(') && !phrase.ends_with(','),
                "{phrase}"
            );
        }
        assert_eq!(cut(0.5), phrases);
        assert!(Phrases::new(1.0).of("too short").is_empty());
    }

    #[test]
    fn lists_have_the_words_of_the_corpus_and_common_ones_more_often() {
        let mut counts = WordCounts::default();
        for at in 0..2000 {
            let letters = [b'a' + (at % 26) as u8, b'a' + (at / 26 % 26) as u8, b'q'];
            let word = String::from_utf8(letters.to_vec()).unwrap();
            counts.add(&format!("The \"{word}\", the THE {word}! 42 x2"));
        }
        let lists: Vec<String> = counts.lists_of(|_| true).unwrap().take(500).collect();
        let words: Vec<&str> = lists
            .iter()
            .flat_map(|list| list.trim_end_matches(['.', '?']).split(' '))
            .collect();
        assert!(
            words
                .iter()
                .all(|&word| word == "the" || (word.len() == 3 && word.ends_with('q')))
        );
        let share = words.iter().filter(|&&word| word == "the").count() as f64 / words.len() as f64;
        assert!((0.005..0.2).contains(&share), "{share}");
        let mut few = WordCounts::default();
        few.add("once twice twice");
        assert!(few.lists_of(|_| true).is_none());
    }
}
