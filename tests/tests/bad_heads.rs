//! Heads, in files and in images: what is wrong is refused by its name.

use flashvec::head_layout::{MAGIC, PRELUDE_LEN, VERSION};
use flashvec::image::{CRC_OFFSET, Image, SectionKind, crc32};
use flashvec::{Codec, Error, Head, Model, Part};
use flashvec_tests::synthetic::{CLASSIFIERS, tiny_classifier, tiny_image};

const DIMS: usize = 16;
/// The head of `CLASSIFIERS[0]`: task, labels, inputs, hidden, then whether there is an `out_of_scope` and that.
const HEADER_LEN: usize = 9;
/// One of its five names, with its length.
const NAME_LEN: usize = 8;
const SCALES: usize = HEADER_LEN + 5 * NAME_LEN;
const BIASES: usize = SCALES + 5 * 4;

/// A head file of a section, for a base image.
fn file(section: &[u8], base: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    file.extend(VERSION.to_le_bytes());
    file.extend([0, 0]);
    file.extend(((PRELUDE_LEN + section.len()) as u32).to_le_bytes());
    file.extend(&base[CRC_OFFSET..CRC_OFFSET + 4]);
    file.extend(crc32(section).to_le_bytes());
    file.extend(section);
    file
}

fn read(file: &[u8], base: &[u8]) -> Result<(), Error> {
    let model = Model::from_bytes(base).unwrap();
    let head = Head::from_bytes(file, &model)?;
    let mut scratch = vec![0; head.scratch_len(&model)];
    let found = head.classify(&model, "turn on the light", &mut scratch)?;
    assert!(found.scores().iter().all(|score| score.is_finite()));
    Ok(())
}

#[test]
fn files_are_refused_by_what_is_wrong_with_them() {
    let base = tiny_image(Codec::Int8).unwrap();
    let good = CLASSIFIERS[0].head(DIMS).file(&base).unwrap();
    assert_eq!(read(&good, &base), Ok(()));
    for len in 0..good.len() {
        let error = read(&good[..len], &base).unwrap_err();
        match error {
            Error::NotAHead => assert!(len < 4),
            Error::Truncated { found, .. } => assert_eq!(found as usize, len),
            _ => panic!("{len}: {error}"),
        }
    }
    let mut longer = good.clone();
    longer.extend([0xFF; 9]);
    assert_eq!(
        read(&longer, &base),
        Ok(()),
        "what is behind does not matter"
    );
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            let result = read(&flipped, &base);
            let named = match at {
                0..4 => result == Err(Error::NotAHead),
                4..6 => matches!(
                    result,
                    Err(Error::UnsupportedHeadVersion { supported: 1, .. })
                ),
                // Reserved.
                6..8 => result == Ok(()),
                // Longer than it is, or of other bytes.
                8..12 => matches!(
                    result,
                    Err(Error::Truncated { .. }
                        | Error::Checksum { .. }
                        | Error::Damaged(Part::Head))
                ),
                12..16 => matches!(result, Err(Error::OtherBase { .. })),
                _ => matches!(result, Err(Error::Checksum { .. })),
            };
            assert!(named, "byte {at}, bit {bit}: {result:?}");
        }
    }
    assert_eq!(read(&base, &base), Err(Error::NotAHead));
    assert_eq!(Model::from_bytes(&good).unwrap_err(), Error::NotAnImage);
}

#[test]
fn a_head_works_with_its_own_image_only() {
    let base = tiny_image(Codec::Int8).unwrap();
    let other = tiny_image(Codec::Int4).unwrap();
    let made = CLASSIFIERS[0].head(DIMS).file(&base).unwrap();
    let error = read(&made, &other).unwrap_err();
    assert!(matches!(error, Error::OtherBase { .. }), "{error}");
    // Read with the right one, used with the wrong one.
    let (base, other) = (
        Model::from_bytes(&base).unwrap(),
        Model::from_bytes(&other).unwrap(),
    );
    let head = Head::from_bytes(&made, &base).unwrap();
    let mut scratch = vec![0; head.scratch_len(&other)];
    let error = head.classify(&other, "light", &mut scratch).unwrap_err();
    assert!(matches!(error, Error::OtherBase { .. }), "{error}");
    let mut short = vec![0; head.scratch_len(&base) - 1];
    let error = head.classify(&base, "light", &mut short).unwrap_err();
    assert!(matches!(error, Error::ScratchTooSmall { .. }), "{error}");
}

/// Rows of floats have no integer sums.
#[test]
fn heads_over_floats_are_refused() {
    let section = CLASSIFIERS[0].head(DIMS).section(DIMS).unwrap();
    for codec in [Codec::F32, Codec::F16] {
        let base = tiny_image(codec).unwrap();
        let result = read(&file(&section, &base), &base);
        assert_eq!(result, Err(Error::Damaged(Part::Head)));
    }
}

