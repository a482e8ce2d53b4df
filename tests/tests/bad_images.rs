//! Whatever the bytes, an image is refused or it works: nothing in between.

#[path = "../fuzz/fuzz_targets/head_input.rs"]
mod head_input;
#[path = "../fuzz/fuzz_targets/image_input.rs"]
mod image_input;

use flashvec::image::{
    CRC_OFFSET, FORMAT_VERSION, Image, NEWEST_VERSION, PRELUDE_LEN, SectionKind, crc32,
};
use flashvec::{Error, Model, Part, charmap_layout, vocabulary_layout};
use flashvec_tests::golden::{CODECS, TEXTS};
use flashvec_tests::synthetic::{CLASSIFIERS, Random, tiny_classifier, tiny_image};

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
        match model.head() {
            Some(head) => {
                let found = model.classify(text, &mut scratch).unwrap();
                assert_eq!(found.scores().len(), head.label_count());
                assert!(found.scores().iter().all(|x| x.is_finite()), "{found:?}");
                assert!(found.scope_score().is_finite(), "{found:?}");
                assert_eq!(found.best().is_some(), found.is_in_scope());
                assert!(found.top(9).all(|one| head.label(one.label).is_some()));
            }
            None => {
                let error = model.classify(text, &mut scratch).unwrap_err();
                assert_eq!(error, Error::NoHead);
            }
        }
    }
    for id in 0..model.token_count().min(100) as u32 {
        model.vector(id, &mut vector).unwrap();
        model.token(id, &mut buffer);
    }
}

/// An image a codec, and the classifiers.
fn images() -> Vec<Vec<u8>> {
    let codecs = CODECS.iter().map(|&codec| tiny_image(codec).unwrap());
    let classifiers = CLASSIFIERS.iter().map(|one| tiny_classifier(one).unwrap());
    codecs.chain(classifiers).collect()
}

#[test]
fn every_truncation_is_refused() {
    for image in images() {
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
    for mut image in images() {
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
    image[4..6].copy_from_slice(&(NEWEST_VERSION + 1).to_le_bytes());
    let error = Model::from_bytes(&image).unwrap_err();
    assert_eq!(
        error,
        Error::UnsupportedVersion {
            found: NEWEST_VERSION + 1,
            supported: NEWEST_VERSION
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
    let older: [&[u8]; 2] = [
        include_bytes!("../data/tiny-v1-int8.fvec"),
        include_bytes!("../data/tiny-v2-int8.fvec"),
    ];
    for image in older {
        survives_changes(image, image.len() - 18 * 80, &mut random);
    }
    // N-grams and the head lie behind the rows.
    for classifier in &CLASSIFIERS {
        let image = tiny_classifier(classifier).unwrap();
        survives_changes(&image, image.len(), &mut random);
    }
}

/// Where the vocabulary section of an image is.
fn vocabulary(image: &[u8]) -> std::ops::Range<usize> {
    let parsed = Image::parse(image).unwrap();
    let start = PRELUDE_LEN + parsed.header_len;
    let len = parsed.section(SectionKind::Vocabulary).unwrap().len();
    start..start + len
}

/// Whether an image with a change is refused for its vocabulary; otherwise it must work.
fn refuses_vocabulary(image: &[u8], change: impl Fn(&mut [u8])) -> bool {
    let mut changed = image.to_vec();
    change(&mut changed);
    seal(&mut changed);
    match Model::from_bytes(&changed) {
        Ok(model) => {
            exercise(&model);
            false
        }
        Err(error) => {
            assert_eq!(error, Error::Damaged(Part::Vocabulary));
            true
        }
    }
}

#[test]
fn a_changed_trie_is_refused_or_spells_other_tokens() {
    let image = tiny_image(CODECS[2]).unwrap();
    let section = vocabulary(&image);
    let codes = section.start..section.start + vocabulary_layout::CODES_LEN;
    let coded = image[codes.clone()].iter().filter(|&&c| c != 255).count();
    let nodes = codes.end + 2 * coded * vocabulary_layout::START_LEN;
    let padding = section.end - vocabulary_layout::PADDING;
    let spelled = spell_all(&Model::from_bytes(&image).unwrap());
    let (mut refused, mut accepted) = (0, 0);
    for at in section.start..padding {
        for bit in 0..8 {
            let change = |image: &mut [u8]| image[at] ^= 1 << bit;
            if refuses_vocabulary(&image, change) {
                refused += 1;
                continue;
            }
            // Only digits of nodes may change, and then a token is spelled in another way.
            accepted += 1;
            assert!(at >= nodes && bit < 5, "byte {at}, bit {bit}");
            let mut changed = image.clone();
            change(&mut changed);
            seal(&mut changed);
            let model = Model::from_bytes(&changed).unwrap();
            assert_ne!(spell_all(&model), spelled, "byte {at}, bit {bit}");
        }
    }
    assert!(accepted > 100, "{accepted} accepted, {refused} refused");
}

/// All tokens of a model, those that are no UTF-8 as `None`.
fn spell_all(model: &Model<'_>) -> Vec<Option<String>> {
    let mut buffer = [0; 64];
    (0..model.token_count() as u32)
        .map(|id| model.token(id, &mut buffer).map(str::to_owned))
        .collect()
}

#[test]
fn an_older_trie_that_does_not_spell_bytes_is_refused() {
    let image = include_bytes!("../data/tiny-v2-f32.fvec");
    let section = vocabulary(image).start;
    let (ranks, labels) = (section + 4, section + 4 + 256);
    // Two bytes of one rank.
    assert!(refuses_vocabulary(image, |image| image[ranks] = image[ranks + 1]));
    // All digits of the first block the first of two.
    assert!(refuses_vocabulary(image, |image| image
        [labels..labels + 48]
        .fill(0xFF)));
    // Version 2 read as version 1 or 3.
    for version in [1, 3] {
        assert!(refuses_vocabulary(image, |image| image[4] = version));
    }
}

#[test]
fn a_character_map_that_would_hide_an_added_token_is_refused() {
    let mut image = tiny_image(CODECS[0]).unwrap();
    let ascii = vocabulary(&image).end;
    // "[PAD]" and "[UNK]" begin with this.
    for entry in (0..=255).filter(|&entry| entry != charmap_layout::ASCII_PAGES) {
        image[ascii + usize::from(b'[')] = entry;
        seal(&mut image);
        assert_eq!(
            Model::from_bytes(&image).unwrap_err(),
            Error::Damaged(Part::AddedTokens)
        );
    }
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
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        image_input::run(&input);
        head_input::run(&input);
        inputs += 1;
    }
    assert!(inputs > 0);
}
