//! What a few-shot classifier promises: exact sums, sound states, the same bytes for good.

#[path = "../fuzz/fuzz_targets/few_shot_input.rs"]
mod few_shot_input;

use flashvec::few_shot_layout::{CRC_OFFSET, MAX_EXAMPLES, PRELUDE_LEN, SLOT_HEAD_LEN, slot_len};
use flashvec::image::crc32;
use flashvec::{Codec, Error, FewShot, FewShotError, Model, cosine};
use flashvec_tests::golden::{CODECS, TEXTS};
use flashvec_tests::synthetic::{Random, image, model as float_model, tiny_image, tiny_tokenizer};

const WORDS: [&str; 9] = [
    "the", "light", "turn", "on", "off", "lamp", "kitchen", "play", "music",
];

fn golden_image() -> Model<'static> {
    Model::from_bytes(few_shot_input::IMAGE).unwrap()
}

fn random_text(random: &mut Random) -> String {
    let words = (0..1 + random.number() % 6).map(|_| WORDS[random.number() as usize % WORDS.len()]);
    words.collect::<Vec<_>>().join(" ")
}

fn buffer(model: &Model<'_>, labels: usize) -> Vec<u8> {
    // What was there before does not matter.
    vec![0xA5; FewShot::len_for(model, labels)]
}

/// Puts the right checksum into a changed state, so that the change gets past it.
fn seal(state: &mut [u8]) {
    let crc = crc32(&state[CRC_OFFSET + 4..]);
    state[CRC_OFFSET..][..4].copy_from_slice(&crc.to_le_bytes());
}

/// Three labels; the texts' words say which.
fn learn(few_shot: &mut FewShot<'_, '_>, scratch: &mut [u32]) {
    for (label, text) in [
        ("light", "turn on the light"),
        ("light", "light off"),
        ("music", "play music"),
        ("music", "play the music"),
        ("天気", "a b c d"),
    ] {
        few_shot.add_example(label, text, scratch).unwrap();
    }
}

#[test]
fn examples_are_found_again() {
    for codec in CODECS {
        let image = tiny_image(codec).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let mut buffer = buffer(&model, 5);
        let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
        let mut scratch = vec![0; few_shot.scratch_len()];
        assert_eq!((few_shot.capacity(), few_shot.labels().count()), (5, 0));
        assert_eq!(
            few_shot.classify("light", &mut scratch).unwrap().best(),
            None
        );
        learn(&mut few_shot, &mut scratch);
        let labels: Vec<_> = few_shot
            .labels()
            .map(|of| (of.name, of.label, of.examples))
            .collect();
        assert_eq!(labels, [("light", 0, 2), ("music", 1, 2), ("天気", 2, 1)]);
        for (text, label) in [
            ("the light on", "light"),
            ("play music", "music"),
            ("a b c d", "天気"),
        ] {
            let matches = few_shot.classify(text, &mut scratch).unwrap();
            let top: Vec<_> = matches.top(2).collect();
            assert_eq!(few_shot.label(top[0].label), Some(label), "{codec} {text}");
            assert!(top.len() == 2 && top[0].score > top[1].score);
            assert_eq!(matches.best(), Some(top[0]));
            assert_eq!(matches.best_above(top[0].similarity), Some(top[0]));
            assert_eq!(matches.best_above(top[0].similarity.next_up()), None);
            assert_eq!(matches.top(9).count(), 3);
        }
        // Its only example: the cosine is 1.
        let found = few_shot
            .classify("a b c d", &mut scratch)
            .unwrap()
            .best()
            .unwrap();
        assert!((found.similarity - 1.0).abs() < 1e-3, "{found:?}");
        for nothing in ["", "😀 \u{200b}"] {
            let matches = few_shot.classify(nothing, &mut scratch).unwrap();
            assert_eq!(
                (matches.iter().count(), matches.best_above(-2.0)),
                (0, None)
            );
        }
    }
}

