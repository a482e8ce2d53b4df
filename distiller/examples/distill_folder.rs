//! Distils a teacher to a Model2Vec folder with Model2Vec's defaults and says how long it took.
//!
//! `cargo run --release -p flashvec-distiller --example distill_folder -- TEACHER OUT [DIMS] [f32|f16|int8]`

use std::path::Path;
use std::time::Instant;

use flashvec_distiller::model2vec::{self, RowType};
use flashvec_distiller::pca::Dims;
use flashvec_distiller::{Bar, CandleTeacher, DistillOptions, TeacherSource, distill};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (teacher, out) = match args.as_slice() {
        [teacher, out, ..] => (teacher, out),
        _ => return Err("usage: distill_folder TEACHER OUT [DIMS] [f32|f16|int8]".into()),
    };
    let mut options = DistillOptions::default();
    if let Some(dims) = args.get(2) {
        options.dims = Dims::Components(dims.parse()?);
    }
    let row_type = match args.get(3).map(String::as_str) {
        None | Some("f16") => RowType::F16,
        Some("f32") => RowType::F32,
        Some("int8") => RowType::I8,
        Some(other) => return Err(format!("no such row type as {other}").into()),
    };
    model2vec::check_target(Path::new(out))?;
    let start = Instant::now();
    let source = TeacherSource::open(teacher)?;
    let teacher = CandleTeacher::load(&source.folder)?;
    let model = distill(&teacher, &source, &options, &Bar::default())?;
    let distilled = start.elapsed();
    model2vec::write(&model, Path::new(out), row_type)?;
    println!(
        "{} tokens, {} dimensions, {:.2} s, written after {:.2} s",
        model.token_count(),
        model.dims,
        distilled.as_secs_f64(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
