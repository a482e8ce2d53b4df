//! What the fuzz target `image` does with an input; the tests do the same with what it once found.

use flashvec::Model;
use flashvec::image::{MAGIC, NEWEST_VERSION, crc32};

/// Whatever the bytes: `from_bytes` refuses them, or every call on the model comes back.
///
/// A byte with the length of a text, the text, two bytes of which 14 bits are the length of a
/// header and the upper two how many versions the image is behind the newest, then header and
/// sections. A valid prelude is put in front.
pub fn run(input: &[u8]) {
    let Some((&text_len, rest)) = input.split_first() else {
        return;
    };
    let Some((text, rest)) = rest.split_at_checked(usize::from(text_len)) else {
        return;
    };
    let Some((header_len, body)) = rest.split_first_chunk::<2>() else {
        return;
    };
    let image = with_prelude(u16::from_le_bytes(*header_len), body);
    if let Ok(model) = Model::from_bytes(&image) {
        exercise(&model, text);
    }
}

fn with_prelude(head: u16, body: &[u8]) -> Vec<u8> {
    let mut image = MAGIC.to_vec();
    image.extend((NEWEST_VERSION - (head >> 14)).to_le_bytes());
    image.extend([0, 0]);
    image.extend((20 + body.len() as u32).to_le_bytes());
    image.extend(u32::from(head & 0x3FFF).to_le_bytes());
    // Under the fuzzer any checksum passes, so time is better spent than on computing it.
    let crc = if cfg!(fuzzing) { 0 } else { crc32(body) };
    image.extend(crc.to_le_bytes());
    image.extend(body);
    image
}

fn exercise(model: &Model<'_>, text: &[u8]) {
    let mut scratch = vec![0; model.scratch_len()];
    let mut direction = vec![0; model.dims()];
    let embedding = model
        .encode_bytes(text, &mut scratch)
        .expect("scratch is long enough");
    assert!(embedding.iter().all(|x| x.is_finite()));
    let text = String::from_utf8_lossy(text);
    model
        .encode_i8(&text, &mut scratch, &mut direction)
        .expect("both slices are long enough");
    let mut vector = vec![0.0; model.dims()];
    model
        .vector(u32::MAX, &mut vector)
        .expect("the slice is long enough");
    let mut ids = Vec::new();
    model
        .tokenize(&text, &mut scratch, |id| ids.push(id))
        .expect("scratch is long enough");
    let mut buffer = [0; 32];
    for id in ids {
        assert!((id as usize) < model.token_count());
        model.token(id, &mut buffer);
    }
    model
        .encode_as_sequence(&text, &mut scratch, |_, vector| {
            assert!(vector.iter().all(|x| x.is_finite()))
        })
        .expect("scratch is long enough");
    if let Some(head) = model.head() {
        let found = model
            .classify(&text, &mut scratch)
            .expect("scratch is long enough");
        assert_eq!(found.scores().len(), head.label_count());
        assert!(found.scores().iter().all(|x| x.is_finite()));
        assert_eq!(found.best().is_some(), found.is_in_scope());
    }
}
