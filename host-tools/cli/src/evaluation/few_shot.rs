//! Few-shot classification: what core's classifier, which learns on the device, tells after a few examples.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use flashvec::{FewShot, FewShotError, Matches, Model};
use flashvec_distiller::Progress;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::seq::index;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::classification::read_texts;
use crate::error::{Error, Result};
use crate::tsv::Tsv;

#[derive(clap::Args)]
pub struct FewShotArgs {
    /// Tab-separated files as for --classify: draws a few examples of each label from the first one, has the classifier
    /// for devices learn them and prints its accuracy on the second; repeat for more
    #[arg(long, num_args = 2, value_names = ["TRAIN", "TEST"])]
    few_shot: Vec<PathBuf>,

    /// Distinct examples of each label
    #[arg(long, value_name = "N", default_value = "5", requires = "few_shot", value_parser = clap::value_parser!(u32).range(1..=16_384))]
    examples: u32,

    /// How often examples are drawn, each time by a seed of its own
    #[arg(long, value_name = "N", default_value = "100", requires = "few_shot", value_parser = clap::value_parser!(u32).range(1..))]
    draws: u32,

    /// Tab-separated file with a column text, of texts that have none of the labels: prints how many of them are
    /// rejected, as less like any label than the classifier's default threshold, and how many test texts are not
    #[arg(long, value_name = "FILE", requires = "few_shot")]
    unrelated: Option<PathBuf>,
}

/// Texts with labels, a few of which are learnt.
pub struct FewShotSet {
    pub train_path: PathBuf,
    pub test_path: PathBuf,
    pub examples: usize,
    pub draws: usize,
    /// The distinct training texts of each label.
    train: Vec<Vec<String>>,
    /// Texts and the number of their label, which only test texts may have.
    test: Vec<(String, Option<usize>)>,
    unrelated: Vec<String>,
}

/// How well labels are found, over all draws.
pub struct FewShotScore {
    /// Mean percentage of test texts whose label was found.
    pub accuracy: f64,
    /// Standard deviation of a draw's accuracy.
    pub deviation: f64,
    /// Mean percentage of test texts that reach the default threshold.
    pub accepted: f64,
    /// Mean percentage of unrelated texts that do not; `None` without any.
    pub rejected: Option<f64>,
}

impl FewShotSet {
    /// Reads the sets of all arguments.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Line`] for a row of another form; [`Error::Arguments`] if there is nothing to test.
    pub fn read_all(args: &FewShotArgs) -> Result<Vec<Self>> {
        let mut unrelated = Vec::new();
        if let Some(path) = &args.unrelated {
            let mut rows = Tsv::open(path, &[])?;
            let text = rows.column("text")?;
            while let Some(cells) = rows.next()? {
                unrelated.push(cells[text].to_owned());
            }
        }
        let pairs = args.few_shot.as_chunks().0.iter();
        pairs
            .map(|[train, test]| Self::read(train, test, args, &unrelated))
            .collect()
    }

    fn read(train: &Path, test: &Path, args: &FewShotArgs, unrelated: &[String]) -> Result<Self> {
        let (names, texts) = read_texts(train)?;
        let mut seen = HashSet::new();
        let mut by_label: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, text) in names.into_iter().zip(texts) {
            if seen.insert((name.clone(), text.clone())) {
                by_label.entry(name).or_default().push(text);
            }
        }
        let labels: Vec<&String> = by_label.keys().collect();
        let (names, texts) = read_texts(test)?;
        if texts.is_empty() {
            return Err(Error::Arguments(format!(
                "{}: no texts below the header line",
                test.display()
            )));
        }
        let numbers = names.iter().map(|name| labels.binary_search(&name).ok());
        let test_texts = texts.into_iter().zip(numbers).collect();
        Ok(Self {
            train_path: train.to_owned(),
            test_path: test.to_owned(),
            examples: args.examples as usize,
            draws: args.draws as usize,
            train: by_label.into_values().collect(),
            test: test_texts,
            unrelated: unrelated.to_vec(),
        })
    }

    /// Test texts.
    pub fn texts(&self) -> usize {
        self.test.len()
    }

    /// Labels of the training texts.
    pub fn labels(&self) -> usize {
        self.train.len()
    }

    /// Learns and scores every draw, on all cores. The same draws for every model.
    ///
    /// # Errors
    /// [`Error::FewShot`].
    pub fn score(&self, model: &Model<'_>, progress: &dyn Progress) -> Result<FewShotScore> {
        progress.begin("Learning, draws", self.draws as u64);
        let draws = (0..self.draws).into_par_iter().map(|seed| {
            let draw = self.score_draw(model, seed as u64);
            progress.advance(1);
            draw
        });
        let draws: std::result::Result<Vec<Draw>, FewShotError> = draws.collect();
        progress.finish();
        let draws = draws?;
        let mean = |of: fn(&Draw) -> f64| draws.iter().map(of).sum::<f64>() / draws.len() as f64;
        let accuracy = mean(|draw| draw.accuracy);
        let squares = draws.iter().map(|draw| (draw.accuracy - accuracy).powi(2));
        let deviation = (squares.sum::<f64>() / (draws.len() - 1).max(1) as f64).sqrt();
        Ok(FewShotScore {
            accuracy,
            deviation,
            accepted: mean(|draw| draw.accepted),
            rejected: (!self.unrelated.is_empty()).then(|| mean(|draw| draw.rejected)),
        })
    }

    fn score_draw(&self, model: &Model<'_>, seed: u64) -> std::result::Result<Draw, FewShotError> {
        let mut buffer = vec![0; FewShot::len_for(model, self.train.len())];
        let mut few_shot = FewShot::new(model, &mut buffer)?;
        let mut scratch = vec![0; few_shot.scratch_len()];
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        // Where each of the classifier's labels is in the set.
        let mut numbers = vec![None; few_shot.capacity()];
        for (number, texts) in self.train.iter().enumerate() {
            for at in index::sample(&mut random, texts.len(), self.examples.min(texts.len())) {
                // Names may be longer than the classifier takes.
                match few_shot.add_example(&number.to_string(), &texts[at], &mut scratch) {
                    Ok(()) | Err(FewShotError::NoKnownTokens) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for label in few_shot.labels() {
            numbers[label.label] = label.name.parse().ok();
        }
        let label = |found: &Matches<'_>| numbers[found.top(1).next()?.label];
        let (mut hits, mut accepted, mut rejected) = (0, 0, 0);
        for (text, number) in &self.test {
            let found = few_shot.classify(text, &mut scratch)?;
            hits += usize::from(number.is_some() && label(&found) == *number);
            accepted += usize::from(found.best().is_some());
        }
        for text in &self.unrelated {
            rejected += usize::from(few_shot.classify(text, &mut scratch)?.best().is_none());
        }
        let percentage = |count: usize, of: usize| 100.0 * count as f64 / of.max(1) as f64;
        Ok(Draw {
            accuracy: percentage(hits, self.test.len()),
            accepted: percentage(accepted, self.test.len()),
            rejected: percentage(rejected, self.unrelated.len()),
        })
    }
}

/// Percentages of one draw.
struct Draw {
    accuracy: f64,
    accepted: f64,
    rejected: f64,
}
