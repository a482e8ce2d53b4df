//! What the model's calls promise.

use flashvec::{Codec, Error, Model, cosine, cosine_i8};
use flashvec_distiller::image::{ImageOptions, Trie, read_image, write_image};
use flashvec_distiller::vocabulary::{Vocabulary, VocabularyFilter};
use flashvec_distiller::{Quantization, Silent};
use flashvec_tests::golden::{CODECS, TEXTS};
use flashvec_tests::synthetic::{BERT_BASE_UNCASED, image, model, tiny_image, tiny_tokenizer};

fn encode(model: &Model<'_>, text: &str) -> Vec<f32> {
    let mut scratch = vec![0; model.scratch_len()];
    model.encode(text, &mut scratch).unwrap().to_vec()
}

fn tokens(model: &Model<'_>, text: &str) -> Vec<String> {
    let mut scratch = vec![0; model.scratch_len()];
    let mut buffer = [0; 256];
    let mut tokens = Vec::new();
    model
        .tokenize(text, &mut scratch, |id| {
            tokens.push(model.token(id, &mut buffer).unwrap().to_owned());
        })
        .unwrap();
    tokens
}

#[test]
fn an_embedding_is_the_normalised_sum_of_its_tokens_vectors() {
    for codec in CODECS {
        let image = tiny_image(codec).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let mut scratch = vec![0; model.scratch_len()];
        for text in TEXTS {
            let mut sum = vec![0.0_f64; model.dims()];
            model
                .encode_as_sequence(text, &mut scratch, |_, vector| {
                    sum.iter_mut()
                        .zip(vector)
                        .for_each(|(s, x)| *s += f64::from(*x));
                })
                .unwrap();
            let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
            for (ours, sum) in encode(&model, text).iter().zip(&sum) {
                let expected = if norm > 0.0 { sum / norm } else { 0.0 };
                assert!(
                    (f64::from(*ours) - expected).abs() < 1e-6,
                    "{text:?}: {ours} {expected}"
                );
            }
        }
    }
}

#[test]
fn without_normalize_an_embedding_is_the_mean() {
    let mut source = model(tiny_tokenizer(), 16);
    source.normalize = false;
    for codec in CODECS {
        let image = image(&source, codec).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let (mut a, mut b) = ([0.0; 16], [0.0; 16]);
        let mut scratch = vec![0; model.scratch_len()];
        let mut ids = Vec::new();
        model
            .tokenize("light lamp", &mut scratch, |id| ids.push(id))
            .unwrap();
        model.vector(ids[0], &mut a).unwrap();
        model.vector(ids[1], &mut b).unwrap();
        for ((x, a), b) in encode(&model, "light lamp").iter().zip(a).zip(b) {
            assert!((x - (a + b) / 2.0).abs() < 1e-6);
        }
    }
}

#[test]
fn codecs_stay_within_their_error_budgets() {
    // Largest difference to a cosine of f32 embeddings, over all pairs of golden texts. Integer
    // codecs of less than 8 bits may rotate their rows, so only cosines compare.
    const BUDGETS: [f32; CODECS.len()] = [0.0, 2e-4, 0.003, 0.06, 0.25, 0.15, 0.01, 0.01];
    let cosines = |codec| {
        let image = tiny_image(codec).unwrap();
        let model = Model::from_bytes(&image).unwrap();
        let embeddings = TEXTS.map(|text| encode(&model, text));
        let pairs = embeddings
            .iter()
            .flat_map(|a| embeddings.iter().map(|b| cosine(a, b)));
        pairs.collect::<Vec<f32>>()
    };
    let exact = cosines(Codec::F32);
    for (codec, budget) in CODECS.into_iter().zip(BUDGETS) {
        let errors = exact.iter().zip(cosines(codec)).map(|(a, b)| (a - b).abs());
        let largest = errors.fold(0.0, f32::max);
        println!("{codec}: {largest}");
        assert!(largest <= budget, "{codec}: {largest} over {budget}");
    }
}

