//! Semantic textual similarity: do cosines rank sentence pairs as people do?

use std::path::{Path, PathBuf};

use flashvec::{Model, cosine};
use flashvec_distiller::Progress;
use rayon::prelude::*;

use crate::error::Result;
use crate::texts::Texts;

/// Groups of pairs by length: name and largest number of tokens a text.
const LENGTHS: [(&str, usize); 4] = [("1-3", 3), ("4-8", 8), ("9-16", 16), ("17+", usize::MAX)];

/// Fewer pairs of a length say more about chance than about the model.
const MIN_PAIRS_OF_LENGTH: usize = 20;

/// Sentence pairs with scores of their similarity.
pub struct SentencePairs {
    pub path: PathBuf,
    scores: Vec<f64>,
    sentences: Vec<(String, String)>,
}

/// How well cosines rank sentence pairs.
#[derive(Clone)]
pub struct StsScore {
    /// Spearman's rank correlation between scores and cosines, times 100.
    pub spearman: f64,
    /// The same over pairs of like length, shortest first.
    pub by_length: [LengthScore; LENGTHS.len()],
}

/// The score over pairs whose texts have so many tokens, in the mean of the two, rounded up.
#[derive(Clone)]
pub struct LengthScore {
    /// The range of tokens a text, such as `4-8`. A pair without tokens counts as shortest.
    pub tokens: &'static str,
    pub pairs: usize,
    /// Spearman's rank correlation, times 100; `None` for fewer than 20 pairs.
    pub spearman: Option<f64>,
}

impl SentencePairs {
    /// Reads a tab-separated file of score, sentence1, sentence2; a first line whose score is no
    /// number is its header.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io); [`Error::Line`](crate::error::Error::Line) for a
    /// row of another form, or fewer than two rows.
    pub fn read(path: &Path) -> Result<Self> {
        let mut lines = Texts::file(path)?;
        let mut pairs = Self {
            path: path.to_owned(),
            scores: Vec::new(),
            sentences: Vec::new(),
        };
        let mut header = true;
        while let Some(line) = lines.next()? {
            let columns: Vec<&str> = line.split('\t').collect();
            let [score, first, second] = columns[..] else {
                return Err(lines.error(format!(
                    "{} columns instead of 3: score, sentence1, sentence2",
                    columns.len()
                )));
            };
            match score.parse::<f64>() {
                Ok(score) if score.is_finite() => {
                    pairs.scores.push(score);
                    pairs.sentences.push((first.to_owned(), second.to_owned()));
                }
                _ if header => {}
                _ => return Err(lines.error(format!("the score {score:?} is not a number"))),
            }
            header = false;
        }
        if pairs.scores.len() < 2 {
            return Err(lines.error("fewer than two pairs; a correlation needs more"));
        }
        Ok(pairs)
    }

    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// # Errors
    /// [`Error::Encode`](crate::error::Error::Encode).
    pub fn score(&self, model: &Model<'_>, progress: &dyn Progress) -> Result<StsScore> {
        progress.begin("Encoding, pairs", self.len() as u64);
        let measured: Result<Vec<(f64, usize)>> = self
            .sentences
            .par_iter()
            .map_init(
                || (vec![0; model.scratch_len()], Vec::new()),
                |(scratch, embedding), (first, second)| {
                    embedding.clear();
                    embedding.extend_from_slice(model.encode(first, scratch)?);
                    let cosine = cosine(embedding, model.encode(second, scratch)?);
                    let mut tokens = 0_usize;
                    model.tokenize(first, scratch, |_| tokens += 1)?;
                    model.tokenize(second, scratch, |_| tokens += 1)?;
                    progress.advance(1);
                    Ok((f64::from(cosine), tokens.div_ceil(2)))
                },
            )
            .collect();
        progress.finish();
        let (cosines, tokens): (Vec<f64>, Vec<usize>) = measured?.into_iter().unzip();
        Ok(StsScore {
            spearman: 100.0 * spearman(&cosines, &self.scores),
            by_length: by_length(&cosines, &self.scores, &tokens),
        })
    }
}

fn by_length(cosines: &[f64], scores: &[f64], tokens: &[usize]) -> [LengthScore; LENGTHS.len()] {
    let mut above = None;
    LENGTHS.map(|(name, longest)| {
        let (cosines, scores): (Vec<f64>, Vec<f64>) = tokens
            .iter()
            .zip(cosines.iter().zip(scores))
            .filter(|&(&tokens, _)| tokens <= longest && above.is_none_or(|above| tokens > above))
            .map(|(_, (cosine, score))| (cosine, score))
            .unzip();
        above = Some(longest);
        LengthScore {
            tokens: name,
            pairs: scores.len(),
            spearman: (scores.len() >= MIN_PAIRS_OF_LENGTH)
                .then(|| 100.0 * spearman(&cosines, &scores)),
        }
    })
}

/// Spearman's rank correlation: Pearson's between ranks, ties sharing their mean rank.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let covariance = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let deviations = (covariance(&a, &a) * covariance(&b, &b)).sqrt();
    if deviations > 0.0 {
        covariance(&a, &b) / deviations
    } else {
        0.0
    }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        // Ranks count from 1: the mean of from + 1 to from + tied.
        let rank = from as f64 + (tied.len() as f64 + 1.0) / 2.0;
        for &index in tied {
            ranks[index] = rank;
        }
        from += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spearman_handles_order_and_ties() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 90.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[3.0, 2.0, 1.0]), 0.0);
        // scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4])
        assert!(
            (spearman(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 0.948_683_298_050_513_8)
                .abs()
                < 1e-12
        );
    }

    #[test]
    fn pairs_fall_into_lengths() {
        let tokens: Vec<usize> = (0..=3)
            .cycle()
            .take(25)
            .chain([4, 8, 9, 16, 17, 900])
            .collect();
        let rising: Vec<f64> = (0..tokens.len()).map(|at| at as f64).collect();
        let falling: Vec<f64> = rising.iter().map(|value| -value).collect();
        let scores = by_length(&rising, &falling, &tokens);
        assert_eq!(scores.each_ref().map(|score| score.pairs), [25, 2, 2, 2]);
        assert_eq!(scores[0].spearman, Some(-100.0));
        assert!(scores[1..].iter().all(|score| score.spearman.is_none()));
    }
}