/// Scores by the definition, in floats of 64 bits.
#[test]
fn scores_are_those_of_the_definition() {
    let image = tiny_image(Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut buffer = buffer(&model, 4);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    let mut random = Random(7);
    let embed = |text: &str| -> Vec<f64> {
        let mut scratch = vec![0; model.scratch_len()];
        let embedding = model.encode(text, &mut scratch).unwrap();
        embedding.iter().map(|&x| f64::from(x)).collect()
    };
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
    let mut means = Vec::new();
    for (label, count) in [("a", 1), ("b", 3), ("c", 20), ("d", 100)] {
        let mut mean = vec![0.0; model.dims()];
        for _ in 0..count {
            let text = random_text(&mut random);
            few_shot.add_example(label, &text, &mut scratch).unwrap();
            let add = embed(&text);
            mean.iter_mut()
                .zip(add)
                .for_each(|(mean, x)| *mean += x / f64::from(count));
        }
        means.push(mean);
    }
    let centre: Vec<f64> = (0..model.dims())
        .map(|d| means.iter().map(|mean| mean[d]).sum::<f64>() / means.len() as f64)
        .collect();
    let less = |a: &[f64]| -> Vec<f64> { a.iter().zip(&centre).map(|(x, c)| x - c).collect() };
    for _ in 0..100 {
        let text = random_text(&mut random);
        let embedding = embed(&text);
        let matches = few_shot.classify(&text, &mut scratch).unwrap();
        for (found, mean) in matches.iter().zip(&means) {
            let similarity = dot(&embedding, mean) / dot(mean, mean).sqrt();
            let own = less(mean);
            let score = dot(&less(&embedding), &own) / (dot(&own, &own) + 1.0 / 64.0).powf(0.75);
            assert!((f64::from(found.similarity) - similarity).abs() < 1e-3);
            assert!(
                (f64::from(found.score) - score).abs() < 1e-3,
                "{found:?} {score}"
            );
        }
    }
}

#[test]
fn forgetting_is_the_exact_inverse_in_any_order() {
    for codec in [Codec::F32, Codec::Int8, CODECS[6]] {
        let image = tiny_image(codec).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let mut buffer = buffer(&model, 4);
        let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
        let mut scratch = vec![0; few_shot.scratch_len()];
        let empty = few_shot.save().to_vec();
        learn(&mut few_shot, &mut scratch);
        let learnt = few_shot.save().to_vec();
        let mut random = Random(3);
        let labels = ["light", "music", "天気", "fourth"];
        let mut added: Vec<(&str, String)> = Vec::new();
        for _ in 0..300 {
            if random.number().is_multiple_of(3) && !added.is_empty() {
                let at = random.number() as usize % added.len();
                let (label, text) = added.swap_remove(at);
                few_shot.forget_example(label, &text, &mut scratch).unwrap();
            } else {
                let label = labels[random.number() as usize % 4];
                let text = random_text(&mut random);
                few_shot.add_example(label, &text, &mut scratch).unwrap();
                added.push((label, text));
            }
        }
        for (label, text) in added {
            few_shot.forget_example(label, &text, &mut scratch).unwrap();
        }
        assert_eq!(few_shot.save(), learnt, "{codec}");
        for label in &labels[..3] {
            few_shot.forget_label(label).unwrap();
            assert_eq!(few_shot.forget_label(label), Err(FewShotError::NoSuchLabel));
        }
        assert_eq!(few_shot.save(), empty, "{codec}");
    }
}

#[test]
fn a_saved_state_goes_on_where_it_was() {
    let model = golden_image();
    let mut buffer = buffer(&model, 4);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    learn(&mut few_shot, &mut scratch);
    let mut copy = few_shot.save().to_vec();
    copy.extend([0xFF; 50]);
    let mut again = FewShot::restore(&model, &mut copy).unwrap();
    for text in TEXTS {
        let found: Vec<_> = few_shot
            .classify(text, &mut scratch)
            .unwrap()
            .iter()
            .collect();
        let matches = again.classify(text, &mut scratch).unwrap();
        assert!(matches.iter().eq(found), "{text}");
        let added = few_shot.add_example("fourth", text, &mut scratch);
        assert_eq!(again.add_example("fourth", text, &mut scratch), added);
    }
    assert_eq!(again.save(), few_shot.save());
}

#[test]
fn calls_that_cannot_be_served_change_nothing() {
    let model = golden_image();
    let mut buffer = buffer(&model, 2);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    few_shot.add_example("a", "light", &mut scratch).unwrap();
    few_shot.add_example("b", "lamp", &mut scratch).unwrap();
    let before = few_shot.save().to_vec();
    let long = "a name of 32 bytes is one too ma";
    for bad in ["", long, "tab\there", "\u{85}"] {
        let refused = few_shot.add_example(bad, "light", &mut scratch);
        assert_eq!(refused, Err(FewShotError::BadLabel), "{bad:?}");
    }
    assert_eq!(
        few_shot.add_example("c", "on", &mut scratch),
        Err(FewShotError::Full)
    );
    assert_eq!(
        few_shot.add_example("a", "", &mut scratch),
        Err(FewShotError::NoKnownTokens)
    );
    assert_eq!(
        few_shot.forget_example("a", "[UNK]", &mut scratch),
        Err(FewShotError::NoKnownTokens)
    );
    assert_eq!(
        few_shot.forget_example("a", "lamp", &mut scratch),
        Err(FewShotError::NotAnExample)
    );
    assert_eq!(
        few_shot.forget_example("c", "on", &mut scratch),
        Err(FewShotError::NoSuchLabel)
    );
    let needed = scratch.len() as u32;
    let short = &mut scratch[1..];
    let expected = FewShotError::Encode(Error::ScratchTooSmall {
        needed,
        found: needed - 1,
    });
    assert_eq!(few_shot.add_example("a", "on", short), Err(expected));
    assert_eq!(few_shot.classify("on", short).unwrap_err(), expected);
    assert_eq!(few_shot.save(), before);

    few_shot.forget_label("a").unwrap();
    few_shot
        .add_example(&long[1..], "on", &mut scratch)
        .unwrap();
    assert_eq!(few_shot.label(0), Some(&long[1..]));
    assert_eq!(few_shot.label(2), None);
    let needed = FewShot::len_for(&model, 1);
    let error = FewShot::new(&model, &mut vec![0; needed - 1]).unwrap_err();
    let (needed, found) = (needed as u32, needed as u32 - 1);
    assert_eq!(error, FewShotError::BufferTooSmall { needed, found });
}

#[test]
fn a_label_takes_so_many_examples_and_no_more() {
    let model = golden_image();
    let mut buffer = buffer(&model, 1);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    for _ in 0..MAX_EXAMPLES {
        few_shot.add_example("a", "light", &mut scratch).unwrap();
    }
    let full = few_shot.save().to_vec();
    let refused = few_shot.add_example("a", "light", &mut scratch);
    assert_eq!(refused, Err(FewShotError::TooManyExamples));
    let found = few_shot
        .classify("light", &mut scratch)
        .unwrap()
        .best()
        .unwrap();
    assert!((found.similarity - 1.0).abs() < 1e-3);
    assert!(few_shot_input::exercise(&model, &mut full.clone(), b"lamp"));
    for _ in 0..MAX_EXAMPLES {
        few_shot.forget_example("a", "light", &mut scratch).unwrap();
    }
    assert_eq!(few_shot.labels().count(), 0);
}

#[test]
fn models_that_do_not_normalise_learn_as_those_that_do() {
    let mut source = float_model(tiny_tokenizer(), 16);
    let unit = image(&source, Codec::F32).unwrap();
    source.normalize = false;
    let plain = image(&source, Codec::F32).unwrap();
    let (unit, plain) = (
        Model::from_bytes(&unit).unwrap(),
        Model::from_bytes(&plain).unwrap(),
    );
    let similarities = |model: &Model<'_>| -> Vec<f32> {
        let mut buffer = buffer(model, 3);
        let mut few_shot = FewShot::new(model, &mut buffer).unwrap();
        let mut scratch = vec![0; few_shot.scratch_len()];
        learn(&mut few_shot, &mut scratch);
        let matches = TEXTS.map(|text| {
            few_shot
                .classify(text, &mut scratch)
                .unwrap()
                .iter()
                .collect()
        });
        matches
            .into_iter()
            .flat_map(|all: Vec<_>| all)
            .flat_map(|m| [m.score, m.similarity])
            .collect()
    };
    let (unit, plain) = (similarities(&unit), similarities(&plain));
    assert_eq!(unit.len(), plain.len());
    assert!(unit.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-3));
}

