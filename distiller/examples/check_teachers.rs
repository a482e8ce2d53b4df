//! Whether candle and libtorch give a teacher the same hidden states and the same distilled model, to rounding.
//!
//! `cargo xtask check-teachers`, or where libtorch is set up:
//! `cargo run --release -p flashvec-distiller --features libtorch --example check_teachers -- TEACHER [DEVICE]`

use flashvec_distiller::vocabulary::{Vocabulary, VocabularyFilter};
use flashvec_distiller::{
    Backend, Bar, Device, DistillOptions, Rows, StaticModel, Teacher, TeacherSource, distill,
};

type Failure = Box<dyn std::error::Error>;

/// What rounding explains: of a hidden state's values, and of rows' cosines.
const STATES: f64 = 1e-4;
const COSINES: f64 = 1e-5;
/// Sequences a comparison.
const BATCH: usize = 256;
/// Pairs of rows whose cosines are compared.
const PAIRS: usize = 200_000;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let name = args
        .next()
        .ok_or("usage: check_teachers TEACHER [cpu|cuda|cuda:N]")?;
    let device: Device = args.next().as_deref().unwrap_or("cpu").parse()?;
    let source = TeacherSource::open(&name)?;
    let candle = Backend::Candle.load(&source, Device::Cpu)?;
    let libtorch = Backend::Libtorch.load(&source, device)?;

    let filter = VocabularyFilter::default();
    let mut sequences =
        Vocabulary::select(&source.tokenizer, source.pad_token.as_deref(), &filter)?.sequences;
    sequences.extend(long_sequences(&*candle, &sequences));
    let mut states = 0.0;
    for batch in sequences.chunks(BATCH) {
        let batch: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
        let (ours, theirs) = (
            candle.hidden_states(&batch)?,
            libtorch.hidden_states(&batch)?,
        );
        if ours.len() != theirs.len() {
            return Err("the backends give different numbers of values".into());
        }
        let differences = ours
            .iter()
            .zip(&theirs)
            .map(|(a, b)| f64::from((a - b).abs()));
        states = differences.fold(states, larger);
    }
    println!(
        "hidden states of {} sequences: largest difference {states:.2e}, at most {STATES:.0e} allowed",
        sequences.len()
    );

    let options = DistillOptions::default();
    let [ours, theirs] =
        [&candle, &libtorch].map(|teacher| distill(&**teacher, &source, &options, &Bar::default()));
    let cosines = largest_difference(&ours?, &theirs?)?;
    println!(
        "cosines of {PAIRS} pairs of distilled rows: largest difference {cosines:.2e}, at most {COSINES:.0e} allowed"
    );
    if states <= STATES && cosines <= COSINES {
        Ok(())
    } else {
        Err("the backends disagree".into())
    }
}

/// The larger one, or what is no number, which `f64::max` would leave out.
fn larger(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// Sequences of many lengths, up to the longest, out of the vocabulary's ids.
fn long_sequences(teacher: &dyn Teacher, vocabulary: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let lengths = (2..=teacher.max_positions().min(512)).step_by(15);
    let id = |at: usize| {
        let entry = &vocabulary[at * 7919 % vocabulary.len()];
        entry[entry.len() / 2]
    };
    lengths
        .map(|length| (0..length).map(|at| id(length * 31 + at)).collect())
        .collect()
}

/// Between the cosines of pairs of rows in one model and in the other.
fn largest_difference(a: &StaticModel, b: &StaticModel) -> Result<f64, Failure> {
    let (Rows::F32(a_rows), Rows::F32(b_rows)) = (&a.rows, &b.rows) else {
        return Err("distilled rows are f32".into());
    };
    let count = a_rows.len() / a.dims;
    let pairs = (0..PAIRS).map(|at| (at * 7919 % count, (at * 104_729 + 1) % count));
    let differences =
        pairs.map(|(i, j)| (cosine(a_rows, a.dims, i, j) - cosine(b_rows, b.dims, i, j)).abs());
    Ok(differences.fold(0.0, larger))
}

fn cosine(rows: &[f32], dims: usize, i: usize, j: usize) -> f64 {
    let (a, b) = (&rows[i * dims..][..dims], &rows[j * dims..][..dims]);
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