#[test]
fn eight_bit_directions_compare_like_embeddings() {
    let image = tiny_image(Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let (mut a, mut b) = ([0; 16], [0; 16]);
    model
        .encode_i8("turn on the light", &mut scratch, &mut a)
        .unwrap();
    model
        .encode_i8("turn off the lamp", &mut scratch, &mut b)
        .unwrap();
    assert_eq!(a.iter().map(|x| x.unsigned_abs()).max(), Some(127));
    let exact = cosine(
        &encode(&model, "turn on the light"),
        &encode(&model, "turn off the lamp"),
    );
    assert!((cosine_i8(&a, &b) - exact).abs() < 0.01);
    model.encode_i8("", &mut scratch, &mut a).unwrap();
    assert_eq!(a, [0; 16]);
}

#[test]
fn unknown_tokens_are_listed_but_not_pooled() {
    let image = tiny_image(Codec::F32).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    assert_eq!(
        tokens(&model, "light \u{1F600} 字"),
        ["light", "[UNK]", "[UNK]"]
    );
    assert_eq!(
        encode(&model, "light \u{1F600} 字"),
        encode(&model, "light")
    );
    assert_eq!(encode(&model, "\u{1F600}"), [0.0; 16]);
}

#[test]
fn texts_are_cut_as_model2vec_cuts_them() {
    let mut source = model(tiny_tokenizer(), 16);
    source.max_length = Some(3);
    let image = image(&source, Codec::F32).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    // The median token has 3 characters, so 9 characters count, and unknown tokens among 3.
    assert_eq!(model.header().pooling.max_chars, 9);
    assert_eq!(encode(&model, "a b c d e"), encode(&model, "a b c"));
    assert_eq!(encode(&model, "字 a b c"), encode(&model, "a b"));
    assert_eq!(encode(&model, "        light"), encode(&model, "        l"));
    assert_eq!(tokens(&model, "a b c d e").len(), 5);
}

#[test]
fn without_a_limit_the_whole_text_counts() {
    let mut source = model(tiny_tokenizer(), 16);
    source.max_length = None;
    let image = image(&source, Codec::F32).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let halves = "a ".repeat(9000) + &"b ".repeat(9000);
    let expected = encode(&model, "a b");
    for (ours, expected) in encode(&model, &halves).iter().zip(&expected) {
        assert!((ours - expected).abs() < 1e-4, "{ours} {expected}");
    }
}

#[test]
fn long_words_are_one_unknown_token() {
    let image = tiny_image(Codec::F32).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    assert_eq!(tokens(&model, &"a".repeat(100)).len(), 100);
    assert_eq!(tokens(&model, &"a".repeat(101)), ["[UNK]"]);
    assert_eq!(tokens(&model, &"한".repeat(34)), ["[UNK]"]);
    assert_eq!(
        tokens(&model, &format!("{} a", "b".repeat(10_000))),
        ["[UNK]", "a"]
    );
}

#[test]
fn invalid_utf8_counts_as_replacement_characters() {
    let image = tiny_image(Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    for bytes in [
        &b"light\xFF on"[..],
        b"\xE4\xB8 lamp \xF0\x9F",
        b"\xC0\x80\xED\xA0\x80off",
        b"\x80",
    ] {
        let lossy = encode(&model, &String::from_utf8_lossy(bytes));
        assert_eq!(model.encode_bytes(bytes, &mut scratch).unwrap(), lossy);
    }
}

#[test]
fn short_buffers_are_named_with_what_they_need() {
    let image = tiny_image(Codec::Int8).unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let needed = model.scratch_len() as u32;
    let mut short = vec![0; model.scratch_len() - 1];
    let error = model.encode("a", &mut short).unwrap_err();
    assert_eq!(
        error,
        Error::ScratchTooSmall {
            needed,
            found: needed - 1
        }
    );
    let mut scratch = vec![0; model.scratch_len()];
    let error = model
        .encode_i8("a", &mut scratch, &mut [0; 15])
        .unwrap_err();
    assert_eq!(
        error,
        Error::OutputTooSmall {
            needed: 16,
            found: 15
        }
    );
    assert_eq!(model.token(0, &mut []), None);
    assert_eq!(model.token(u32::MAX, &mut [0; 64]), None);
}

#[test]
fn every_token_is_spelled_and_found_again() {
    let image = image(
        &model(serde_json::from_str(BERT_BASE_UNCASED).unwrap(), 1),
        Codec::Int8,
    )
    .unwrap();
    let model = Model::from_bytes(&image).unwrap();
    let mut buffer = [0; 256];
    let mut spelled: Vec<String> = (0..model.token_count() as u32)
        .map(|id| model.token(id, &mut buffer).unwrap().to_owned())
        .collect();
    assert_eq!(
        tokens(&model, "embeddings!"),
        ["em", "##bed", "##ding", "##s", "!"]
    );
    spelled.sort();
    let json: serde_json::Value = serde_json::from_str(BERT_BASE_UNCASED).unwrap();
    let mut expected: Vec<&str> = json["model"]["vocab"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    expected.sort();
    assert_eq!(spelled, expected);
}

/// Bytes a token in the trie of a `tokenizer.json`, and how many tokens there are.
fn trie_cost(tokenizer: &serde_json::Value) -> (f64, usize) {
    let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
    let tokens: Vec<String> = vocabulary.keys().cloned().collect();
    let trie = Trie::build(&tokens, "##").unwrap();
    (
        trie.section.len() as f64 / tokens.len() as f64,
        tokens.len(),
    )
}

#[test]
fn the_trie_of_berts_vocabulary_is_within_its_budget() {
    let bert = serde_json::from_str(BERT_BASE_UNCASED).unwrap();
    let (per_token, tokens) = trie_cost(&bert);
    assert_eq!(tokens, 30_522);
    assert!(per_token <= 3.0, "{per_token} bytes a token");

    let filter = VocabularyFilter {
        max_entries: Some(8192),
        ..VocabularyFilter::default()
    };
    let small = Vocabulary::select(&bert, None, &filter).unwrap();
    let (per_token, tokens) = trie_cost(&small.tokenizer);
    assert_eq!(tokens, 8192);
    assert!(per_token <= 3.4, "{per_token} bytes a token");
}

#[test]
fn an_image_becomes_a_model_and_the_same_image_again() {
    for codec in [Codec::F32, Codec::F16] {
        let image = tiny_image(codec).unwrap();
        let model = read_image(&image, "tiny.fvec".as_ref()).unwrap();
        let options = ImageOptions {
            codec,
            quantization: Quantization::default(),
            command: String::new(),
            tool: String::new(),
        };
        let again = write_image(&model, &options, &Silent).unwrap();
        let (a, b) = (
            Model::from_bytes(&image).unwrap(),
            Model::from_bytes(&again).unwrap(),
        );
        for text in TEXTS {
            assert_eq!(tokens(&a, text), tokens(&b, text));
            assert_eq!(encode(&a, text), encode(&b, text));
        }
    }
}