#[test]
fn one_label_has_the_cosine_of_its_only_example() {
    let model = golden_image();
    let mut buffer = buffer(&model, 1);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    few_shot
        .add_example("a", "turn on the light", &mut scratch)
        .unwrap();
    let example = model
        .encode("turn on the light", &mut scratch)
        .unwrap()
        .to_vec();
    for text in WORDS {
        let expected = cosine(&example, model.encode(text, &mut scratch.clone()).unwrap());
        let found = few_shot
            .classify(text, &mut scratch)
            .unwrap()
            .top(1)
            .next()
            .unwrap();
        assert!((found.similarity - expected).abs() < 1e-3, "{text}");
    }
}

#[test]
fn every_damaged_byte_and_every_torn_write_is_refused() {
    let model = golden_image();
    let mut buffer = buffer(&model, 3);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    let old = few_shot.save().to_vec();
    learn(&mut few_shot, &mut scratch);
    let state = few_shot.save().to_vec();
    // Bytes 6 and 7 are reserved.
    for at in (0..6).chain(8..state.len()) {
        let mut damaged = state.clone();
        damaged[at] ^= 1 << (at % 8);
        let before = damaged.clone();
        let error = FewShot::restore(&model, &mut damaged).unwrap_err();
        let expected = match at {
            0..4 => matches!(error, FewShotError::NotAState),
            4..6 => matches!(error, FewShotError::UnsupportedVersion { supported: 1, .. }),
            12..18 => matches!(error, FewShotError::OtherModel { .. }),
            18..20 => matches!(
                error,
                FewShotError::BufferTooSmall { .. } | FewShotError::Checksum { .. }
            ),
            _ => matches!(error, FewShotError::Checksum { .. }),
        };
        assert!(expected, "{at}: {error}");
        assert_eq!(damaged, before, "a state that is refused is left alone");
    }
    for len in 0..state.len() {
        assert!(
            FewShot::restore(&model, &mut state[..len].to_vec()).is_err(),
            "{len}"
        );
    }
    // The checksum comes before what changed, so a write that stops anywhere in between shows.
    let last = (0..state.len()).rfind(|&at| state[at] != old[at]).unwrap();
    for written in CRC_OFFSET + 1..=last {
        let mut torn = [&state[..written], &old[written..]].concat();
        assert!(FewShot::restore(&model, &mut torn).is_err(), "{written}");
    }
    // What was not saved since it changed is refused as well.
    few_shot.add_example("light", "lamp", &mut scratch).unwrap();
    let error = FewShot::restore(&model, &mut buffer).unwrap_err();
    assert!(matches!(error, FewShotError::Checksum { .. }));
}