#[test]
fn damaged_sections_are_refused() {
    let base = tiny_image(Codec::Int8).unwrap();
    let good = CLASSIFIERS[0].head(DIMS).section(DIMS).unwrap();
    assert_eq!(read(&file(&good, &base), &base), Ok(()));
    assert_eq!(good[..5], [0, 5, 16, 0, 1]);
    assert_eq!(good.len(), BIASES + 5 * 4 + 5 * DIMS);
    let refused = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut section = good.clone();
        change(&mut section);
        assert_ne!(section, good, "{name}");
        let result = read(&file(&section, &base), &base);
        assert_eq!(result, Err(Error::Damaged(Part::Head)), "{name}");
    };
    let float = |at: usize, value: f32| {
        move |section: &mut Vec<u8>| section[at..at + 4].copy_from_slice(&value.to_le_bytes())
    };
    for len in 0..good.len() {
        refused("truncated", &|section| section.truncate(len));
    }
    refused("longer", &|section| section.push(0));
    refused("no such task", &|section| section[0] = 3);
    refused("no labels", &|section| section[1] = 0);
    refused("fewer labels", &|section| section[1] = 4);
    refused("more labels", &|section| section[1] = 6);
    refused("other inputs", &|section| section[2] = 15);
    refused("a hidden layer that is not there", &|section| {
        section[3] = 1
    });
    refused("sigmoid with a scope", &|section| section[0] = 1);
    refused("regression with a scope", &|section| section[0] = 2);
    for least in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        refused("a scope that is no number", &float(5, least));
    }
    let name = HEADER_LEN + NAME_LEN;
    refused("an empty name", &|section| {
        section[name] = 0;
        section.drain(name + 1..name + NAME_LEN);
    });
    refused("a name that is no UTF-8", &|section| {
        section[name + 1] = 0xFF
    });
    for control in 0..0xA0_u32 {
        let Some(control) = char::from_u32(control).filter(|c| c.is_control()) else {
            continue;
        };
        refused("a control character", &|section| {
            control.encode_utf8(&mut section[name + 2..]);
        });
    }
    for wrong in [
        -1.0,
        -f32::MIN_POSITIVE,
        -0.0,
        1e6_f32.next_up(),
        f32::NAN,
        f32::INFINITY,
    ] {
        refused("a scale", &float(SCALES + 16, wrong));
    }
    for wrong in [
        1e6_f32.next_up(),
        (-1e6_f32).next_down(),
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
    ] {
        refused("a bias", &float(BIASES, wrong));
    }
    // The bounds themselves are sound.
    for (at, value) in [
        (SCALES, 0.0),
        (SCALES, 1e6),
        (BIASES, -1e6),
        (BIASES, 1e6),
        (5, -3e38),
    ] {
        let mut section = good.clone();
        float(at, value)(&mut section);
        assert_eq!(read(&file(&section, &base), &base), Ok(()), "{at} {value}");
    }
}

/// Puts the right checksum into a changed image.
fn seal(image: &mut [u8]) {
    let crc = crc32(&image[20..]);
    image[CRC_OFFSET..CRC_OFFSET + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Where a section of an image begins.
fn start(image: &[u8], kind: SectionKind) -> usize {
    let parsed = Image::parse(image).unwrap();
    let sections = parsed.header.sections.as_slice().iter();
    let before = sections.take_while(|section| section.kind != kind);
    20 + parsed.header_len + before.map(|section| section.len as usize).sum::<usize>()
}

#[test]
fn images_are_refused_for_their_n_grams_and_heads() {
    let good = tiny_classifier(&CLASSIFIERS[0]).unwrap();
    let refused = |at: usize, byte: u8, part: Part| {
        let mut image = good.clone();
        assert_ne!(image[at], byte);
        image[at] = byte;
        seal(&mut image);
        assert_eq!(
            Model::from_bytes(&image).unwrap_err(),
            Error::Damaged(part),
            "byte {at}"
        );
    };
    // In the header, sections of version 4 are damage.
    refused(4, 3, Part::Sections);
    let ngrams = start(&good, SectionKind::NGrams);
    refused(ngrams, 0, Part::NGrams);
    refused(ngrams + 1, 20, Part::NGrams);
    refused(ngrams + 3, 1, Part::NGrams);
    let head = start(&good, SectionKind::Head);
    refused(head, 7, Part::Head);
    refused(head + 2, 17, Part::Head);
    refused(head + SCALES + 3, 0xFF, Part::Head);
}

/// A scale that only as many rows as there are tokens would have room for.
#[test]
fn sums_of_n_grams_rows_have_room() {
    let rows_of = |image: &[u8]| start(image, SectionKind::Rows);
    let with = |image: &[u8], scale: u16| {
        let mut image = image.to_vec();
        let at = rows_of(&image);
        image[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        seal(&mut image);
        Model::from_bytes(&image).map(|_| ())
    };
    let most = |rows: u32| (i32::MAX as u32 / 128 / rows) as u16;
    let plain = tiny_image(Codec::Int8).unwrap();
    let tokens = Model::from_bytes(&plain)
        .unwrap()
        .header()
        .pooling
        .max_tokens;
    assert_eq!(tokens, 512);
    assert_eq!(with(&plain, most(tokens)), Ok(()));
    assert_eq!(
        with(&plain, most(tokens) + 1),
        Err(Error::Damaged(Part::Rows))
    );
    // Pairs, skip pairs and triples.
    let ngrams = tiny_classifier(&CLASSIFIERS[0]).unwrap();
    let rows = 4 * tokens + 4;
    assert_eq!(with(&ngrams, most(rows)), Ok(()));
    assert_eq!(
        with(&ngrams, most(rows) + 1),
        Err(Error::Damaged(Part::Rows))
    );
}
