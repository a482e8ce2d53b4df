//! Rows of the kept tokens, fitted to what they now stand for.

use faer::prelude::Solve;
use faer::sparse::{SparseColMat, Triplet};
use faer::{Mat, Side};

use super::prune::Tokens;
use crate::error::{Error, Result};

/// How strongly a row is held where it was, against fitting an average token.
const HOLD: f64 = 10.0;

/// The rows of the `kept` tokens, such that the pieces of tokens that went add up to what their rows
/// were.
///
/// Weighted least squares over all tokens, each weighing as much as its share of text; kept tokens
/// stand for themselves. The normal equations are sparse and solved by Cholesky's decomposition.
///
/// # Errors
/// [`Error::Eigen`] if rows are not finite.
pub(super) fn refit(
    tokens: &Tokens<'_>,
    rows: &[f32],
    dims: usize,
    kept: &[u32],
) -> Result<Vec<f32>> {
    let all = tokens.tokenizer.tokens.len();
    let mut new_ids = vec![None; all];
    for (new, &old) in kept.iter().enumerate() {
        new_ids[old as usize] = Some(new);
    }
    let is_kept: Vec<bool> = new_ids.iter().map(Option::is_some).collect();
    let mean = 1.0 / all as f64;
    let mut triplets = Vec::new();
    let mut target = Mat::<f64>::zeros(kept.len(), dims);
    let row = |id: usize| &rows[id * dims..(id + 1) * dims];
    for id in 0..all {
        let weight = tokens.shares[id] / mean;
        if let Some(new) = new_ids[id] {
            let hold = HOLD * weight.max(1.0);
            triplets.push(Triplet::new(new, new, weight + hold));
            for (column, &value) in row(id).iter().enumerate() {
                target[(new, column)] += (weight + hold) * f64::from(value);
            }
        } else {
            let pieces = tokens.pieces(id as u32, &is_kept).unwrap_or_default();
            let pieces: Vec<usize> = pieces.iter().filter_map(|&p| new_ids[p as usize]).collect();
            for &a in &pieces {
                triplets.extend(pieces.iter().map(|&b| Triplet::new(a, b, weight)));
                for (column, &value) in row(id).iter().enumerate() {
                    target[(a, column)] += weight * f64::from(value);
                }
            }
        }
    }
    let failed = |_| Error::Eigen;
    let normal = SparseColMat::try_new_from_triplets(kept.len(), kept.len(), &triplets)
        .map_err(|_| Error::Eigen)?;
    let solved = normal
        .sp_cholesky(Side::Lower)
        .map_err(failed)?
        .solve(&target);
    Ok((0..kept.len())
        .flat_map(|row| (0..dims).map(move |column| (row, column)))
        .map(|at| solved[at] as f32)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::WordPieceTokenizer;

    #[test]
    fn pieces_come_to_add_up_to_a_word_that_went() {
        let tokens = ["[UNK]", "light", "##house", "lighthouse", "a"].map(str::to_owned);
        let tokenizer = WordPieceTokenizer {
            tokens: tokens.to_vec(),
            unk: 0,
            continuing_subword_prefix: "##".to_owned(),
            max_input_chars_per_word: 100,
            added_tokens: Vec::new(),
            stages: serde_json::Value::Null,
        };
        let mut tokens = Tokens::new(&tokenizer, None);
        // A word that text is full of, as against its pieces.
        tokens.shares = vec![0.0, 0.001, 0.001, 0.9, 0.098];
        let rows = [[0.0, 0.0], [1.0, 0.0], [0.0, 0.5], [4.0, 4.0], [1.0, 1.0]].concat();
        let fitted = refit(&tokens, &rows, 2, &[0, 1, 2, 4]).unwrap();
        let sum = [fitted[2] + fitted[4], fitted[3] + fitted[5]];
        let before = f32::hypot(1.0 - 4.0, 0.5 - 4.0);
        let after = f32::hypot(sum[0] - 4.0, sum[1] - 4.0);
        assert!(after < 0.75 * before, "{fitted:?}");
        assert_eq!(fitted[6..], [1.0, 1.0], "what stands for itself stays");
    }
}
