use flashvec::{Model, Task};
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::*;
use crate::{Silent, image};

const PLACES: [&str; 6] = ["kitchen", "bedroom", "garden", "attic", "hall", "cellar"];
const SONGS: [&str; 6] = ["jazz", "blues", "techno", "polka", "mambo", "swing"];

/// Texts whose label is in their words, and in their order alone for the last two labels.
fn commands(seed: u64, count: usize) -> LabelledTexts {
    let mut generator = Xoshiro256Plus::seed_from_u64(seed);
    let mut pick = |of: &[&'static str]| of[generator.gen_range(0..of.len())];
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    for at in 0..count {
        let (place, song) = (pick(&PLACES), pick(&SONGS));
        let polite = pick(&["", "please ", "would you "]);
        let (label, text) = match at % 4 {
            0 => (0, format!("{polite}turn the lamp on in the {place}")),
            1 => (1, format!("{polite}play some {song} in the {place}")),
            2 => (2, format!("{polite}move from home to work")),
            _ => (3, format!("{polite}move from work to home")),
        };
        texts.push(text);
        labels.push(label);
    }
    LabelledTexts {
        labels: ["light", "music", "out", "back"]
            .map(str::to_owned)
            .to_vec(),
        lines: (1..=count).collect(),
        targets: Targets::Single(labels),
        texts,
    }
}

fn image_options() -> ImageOptions {
    ImageOptions {
        codec: Codec::Int8,
        quantization: Quantization::default(),
        command: String::new(),
        tool: String::new(),
    }
}

fn trained(
    examples: &LabelledTexts,
    dev: Option<&LabelledTexts>,
    options: &TrainOptions,
) -> Trained {
    let base = learn_vocabulary(&examples.texts).unwrap();
    train(
        &base,
        true,
        examples,
        dev,
        options,
        &image_options(),
        &Silent,
    )
    .unwrap()
}

/// What a classifier's scores for each text are.
fn scores(image: &[u8], texts: &[String]) -> Vec<Vec<f32>> {
    let model = Model::from_bytes(image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let of_text = |text: &String| {
        model
            .classify(text, &mut scratch)
            .unwrap()
            .scores()
            .to_vec()
    };
    texts.iter().map(of_text).collect()
}

fn accuracy(image: &[u8], test: &LabelledTexts) -> f64 {
    let Targets::Single(labels) = &test.targets else {
        panic!("one label a text")
    };
    let scores = scores(image, &test.texts);
    let right = scores.iter().zip(labels).filter(|(scores, label)| {
        let wanted = scores[**label as usize];
        scores.iter().all(|score| *score <= wanted)
    });
    right.count() as f64 / labels.len() as f64
}

#[test]
fn a_classifier_learns_words_and_their_order_within_its_bytes() {
    let (train, test) = (commands(1, 400), commands(2, 200));
    for codec in [None, Some(Codec::Int8), Some(Codec::Int4)] {
        let options = TrainOptions {
            codec,
            ..TrainOptions::new(3000)
        };
        let made = trained(&train, None, &options);
        assert!(made.image.len() <= 3000);
        let accuracy = accuracy(&made.image, &test);
        assert!(accuracy > 0.99, "{codec:?}: {accuracy}");
        assert!(made.split && made.tried[0].ngrams > 0);
    }
    // Two of four labels have the same words.
    let options = TrainOptions {
        ngrams: 0,
        ..TrainOptions::new(3000)
    };
    let without = accuracy(&trained(&train, None, &options).image, &test);
    assert!((0.6..0.9).contains(&without), "{without}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let train = commands(1, 200);
    let dev = commands(3, 50);
    let base = learn_vocabulary(&train.texts).unwrap();
    assert_eq!(
        base.tokenizer,
        learn_vocabulary(&train.texts).unwrap().tokenizer
    );
    let on = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let options = TrainOptions {
            seed,
            ..TrainOptions::new(4000)
        };
        pool.unwrap()
            .install(|| trained(&train, Some(&dev), &options).image)
    };
    let one = on(1, 0);
    assert!(one == on(2, 0), "threads");
    assert!(one != on(2, 1), "seeds");
}

#[test]
fn foreign_texts_have_none_of_the_labels() {
    let train = commands(1, 400);
    let made = trained(&train, None, &TrainOptions::new(4000));
    let model = Model::from_bytes(&made.image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let mut in_scope = |text: &str| model.classify(text, &mut scratch).unwrap().is_in_scope();
    assert!(in_scope("please play some polka in the attic"));
    assert!(!in_scope("zebras quietly graze"));
    let test = commands(2, 200);
    let refused = test.texts.iter().filter(|text| !in_scope(text)).count();
    assert!(refused <= 20, "{refused} of 200");
    let options = TrainOptions {
        refused: None,
        ..TrainOptions::new(4000)
    };
    assert_eq!(trained(&train, None, &options).out_of_scope, None);
}

#[test]
fn a_smaller_image_than_there_can_be_is_refused() {
    let train = commands(1, 100);
    let base = learn_vocabulary(&train.texts).unwrap();
    let options = TrainOptions::new(300);
    let error = super::train(
        &base,
        true,
        &train,
        None,
        &options,
        &image_options(),
        &Silent,
    );
    let Err(Error::FlashTooSmall {
        asked: 300,
        smallest,
    }) = error
    else {
        panic!("{error:?}")
    };
    let options = TrainOptions::new(smallest);
    assert!(trained(&train, None, &options).image.len() <= smallest);
}

#[test]
fn a_handful_of_texts_is_learned_whole() {
    let train = commands(1, 5);
    let made = trained(&train, None, &TrainOptions::new(3000));
    assert_eq!(accuracy(&made.image, &train), 1.0);
    assert_eq!(made.out_of_scope, None);
}

/// Texts with every label whose word they have.
fn tagged(seed: u64, count: usize) -> LabelledTexts {
    let mut generator = Xoshiro256Plus::seed_from_u64(seed);
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let has: Vec<u32> = (0..3).filter(|_| generator.gen_bool(0.4)).collect();
        let words = has.iter().map(|&label| PLACES[label as usize]);
        texts.push(format!(
            "clean the house {}",
            words.collect::<Vec<_>>().join(" and ")
        ));
        labels.push(has);
    }
    LabelledTexts {
        labels: PLACES[..3]
            .iter()
            .map(|place| (*place).to_owned())
            .collect(),
        lines: (1..=count).collect(),
        targets: Targets::Multi(labels),
        texts,
    }
}

#[test]
fn texts_can_have_any_number_of_labels() {
    let (train, test) = (tagged(1, 400), tagged(2, 100));
    let made = trained(&train, None, &TrainOptions::new(4000));
    let Targets::Multi(labels) = &test.targets else {
        unreachable!()
    };
    let right = scores(&made.image, &test.texts)
        .iter()
        .zip(labels)
        .filter(|(scores, labels)| {
            (0..3).all(|label| (scores[label as usize] > 0.5) == labels.contains(&label))
        })
        .count();
    assert!(right >= 97, "{right} of 100");
}

#[test]
fn numbers_are_learned_on_their_own_scale() {
    let grades = ["awful", "poor", "fair", "good", "great"];
    let mut generator = Xoshiro256Plus::seed_from_u64(5);
    let mut reviews = |count: usize| {
        let (mut texts, mut values) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let grade = generator.gen_range(0..grades.len());
            texts.push(format!(
                "the {} was {}",
                PLACES[generator.gen_range(0..6)],
                grades[grade]
            ));
            values.push(100.0 + 20.0 * grade as f32);
        }
        LabelledTexts {
            labels: vec!["stars".to_owned()],
            lines: (1..=count).collect(),
            targets: Targets::Values(values),
            texts,
        }
    };
    let (train, test) = (reviews(400), reviews(50));
    for hidden in [0, 8] {
        let options = TrainOptions {
            hidden,
            ..TrainOptions::new(4000)
        };
        let made = trained(&train, None, &options);
        let Targets::Values(values) = &test.targets else {
            unreachable!()
        };
        for (score, value) in scores(&made.image, &test.texts).iter().zip(values) {
            assert!(
                (score[0] - value).abs() < 8.0,
                "hidden {hidden}: {score:?} for {value}"
            );
        }
        assert_eq!(
            Model::from_bytes(&made.image)
                .unwrap()
                .head()
                .unwrap()
                .task(),
            Task::Regression
        );
    }
}

#[test]
fn heavier_labels_are_told_more_often() {
    // What cannot be told apart goes to the label that counts more.
    let examples = |heavy| {
        let texts: Vec<String> = (0..200)
            .map(|at| format!("the {} again", PLACES[at / 4 % 6]))
            .collect();
        let train = LabelledTexts {
            labels: vec!["a".to_owned(), "b".to_owned()],
            lines: (1..=200).collect(),
            targets: Targets::Single((0..200).map(|at| u32::from(at % 4 == 0)).collect()),
            texts,
        };
        let options = TrainOptions {
            label_weights: Some(vec![1.0, heavy]),
            ..TrainOptions::new(4000)
        };
        let made = trained(&train, None, &options);
        let of_b: f32 = scores(&made.image, &train.texts)
            .iter()
            .map(|scores| scores[1])
            .sum();
        of_b / 200.0
    };
    let (light, heavy) = (examples(1.0), examples(9.0));
    assert!(light < 0.4 && heavy > 0.6, "{light} {heavy}");
}

#[test]
fn a_head_learns_beside_an_image_that_stays() {
    let train = commands(1, 400);
    let vocabulary = learn_vocabulary(&train.texts).unwrap();
    let dims = 16;
    let mut generator = Xoshiro256Plus::seed_from_u64(9);
    let rows = (0..vocabulary.token_count() * dims).map(|_| generator.gen_range(-1.0..1.0));
    let model = vocabulary.with_rows(vocabulary.tokenizer.clone(), rows.collect(), dims);
    let base = image::write_image(&model, &image_options(), &Silent).unwrap();
    for hidden in [0, 12] {
        let options = TrainOptions {
            hidden,
            ..TrainOptions::new(usize::MAX)
        };
        let path = std::path::Path::new("base.fvec");
        let (head, right) = train_head(&base, path, &train, None, &options, &Silent).unwrap();
        let file = head.file(&base).unwrap();
        let model = Model::from_bytes(&base).unwrap();
        let head = flashvec::Head::from_bytes(&file, &model).unwrap();
        let mut scratch = vec![0; head.scratch_len(&model)];
        let said = head
            .classify(
                &model,
                "would you play some swing in the hall",
                &mut scratch,
            )
            .unwrap();
        assert_eq!(
            said.best().and_then(|best| head.label(best.label)),
            Some("music")
        );
        // Order is lost: the last two labels are told by chance.
        assert!((0.6..0.9).contains(&right), "{right}");
    }
}
