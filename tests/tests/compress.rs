//! Images for a size: they fit, they are the same again, and they tokenise as their vocabulary says.

use flashvec::{Codec, Model};
use flashvec_distiller::image::{ImageOptions, read_image};
use flashvec_distiller::quantize::parse_codec;
use flashvec_distiller::{
    CompressOptions, Compressed, Error, Quantization, Silent, StaticModel, compress, count_tokens,
};
use flashvec_tests::synthetic::{BERT_BASE_UNCASED, model, tiny_tokenizer};
use tokenizers::Tokenizer;

const TEXTS: [&str; 6] = [
    "Turn the kitchen lights off, please!",
    "uncharacteristically long-winded embeddings of microcontrollers",
    "Café Zürich — 東京 한국 я naïve 3.14159",
    "state-of-the-art quantization (4-bit) & pruning",
    "[UNK] [PAD] ##ing",
    "",
];

fn options(flash: usize) -> CompressOptions {
    CompressOptions::new(flash)
}

fn made(model: &StaticModel, options: &CompressOptions) -> Result<Compressed, Error> {
    let image = ImageOptions {
        codec: Codec::Int8,
        quantization: Quantization::default(),
        command: "compress".to_owned(),
        tool: "flashvec-tests".to_owned(),
    };
    compress(model, options, &image, &Silent)
}

/// The smallest image of a model, as the refusal of a smaller one names it.
fn smallest(model: &StaticModel) -> usize {
    match made(model, &options(100)) {
        Err(Error::FlashTooSmall {
            asked: 100,
            smallest,
        }) => smallest,
        other => panic!("100 bytes: {other:?}"),
    }
}

#[test]
fn a_pruned_model_tokenises_as_a_tokenizer_with_its_vocabulary() {
    let model = model(serde_json::from_str(BERT_BASE_UNCASED).unwrap(), 32);
    let compressed = made(&model, &options(100_000)).unwrap();
    assert!(compressed.image.len() <= 100_000);
    assert!(
        compressed.image.len() > 97_000,
        "{}",
        compressed.image.len()
    );
    assert!((2_000..30_000).contains(&compressed.tokens));

    let pruned = read_image(&compressed.image, "compressed".as_ref()).unwrap();
    let reference: Tokenizer = serde_json::from_value(pruned.tokenizer).unwrap();
    let ours = Model::from_bytes(&compressed.image).unwrap();
    let mut scratch = vec![0; ours.scratch_len()];
    for text in TEXTS {
        let mut ids = Vec::new();
        ours.tokenize(text, &mut scratch, |id| ids.push(id))
            .unwrap();
        let expected = reference.encode_fast(text, false).unwrap();
        assert_eq!(ids, expected.get_ids(), "{text:?}");
    }
}

#[test]
fn the_same_arguments_make_the_same_image() {
    let model = model(tiny_tokenizer(), 32);
    let smallest = smallest(&model);
    for flash in [smallest, smallest + 500, 16_000] {
        let first = made(&model, &options(flash)).unwrap();
        let second = made(&model, &options(flash)).unwrap();
        assert!(first.image == second.image, "{flash}");
        assert!(first.image.len() <= flash);
    }
}

#[test]
fn more_room_never_makes_a_leaner_image() {
    let model = model(tiny_tokenizer(), 32);
    let smallest = smallest(&model);
    let sizes = [0, 100, 300, 600, 1_100, 4_000, 16_000].map(|more| smallest + more);
    let rows = sizes.map(|flash| {
        let image = made(&model, &options(flash)).unwrap();
        image.tokens * image.codec.row_len(image.dims)
    });
    assert!(rows.is_sorted(), "{rows:?}");
}

#[test]
fn an_impossible_size_names_the_smallest_possible_one() {
    let model = model(tiny_tokenizer(), 32);
    let smallest = smallest(&model);
    assert!(made(&model, &options(smallest)).unwrap().image.len() <= smallest);
    assert!(matches!(
        made(&model, &options(smallest - 1)),
        Err(Error::FlashTooSmall { .. })
    ));
}

#[test]
fn counted_tokens_are_kept_before_others() {
    let model = model(serde_json::from_str(BERT_BASE_UNCASED).unwrap(), 32);
    // A rare word of BERT's vocabulary that a corpus is full of.
    let text = "The ship lay in the harbour.".to_owned();
    let texts = (0..500).map(|_| Ok::<_, Error>(text.clone()));
    let counts = count_tokens(&model, texts).unwrap();
    let tokenizer: Tokenizer = serde_json::from_value(model.tokenizer.clone()).unwrap();
    let id = |token: &str| tokenizer.token_to_id(token).unwrap() as usize;
    assert_eq!((counts[id("the")], counts[id("harbour")]), (1000, 500));
    assert_eq!(counts[id("lamp")], 0);

    let kept = |counts: Option<Vec<u64>>| -> bool {
        let options = CompressOptions {
            counts,
            ..options(24_000)
        };
        let made = made(&model, &options).unwrap();
        let pruned = read_image(&made.image, "made".as_ref()).unwrap();
        pruned.tokenizer["model"]["vocab"].get("harbour").is_some()
    };
    assert!(kept(Some(counts)));
    assert!(!kept(None));
}

#[test]
fn a_finer_codec_correlates_better_with_the_float_table() {
    let model = model(tiny_tokenizer(), 32);
    let correlations = ["f32", "int4", "int2", "pq4x16s"].map(|codec| {
        let options = CompressOptions {
            codec: parse_codec(codec),
            ..options(40_000)
        };
        made(&model, &options).unwrap().correlation
    });
    assert!(correlations[0] > 0.9999, "{correlations:?}");
    assert!(correlations.is_sorted_by(|a, b| a > b), "{correlations:?}");
}

#[test]
fn codec_and_vocabulary_can_be_chosen_by_hand() {
    let model = model(tiny_tokenizer(), 32);
    let by_hand = CompressOptions {
        codec: Some(Codec::Int4),
        vocab_size: Some(70),
        ..options(10_000)
    };
    let compressed = made(&model, &by_hand).unwrap();
    assert_eq!((compressed.codec, compressed.tokens), (Codec::Int4, 70));
    let narrow = CompressOptions {
        dims: Some(12),
        ..options(10_000)
    };
    assert_eq!(made(&model, &narrow).unwrap().dims, 12);
    for dims in [0, 33] {
        let wrong = CompressOptions {
            dims: Some(dims),
            ..options(10_000)
        };
        let option = Error::Option {
            option: "dims",
            what: format!("{dims} is out of range; the model has 1 to 32"),
        };
        let error = made(&model, &wrong).unwrap_err();
        assert_eq!(error.to_string(), option.to_string());
    }
    // All tokens, in the richest codec that fits.
    let all = CompressOptions {
        vocab_size: Some(usize::MAX),
        ..options(smallest(&model) + 1_500)
    };
    let compressed = made(&model, &all).unwrap();
    assert_eq!(compressed.tokens, compressed.tokens_before);
    assert!(compressed.image.len() <= all.flash);
    let too_few = CompressOptions {
        vocab_size: Some(3),
        ..options(10_000)
    };
    assert!(matches!(
        made(&model, &too_few),
        Err(Error::Option {
            option: "vocab-size",
            ..
        })
    ));
}