#[test]
fn a_state_is_refused_for_another_model() {
    let model = golden_image();
    let mut buffer = buffer(&model, 1);
    FewShot::new(&model, &mut buffer).unwrap();
    for codec in [Codec::F32, Codec::Int4] {
        let other = tiny_image(codec).unwrap();
        let other = Model::from_bytes(&other).unwrap();
        let error = FewShot::restore(&other, &mut buffer).unwrap_err();
        assert!(matches!(error, FewShotError::OtherModel { .. }), "{error}");
    }
}

#[test]
fn slots_that_no_calls_make_are_damaged() {
    let model = golden_image();
    let mut buffer = buffer(&model, 4);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    learn(&mut few_shot, &mut scratch);
    let state = few_shot.save().to_vec();
    let slot = slot_len(model.dims());
    let first = PRELUDE_LEN;
    let last = PRELUDE_LEN + 3 * slot;
    let count = first + SLOT_HEAD_LEN - 4;
    let changes: [(&str, usize, &[u8]); 11] = [
        ("no name", first, &[0; 32]),
        ("too long a name", first, &[32]),
        ("no UTF-8", first + 1, &[0xFF]),
        ("a control character", first + 1, b"\t"),
        ("something behind the name", first + 31, b"x"),
        ("two of a name", first + slot, &state[first..first + 32]),
        (
            "too many examples",
            count,
            &(MAX_EXAMPLES + 1).to_le_bytes(),
        ),
        ("no examples of a label", count, &[0; 4]),
        (
            "sums too long",
            first + SLOT_HEAD_LEN,
            &i32::MIN.to_le_bytes(),
        ),
        ("sums of no label", last + SLOT_HEAD_LEN, &[1]),
        ("a name of no label", last, b"\x01a"),
    ];
    for (what, at, bytes) in changes {
        let mut damaged = state.clone();
        damaged[at..][..bytes.len()].copy_from_slice(bytes);
        seal(&mut damaged);
        let error = FewShot::restore(&model, &mut damaged).unwrap_err();
        assert_eq!(error, FewShotError::Damaged, "{what}");
    }
    let mut none = state[..PRELUDE_LEN].to_vec();
    none[18..20].copy_from_slice(&[0; 2]);
    seal(&mut none);
    assert_eq!(
        FewShot::restore(&model, &mut none).unwrap_err(),
        FewShotError::Damaged
    );
}

