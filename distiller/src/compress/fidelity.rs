//! What compression costs: cosines against those of the float table.

use flashvec::{Model, cosine};
use ndarray_rand::rand::distributions::{Distribution, WeightedIndex};
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::prune::Tokens;
use crate::error::{Error, Result};
use crate::image::Trie;

/// Pairs of texts that are compared.
const PAIRS: usize = 4000;
/// Tokens a text.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=16;
const SEED: u64 = 0x636F_7369_6E65;

/// Pearson's correlation between the cosines of made-up texts with the image and with `rows`, all
/// tokens' rows of `dims` values.
///
/// A text is some tokens drawn by their share of text; the second text of a pair has some of the first
/// one's.
///
/// # Errors
///
/// [`Error::Image`] if the image cannot be read.
pub(super) fn correlation(
    tokens: &Tokens<'_>,
    rows: &[f32],
    dims: usize,
    kept: &[u32],
    image: &[u8],
) -> Result<f64> {
    let unusable = |source| Error::Image {
        path: "the image just made".into(),
        source,
    };
    let model = Model::from_bytes(image).map_err(unusable)?;
    let all = tokens.tokenizer.tokens.len();
    let kept_tokens: Vec<String> = kept
        .iter()
        .map(|&id| tokens.tokenizer.tokens[id as usize].clone())
        .collect();
    let mut image_ids = vec![None; all];
    let prefix = &tokens.tokenizer.continuing_subword_prefix;
    for (new, at) in (0..).zip(Trie::build(&kept_tokens, prefix)?.order) {
        image_ids[kept[at as usize] as usize] = Some(new);
    }
    let is_kept: Vec<bool> = image_ids.iter().map(Option::is_some).collect();
    let Ok(drawn) = WeightedIndex::new(&tokens.shares) else {
        return Ok(1.0);
    };
    let mut generator = Xoshiro256Plus::seed_from_u64(SEED);
    let mut scratch = vec![0; model.scratch_len()];
    let mut embed = |text: &[usize]| -> Result<(Vec<f32>, Vec<f32>)> {
        let mut float = vec![0.0; dims];
        let mut ids: Vec<u32> = Vec::new();
        for &id in text {
            let row = &rows[id * dims..][..dims];
            float.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            let pieces = match is_kept[id] {
                true => vec![id as u32],
                false => tokens.pieces(id as u32, &is_kept).unwrap_or_default(),
            };
            ids.extend(pieces.iter().filter_map(|&id| image_ids[id as usize]));
        }
        let embedding = model.encode_ids(&ids, &mut scratch).map_err(unusable)?;
        Ok((float, embedding.to_vec()))
    };
    let mut cosines = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        let len = generator.gen_range(LENGTHS);
        let common: f64 = generator.r#gen();
        let first: Vec<usize> = (0..len).map(|_| drawn.sample(&mut generator)).collect();
        let second: Vec<usize> = first
            .iter()
            .map(|&id| match generator.gen_bool(common) {
                true => id,
                false => drawn.sample(&mut generator),
            })
            .collect();
        let (a, b) = (embed(&first)?, embed(&second)?);
        cosines.push((f64::from(cosine(&a.0, &b.0)), f64::from(cosine(&a.1, &b.1))));
    }
    Ok(pearson(&cosines))
}

/// 1 if either side is constant: then there was nothing to lose.
fn pearson(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for pair in pairs {
        let (dx, dy) = (pair.0 - x, pair.1 - y);
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    if xx > 0.0 && yy > 0.0 {
        xy / (xx * yy).sqrt()
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pearson_of_known_pairs() {
        let line: Vec<(f64, f64)> = (0..9).map(|x| (f64::from(x), 3.0 - f64::from(x))).collect();
        assert!((pearson(&line) + 1.0).abs() < 1e-12);
        // numpy.corrcoef([1, 2, 3, 4], [1, 3, 2, 5])
        let pairs = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 5.0)];
        assert!((pearson(&pairs) - 0.831_521_841).abs() < 1e-9);
        assert_eq!(pearson(&[(1.0, 1.0)]), 1.0);
    }
}
