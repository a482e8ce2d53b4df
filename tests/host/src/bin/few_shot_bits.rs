//! `few_shot_bits IMAGE TEXTS`: what the device firmware prints about a few-shot classifier, from this machine.
//!
//! A line a text: `bits` and what [`few_shot_steps::step`] emitted; then `bits` and the state's bytes.

use std::fmt::Write as _;
use std::{env, fs};

use flashvec::{FewShot, Model};
use flashvec_host::{few_shot_steps, texts};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [image, texts] = arguments.as_slice() else {
        return Err("usage: few_shot_bits IMAGE TEXTS".into());
    };
    let image = fs::read(image)?;
    let texts = texts::from_file(&fs::read(texts)?).ok_or("not a file of texts")?;
    let model = Model::from_bytes(&image)?;
    let mut state = vec![0; FewShot::len_for(&model, few_shot_steps::CAPACITY)];
    let mut scratch = vec![0; FewShot::new(&model, &mut state)?.scratch_len()];
    let mut previous: &[u8] = &[];
    for (at, text) in texts.iter().enumerate() {
        let mut line = "bits ".to_owned();
        let emit = &mut |word| write!(line, "{word:08x}").expect("a string takes any text");
        few_shot_steps::step(&model, &mut state, at, text, previous, &mut scratch, emit)?;
        println!("{line}");
        previous = text;
    }
    let mut line = "bits ".to_owned();
    for word in state.as_chunks().0 {
        write!(line, "{:08x}", u32::from_le_bytes(*word))?;
    }
    println!("{line}");
    Ok(())
}