#[test]
fn any_state_is_refused_or_harmless() {
    let model = golden_image();
    let mut buffer = buffer(&model, 3);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    learn(&mut few_shot, &mut scratch);
    let state = few_shot.save().to_vec();
    let mut random = Random(11);
    let mut sound = 0;
    for round in 0..3000 {
        let mut changed = state.clone();
        for _ in 0..1 + round % 4 {
            let at = PRELUDE_LEN + random.number() as usize % (state.len() - PRELUDE_LEN);
            changed[at] = random.number() as u8 >> (random.number() % 8);
        }
        seal(&mut changed);
        let text = random_text(&mut random);
        sound += u32::from(few_shot_input::exercise(
            &model,
            &mut changed,
            text.as_bytes(),
        ));
        let slots: Vec<u8> = (0..300).map(|_| random.number() as u8).collect();
        few_shot_input::run(&slots);
    }
    assert!((100..2900).contains(&sound), "{sound} of 3000 were sound");
}

/// A state that version 1 wrote for `tests/data/tiny-v3-int8.fvec`: it is read for good, and learning still gives it.
#[test]
fn the_golden_state_is_read_and_written() {
    let golden = include_bytes!("../data/tiny-v3-int8.fvfs");
    let model = golden_image();
    let mut buffer = buffer(&model, 4);
    let mut few_shot = FewShot::new(&model, &mut buffer).unwrap();
    let mut scratch = vec![0; few_shot.scratch_len()];
    learn(&mut few_shot, &mut scratch);
    assert_eq!(
        few_shot.save(),
        golden,
        "learning no longer gives the golden state"
    );
    let mut golden = golden.to_vec();
    let few_shot = FewShot::restore(&model, &mut golden).unwrap();
    let matches = few_shot.classify(TEXTS[1], &mut scratch).unwrap();
    let bits: Vec<u32> = matches
        .iter()
        .flat_map(|m| [m.score.to_bits(), m.similarity.to_bits()])
        .collect();
    assert_eq!(bits, GOLDEN_BITS);
}

/// Of score and similarity of each label.
const GOLDEN_BITS: [u32; 6] = [
    0x3d64_d95b,
    0xbf13_71bd,
    0xbea5_1212,
    0xbee6_4c9f,
    0x3e63_b257,
    0xbdd5_c976,
];
