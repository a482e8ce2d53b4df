//! How well a text matches each label.

use super::layout::{MAX_EXAMPLES, Slot, State};
use crate::similarity::sqrt;

/// The least similarity that [`Matches::best`] takes for a match: a cosine.
///
/// Measured with an English model of 1 MB and five examples of each of Snips' seven intents, over a hundred draws: of
/// Snips' test texts 83 % reach it, of Banking77's, which have none of the intents, 24 %.
pub const DEFAULT_THRESHOLD: f32 = 0.25;

/// Fixed point of squares and products of directions.
const SQUARE_ONE: f32 = (1_u32 << 30) as f32;

/// Added to the square of a class mean's distance from the mean of all, 2^-6, so that a label in the middle of all
/// others does not get the better of them by noise.
const SMOOTHING: i64 = 1 << 24;

/// A label that a text may have.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Match {
    /// The label's number, for [`FewShot::label`](crate::FewShot::label).
    pub label: usize,
    /// Cosine of the angle between the text's embedding and the mean of the label's examples, -1 to 1 up to rounding.
    /// Says whether the text has the label at all: see [`DEFAULT_THRESHOLD`].
    pub similarity: f32,
    /// What labels are ranked by; comparable between the labels of one text only.
    pub score: f32,
}

/// How well a text matches each label, in the caller's scratch. A text without known tokens matches none.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Matches<'s> {
    /// Bits of score and similarity, a slot each; [`NOTHING`] where there is no label.
    slots: &'s [[u32; 2]],
}

pub(super) const NOTHING: [u32; 2] = [u32::MAX; 2];

impl<'s> Matches<'s> {
    pub(super) const fn new(slots: &'s [[u32; 2]]) -> Self {
        Self { slots }
    }

    /// The likeliest label; `None`, "none of these", if its similarity is below [`DEFAULT_THRESHOLD`]. Never panics.
    pub fn best(&self) -> Option<Match> {
        self.best_above(DEFAULT_THRESHOLD)
    }

    /// The likeliest label; `None`, "none of these", if its similarity is below `threshold`: -1.0 or less takes any.
    /// Never panics.
    pub fn best_above(&self, threshold: f32) -> Option<Match> {
        let best = self.after(None)?;
        (best.similarity >= threshold).then_some(best)
    }

    /// The `k` likeliest labels, the likeliest first; of equally likely ones, the one with the lower number. Whatever
    /// their similarity. Takes time linear in `k` × labels; never panics.
    pub fn top(&self, k: usize) -> impl Iterator<Item = Match> + use<'s> {
        let matches = *self;
        let mut last = None;
        let next = move |_| {
            last = matches.after(last);
            last
        };
        (0..k).map_while(next).fuse()
    }

    /// All labels, in the order of their numbers. Never panics.
    pub fn iter(&self) -> impl Iterator<Item = Match> + use<'s> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| **slot != NOTHING)
            .map(|(label, &[score, similarity])| Match {
                label,
                similarity: f32::from_bits(similarity),
                score: f32::from_bits(score),
            })
    }

    /// The next after one in the order of likelihood.
    fn after(&self, last: Option<Match>) -> Option<Match> {
        let behind =
            |a: &Match, b: &Match| a.score < b.score || a.score == b.score && a.label > b.label;
        self.iter()
            .filter(|found| last.is_none_or(|last| behind(found, &last)))
            .reduce(|best, found| if behind(&best, &found) { found } else { best })
    }
}

/// Writes the mean of class means to `mean`, a word a dimension: 2^30 over the number of examples, rounded down, times
/// each sum, shifted right by 30, added up, over the number of labels, towards zero. Nothing of that if there are
/// fewer than two labels, since one is not told from itself.
pub(super) fn mean_of_means(state: &State<'_>, mean: &mut [u32]) {
    mean.fill(0);
    let mut labels = 0;
    for slot in state.slots().filter(|slot| slot.examples > 0) {
        // Examples are fewer than 2^15 and a sum is below 2^16 times their number.
        let share = (1_i64 << 30) / i64::from(slot.examples.clamp(1, MAX_EXAMPLES));
        for (mean, sum) in mean.iter_mut().zip(slot.sums()) {
            let of_class = (i64::from(sum) * share) >> 30;
            *mean = mean.wrapping_add(of_class as u32);
        }
        labels += 1;
    }
    let labels = if labels < 2 { i32::MAX } else { labels };
    for mean in mean {
        *mean = (*mean as i32).checked_div(labels).unwrap_or(0) as u32;
    }
}

/// The products that all labels of a text share.
pub(super) struct Products {
    text_text: i64,
    text_mean: i64,
    mean_mean: i64,
}

impl Products {
    pub fn new(text: &[u32], mean: &[u32]) -> Self {
        Self {
            text_text: dot(text, text),
            text_mean: dot(text, mean),
            mean_mean: dot(mean, mean),
        }
    }
}

/// Bits of a label's score and similarity.
///
/// With *v* the text's direction, *S* the sum of the *n* examples' and *m* the mean of class means, the similarity is
/// the cosine of *v* and *S*, and the score (*v* - *m*) · (*S* / *n* - *m*) / (|*S* / *n* - *m*|² + 2^-6)^(3/4): between
/// a nearest class mean by cosine, which ignores how much examples agree, and by distance, which makes too much of it.
pub(super) fn score(slot: &Slot<'_>, text: &[u32], mean: &[u32], all: &Products) -> [u32; 2] {
    let (mut text_sum, mut mean_sum, mut sum_sum) = (0_i64, 0_i64, 0_i64);
    for ((sum, &text), &mean) in slot.sums().zip(text).zip(mean) {
        let sum = i64::from(sum);
        text_sum = text_sum.wrapping_add(sum.wrapping_mul(i64::from(text as i32)));
        mean_sum = mean_sum.wrapping_add(sum.wrapping_mul(i64::from(mean as i32)));
        sum_sum = sum_sum.wrapping_add(sum.wrapping_mul(sum));
    }
    // All exact: directions and their means are shorter than 2^16, examples at most 2^14, so nothing reaches 2^62.
    let examples = slot.examples.min(MAX_EXAMPLES);
    let count = i64::from(examples);
    let product = (text_sum - mean_sum).wrapping_sub(count * (all.text_mean - all.mean_mean));
    let distance = sum_sum
        .wrapping_sub(2 * count * mean_sum)
        .wrapping_add(count * count * (all.mean_mean + SMOOTHING));

    let product = product as f32 / examples as f32 * (1.0 / SQUARE_ONE);
    let distance = distance as f32 / (examples * examples) as f32 * (1.0 / SQUARE_ONE);
    let length = sqrt(distance);
    let score = product / (length * sqrt(length));

    let lengths = sqrt(all.text_text as f32) * sqrt(sum_sum as f32);
    let similarity = if sum_sum > 0 {
        text_sum as f32 / lengths
    } else {
        0.0
    };
    [score.to_bits(), similarity.to_bits()]
}

fn dot(a: &[u32], b: &[u32]) -> i64 {
    a.iter().zip(b).fold(0, |sum, (&x, &y)| {
        sum.wrapping_add(i64::from(x as i32).wrapping_mul(i64::from(y as i32)))
    })
}
