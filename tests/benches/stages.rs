//! The stages of inference on this machine, on made-up images with bert-base-uncased's vocabulary:
//! `cargo bench --package flashvec-tests`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flashvec::{Codec, Model, ProductQuantizer};
use flashvec_tests::synthetic::{self, BERT_BASE_UNCASED};

const DIMS: usize = 256;
const CODECS: [Codec; 6] = [
    Codec::Int8,
    Codec::Int4,
    Codec::Int2,
    Codec::F16,
    Codec::F32,
    Codec::Pq(ProductQuantizer {
        code_bits: 8,
        sub_dims: 8,
        shared: true,
    }),
];
/// A sentence as long as those of an encyclopaedia.
const TEXT: &str = "The observatory, built in 1887 on a hill above the harbour, was moved twice before its \
                    telescope was finally dismantled and sold to a museum.";

fn stages(c: &mut Criterion) {
    let tokenizer =
        serde_json::from_str(BERT_BASE_UNCASED).expect("the committed tokenizer is JSON");
    let source = synthetic::model(tokenizer, DIMS);
    for codec in CODECS {
        let image = synthetic::image(&source, codec).expect("every codec fits 256 dimensions");
        let model = Model::from_bytes(&image).expect("it was just written");
        bench_model(c, &image, &model, codec);
    }
}

fn bench_model(c: &mut Criterion, image: &[u8], model: &Model<'_>, codec: Codec) {
    let mut scratch = vec![0; model.scratch_len()];
    let mut ids = Vec::new();
    model
        .tokenize(TEXT, &mut scratch, |id| ids.push(id))
        .expect("the scratch is as long as it says");
    // Every token of the vocabulary, in an order that no cache foresees.
    let all: Vec<u32> = (0..model.token_count() as u64)
        .map(|at| (at * 7919 % model.token_count() as u64) as u32)
        .collect();

    let mut group = c.benchmark_group("stages");
    if codec == Codec::Int8 {
        group.throughput(Throughput::Elements(ids.len() as u64));
        group.bench_function("tokenize", |b| {
            b.iter(|| {
                model.tokenize(black_box(TEXT), &mut scratch, |id| {
                    black_box(id);
                })
            });
        });
    }
    let of = |name: &str| BenchmarkId::new(name, codec);
    group.throughput(Throughput::Elements(ids.len() as u64));
    group.bench_function(of("encode"), |b| {
        b.iter(|| {
            model
                .encode(black_box(TEXT), &mut scratch)
                .map(<[f32]>::len)
        });
    });
    group.bench_function(of("pool and normalize, rows in cache"), |b| {
        b.iter(|| {
            model
                .encode_ids(black_box(&ids), &mut scratch)
                .map(<[f32]>::len)
        });
    });
    group.throughput(Throughput::Elements(all.len() as u64));
    group.bench_function(of("pool, rows all over the table"), |b| {
        b.iter(|| {
            for ids in all.chunks(512) {
                let embedding = model.encode_ids(black_box(ids), &mut scratch);
                black_box(embedding.map(<[f32]>::len)).ok();
            }
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function(of("normalize, one token"), |b| {
        b.iter(|| {
            model
                .encode_ids(black_box(&ids[..1]), &mut scratch)
                .map(<[f32]>::len)
        });
    });
    group.throughput(Throughput::Bytes(image.len() as u64));
    group.bench_function(of("from_bytes"), |b| {
        b.iter(|| Model::from_bytes(black_box(image)).is_ok());
    });
}

criterion_group!(benches, stages);
criterion_main!(benches);
