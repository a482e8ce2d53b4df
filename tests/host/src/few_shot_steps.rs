//! What the device and the host have a few-shot classifier do, text by text: one source for both.

use flashvec::image::crc32;
use flashvec::{FewShot, FewShotError, Model};

/// Labels that the state has room for: one fewer than there are, so that it gets full.
pub const CAPACITY: usize = 4;

const LABELS: [&str; CAPACITY + 1] = ["light", "music", "Wetter", "天気", "none of these"];

/// What comes out of the steps.
pub type Emit<'e> = &'e mut dyn FnMut(u32);

/// Restores a state, adds or forgets text number `at` (`previous` is the one before), saves and restores the state, and
/// classifies the text. Emits whether each could be done, what was found, and the state's checksum.
pub fn step(
    model: &Model<'_>,
    state: &mut [u8],
    at: usize,
    text: &[u8],
    previous: &[u8],
    scratch: &mut [u32],
    emit: Emit<'_>,
) -> Result<(), FewShotError> {
    let mut few_shot = match at {
        0 => FewShot::new(model, state)?,
        _ => FewShot::restore(model, state)?,
    };
    let label = LABELS[at % LABELS.len()];
    let changed = match at % 16 {
        // Of the text before, which the step before added.
        7 => few_shot.forget_example(LABELS[(at - 1) % LABELS.len()], previous, scratch),
        // Of a text that was never added, which shows at times.
        11 => few_shot.forget_example(label, text, scratch),
        15 => few_shot.forget_label(label),
        _ => few_shot.add_example(label, text, scratch),
    };
    emit(u32::from(changed.is_ok()));
    let crc = crc32(few_shot.save());
    emit(crc);

    let few_shot = FewShot::restore(model, state)?;
    let matches = few_shot.classify(text, scratch)?;
    for found in matches.iter() {
        emit(found.label as u32);
        emit(found.score.to_bits());
        emit(found.similarity.to_bits());
    }
    for found in matches.top(CAPACITY) {
        emit(found.label as u32);
    }
    emit(matches.best().map_or(u32::MAX, |best| best.label as u32));
    Ok(())
}
