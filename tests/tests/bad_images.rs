//! Whatever the bytes, an image is refused or it works: nothing in between.

#[path = "../fuzz/fuzz_targets/image_input.rs"]
mod image_input;

use flashvec::image::{CRC_OFFSET, FORMAT_VERSION, Image, PRELUDE_LEN, crc32};
use flashvec::{Error, Model, Part, vocabulary_layout};
use flashvec_tests::golden::{CODECS, TEXTS};
use flashvec_tests::synthetic::{Random, tiny_image};

/// Puts the right checksum into a changed image, so that the change gets past it.
fn seal(image: &mut [u8]) {
    let crc = crc32(&image[PRELUDE_LEN..]);
    image[CRC_OFFSET..PRELUDE_LEN].copy_from_slice(&crc.to_le_bytes());
}

/// Calls everything there is on a model; it must come back, finite.
fn exercise(model: &Model<'_>) {
    let mut scratch = vec![0; model.scratch_len()];
    let mut vector = vec![0.0; model.dims()];
    let mut direction = vec![0; model.dims()];
    let mut buffer = [0; 64];
    for text in TEXTS {
        let embedding = model.encode(text, &mut scratch).unwrap();
        assert!(
            embedding.iter().all(|x| x.is_finite()),
            "{text:?}: {embedding:?}"
        );
        model.encode_i8(text, &mut scratch, &mut direction).unwrap();
        model.tokenize(text, &mut scratch, |_| {}).unwrap();
        model
            .encode_as_sequence(text, &mut scratch, |_, _| {})
            .unwrap();
    }
    for id in 0..model.token_count().min(100) as u32 {
        model.vector(id, &mut vector).unwrap();
        model.token(id, &mut buffer);
    }
}

#[test]
fn every_truncation_is_refused() {
    for codec in CODECS {
        let image = tiny_image(codec).unwrap();
        for len in 0..image.len() {
            let error = Model::from_bytes(&image[..len]).unwrap_err();
            let expected = if len < 4 { Error::NotAnImage } else { error };
            assert_eq!(error, expected);
            if len >= PRELUDE_LEN {
                assert!(matches!(error, Error::Truncated { .. }), "{len}: {error}");
            }
        }
    }
}

#[test]
fn bytes_behind_an_image_do_not_matter() {
    let mut image = tiny_image(CODECS[0]).unwrap();
    image.extend([0xFF; 100]);
    exercise(&Model::from_bytes(&image).unwrap());
}

#[test]
fn every_flipped_bit_is_noticed() {
    for codec in CODECS {
        let mut image = tiny_image(codec).unwrap();
        for at in 0..image.len() {
            for bit in 0..8 {
                image[at] ^= 1 << bit;
                // Bytes 6 and 7 are reserved and free for later use.
                let refused = Model::from_bytes(&image).is_err();
                assert_eq!(refused, !(6..8).contains(&at), "byte {at}, bit {bit}");
                image[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let mut image = tiny_image(CODECS[0]).unwrap();
    image[4..6].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
    let error = Model::from_bytes(&image).unwrap_err();
    assert_eq!(
        error,
        Error::UnsupportedVersion {
            found: FORMAT_VERSION + 1,
            supported: FORMAT_VERSION
        }
    );
    assert!(error.to_string().contains("update flashvec"));
}

/// Changes bytes of an image in many ways, mostly before the end of the `structure` to break.
fn survives_changes(image: &[u8], structure: usize, random: &mut Random) {
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut changed = image.to_vec();
        for _ in 0..=round % 4 {
            let range = if random.number().is_multiple_of(8) {
                image.len()
            } else {
                structure
            };
            let at = PRELUDE_LEN + random.number() as usize % (range - PRELUDE_LEN);
            changed[at] = random.number() as u8;
        }
        seal(&mut changed);
        if let Ok(model) = Model::from_bytes(&changed) {
            accepted += 1;
            exercise(&model);
        }
    }
    assert!(
        accepted > 100,
        "{accepted} accepted: the test hardly tests anything"
    );
}

#[test]
fn changes_behind_a_right_checksum_are_refused_or_harmless() {
    let mut random = Random(7);
    for codec in CODECS {
        let image = tiny_image(codec).unwrap();
        survives_changes(&image, image.len() - codec.row_len(16) * 80, &mut random);
    }
    let version_1 = include_bytes!("../data/tiny-v1-int8.fvec");
    survives_changes(version_1, version_1.len() - 18 * 80, &mut random);
}

#[test]
fn tries_that_do_not_spell_bytes_are_refused() {
    let image = tiny_image(CODECS[0]).unwrap();
    let section = PRELUDE_LEN + Image::parse(&image).unwrap().header_len;
    let ranks = section + 4;
    let labels = section + vocabulary_layout::HEAD_LEN;
    let refused = |change: &dyn Fn(&mut [u8])| {
        let mut changed = image.clone();
        change(&mut changed);
        seal(&mut changed);
        let error = Model::from_bytes(&changed).unwrap_err();
        assert_eq!(error, Error::Damaged(Part::Vocabulary));
    };
    // Two bytes of one rank.
    refused(&|image| image[ranks] = image[ranks + 1]);
    // All digits of the first block the first of two.
    refused(&|image| image[labels..labels + vocabulary_layout::LABELS_LEN].fill(0xFF));
    // Version 2 read as version 1.
    refused(&|image| image[4] = 1);
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random(11);
    for _ in 0..1000 {
        let len = random.number() as usize % 4096;
        let mut bytes: Vec<u8> = (0..len).map(|_| random.number() as u8).collect();
        assert!(Model::from_bytes(&bytes).is_err());
        if len > PRELUDE_LEN {
            bytes[..4].copy_from_slice(b"FVEC");
            bytes[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
            bytes[8..12].copy_from_slice(&(len as u32).to_le_bytes());
            seal(&mut bytes);
            assert!(Model::from_bytes(&bytes).is_err());
        }
    }
}

#[test]
fn what_fuzzing_found_stays_mended() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/found");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        image_input::run(&std::fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0);
}
