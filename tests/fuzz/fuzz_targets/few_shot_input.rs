//! What the fuzz target `few_shot_state` does with an input; the tests do the same with states of their own.

use flashvec::few_shot_layout::{CRC_OFFSET, MAGIC, MAX_EXAMPLES, PRELUDE_LEN, VERSION, slot_len};
use flashvec::image::{CRC_OFFSET as IMAGE_CRC_OFFSET, crc32};
use flashvec::{FewShot, Model};

/// A sound image, of 16 dimensions.
pub static IMAGE: &[u8] = include_bytes!("../../data/tiny-v3-int8.fvec");

/// Whatever the slots: `restore` refuses them, or every call comes back and leaves a state that is sound.
///
/// A byte with the length of a text, the text, then the state's slots. A valid prelude is put in front.
pub fn run(input: &[u8]) {
    let Some((&text_len, rest)) = input.split_first() else {
        return;
    };
    let Some((text, slots)) = rest.split_at_checked(usize::from(text_len)) else {
        return;
    };
    let model = Model::from_bytes(IMAGE).expect("the image is sound");
    exercise(&model, &mut with_prelude(&model, slots), text);
}

fn with_prelude(model: &Model<'_>, slots: &[u8]) -> Vec<u8> {
    let count = slots.len() / slot_len(model.dims());
    let slots = &slots[..count * slot_len(model.dims())];
    let mut rest = IMAGE[IMAGE_CRC_OFFSET..][..4].to_vec();
    rest.extend((model.dims() as u16).to_le_bytes());
    rest.extend((count as u16).to_le_bytes());
    rest.extend(slots);
    let mut state = MAGIC.to_vec();
    state.extend(VERSION.to_le_bytes());
    state.extend([0, 0]);
    // Under the fuzzer any checksum passes, so time is better spent than on computing it.
    let crc = if cfg!(fuzzing) { 0 } else { crc32(&rest) };
    state.extend(crc.to_le_bytes());
    assert_eq!(state.len(), CRC_OFFSET + 4);
    state.extend(rest);
    assert!(state.len() >= PRELUDE_LEN);
    state
}

/// Calls everything on a state; whether it was sound.
pub fn exercise(model: &Model<'_>, state: &mut [u8], text: &[u8]) -> bool {
    let Ok(few_shot) = FewShot::restore(model, state) else {
        return false;
    };
    let mut scratch = vec![0; few_shot.scratch_len()];
    let labels: Vec<String> = few_shot.labels().map(|of| of.name.to_owned()).collect();
    check(&few_shot, text, &mut scratch);
    for name in
        labels
            .iter()
            .map(String::as_str)
            .chain(["", "new", "a name of more than 31 bytes is none"])
    {
        let mut few_shot = FewShot::restore(model, state).expect("a change leaves it sound");
        let examples = |few_shot: &FewShot<'_, '_>| {
            few_shot
                .labels()
                .find(|of| of.name == name)
                .map_or(0, |of| of.examples)
        };
        let before = (few_shot.save().to_vec(), examples(&few_shot));
        if few_shot.add_example(name, text, &mut scratch).is_ok() {
            assert!(examples(&few_shot) == before.1 + 1 && before.1 < MAX_EXAMPLES);
            check(&few_shot, text, &mut scratch);
            few_shot
                .forget_example(name, text, &mut scratch)
                .expect("it was added");
        }
        assert_eq!(
            few_shot.save(),
            before.0,
            "forgetting is the inverse of adding"
        );
        if few_shot.forget_example(name, text, &mut scratch).is_ok() {
            assert_eq!(examples(&few_shot), before.1 - 1);
        }
        check(&few_shot, text, &mut scratch);
        few_shot.save();
        let mut few_shot = FewShot::restore(model, state).expect("a change leaves it sound");
        if few_shot.forget_label(name).is_ok() {
            assert_eq!(examples(&few_shot), 0);
        }
        few_shot.save();
    }
    true
}

/// What matches promise of each other.
fn check(few_shot: &FewShot<'_, '_>, text: &[u8], scratch: &mut [u32]) {
    let matches = few_shot
        .classify(text, scratch)
        .expect("scratch is long enough");
    let all: Vec<_> = matches.iter().collect();
    let top: Vec<_> = matches.top(usize::MAX).collect();
    assert!(all.is_empty() || all.len() == few_shot.labels().count());
    assert_eq!(all.len(), top.len());
    assert!(top.is_sorted_by(|a, b| a.score > b.score || a.score == b.score && a.label < b.label));
    for found in &all {
        assert!(
            found.score.is_finite() && found.similarity.abs() < 1.001,
            "{found:?}"
        );
        assert!(few_shot.label(found.label).is_some() && top.contains(found));
    }
    assert_eq!(matches.best_above(-2.0), top.first().copied());
}
