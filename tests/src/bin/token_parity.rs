//! `token_parity TOKENIZER_JSON [TEXTS...]`: counts the lines of each file, and the Unicode scalar
//! values in three contexts, whose tokens differ from those of Hugging Face `tokenizers`.

use std::process::ExitCode;

use flashvec_tests::parity::{Difference, Parity, scalar_contexts};

fn main() -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let tokenizer = args
        .next()
        .ok_or("usage: token_parity TOKENIZER_JSON [TEXTS...]")?;
    let tokenizer = serde_json::from_slice(&std::fs::read(tokenizer)?)?;
    let parity = Parity::new(&tokenizer)?;
    let mut total = 0;
    for path in args {
        let text = std::fs::read_to_string(&path)?;
        let lines: Vec<&str> = text.trim_end_matches('\n').split('\n').collect();
        let (differing, shown) = parity.differences(lines.iter().copied())?;
        total += report(&path, lines.len(), differing, &shown);
    }
    let contexts: Vec<String> = scalar_contexts().collect();
    let (differing, shown) = parity.differences(contexts.iter().map(String::as_str))?;
    total += report(
        "every scalar value in three contexts",
        contexts.len(),
        differing,
        &shown,
    );
    Ok(if total == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(name: &str, texts: usize, differing: usize, shown: &[Difference]) -> usize {
    println!("{texts:>9} texts, {differing} differ: {name}");
    for difference in shown {
        println!(
            "  {:?}\n    flashvec   {:?}\n    tokenizers {:?}",
            difference.text, difference.ours, difference.theirs
        );
    }
    differing
}
