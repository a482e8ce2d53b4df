//! What the fuzz target `head` does with an input; the tests do the same with what fuzzing once found.

use flashvec::head_layout::{MAGIC, PRELUDE_LEN, VERSION};
use flashvec::image::{CRC_OFFSET, crc32};
use flashvec::{Head, Model};

/// The image that the heads are for.
const BASE: &[u8] = include_bytes!("../../data/tiny-v3-int8.fvec");

/// Whatever the bytes: `Head::from_bytes` refuses them, or every call on the head comes back.
///
/// A byte with the length of a text, the text, then what a head section holds. A valid prelude is put in front.
pub fn run(input: &[u8]) {
    let Some((&text_len, rest)) = input.split_first() else {
        return;
    };
    let Some((text, body)) = rest.split_at_checked(usize::from(text_len)) else {
        return;
    };
    let base = Model::from_bytes(BASE).expect("the golden image is sound");
    let file = with_prelude(body);
    if let Ok(head) = Head::from_bytes(&file, &base) {
        exercise(&head, &base, text);
    }
}

fn with_prelude(body: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    file.extend(VERSION.to_le_bytes());
    file.extend([0, 0]);
    file.extend(((PRELUDE_LEN + body.len()) as u32).to_le_bytes());
    file.extend(&BASE[CRC_OFFSET..CRC_OFFSET + 4]);
    // Under the fuzzer any checksum passes, so time is better spent than on computing it.
    let crc = if cfg!(fuzzing) { 0 } else { crc32(body) };
    file.extend(crc.to_le_bytes());
    file.extend(body);
    file
}

fn exercise(head: &Head<'_>, base: &Model<'_>, text: &[u8]) {
    let mut scratch = vec![0; head.scratch_len(base)];
    let found = head
        .classify_bytes(base, text, &mut scratch)
        .expect("scratch is long enough");
    assert_eq!(found.scores().len(), head.label_count());
    assert!(found.scores().iter().all(|x| x.is_finite()));
    assert!(found.scope_score().is_finite());
    assert_eq!(found.best().is_some(), found.is_in_scope());
    for one in found.top(3) {
        let name = head.label(one.label).expect("every label has a name");
        assert!(!name.is_empty() && !name.chars().any(char::is_control));
    }
    assert_eq!(head.label(head.label_count()), None);
}
