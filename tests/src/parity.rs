//! Comparing an image's tokens with those of Hugging Face `tokenizers`.

use std::collections::HashMap;

use flashvec::{Codec, Model};
use flashvec_distiller::image::{ImageOptions, write_image};
use flashvec_distiller::{Provenance, Quantization, Rows, Silent, StaticModel};
use serde_json::Value;
use tokenizers::Tokenizer;

/// What differs between the two for one text.
#[derive(Debug)]
pub struct Difference {
    pub text: String,
    pub ours: Vec<String>,
    pub theirs: Vec<String>,
}

/// A text's tokens by both, from one `tokenizer.json`.
pub struct Parity {
    reference: Tokenizer,
    image: Vec<u8>,
    /// Token texts by the ids of `tokenizer.json`.
    names: HashMap<u32, String>,
}

impl Parity {
    /// Makes an image from a `tokenizer.json` and a table with one row of one value a token.
    pub fn new(tokenizer: &Value) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut reference: Tokenizer = serde_json::from_value(tokenizer.clone())?;
        reference.with_truncation(None)?;
        reference.with_padding(None);
        let names: HashMap<u32, String> = reference
            .get_vocab(true)
            .into_iter()
            .map(|(token, id)| (id, token))
            .collect();
        let model = StaticModel {
            tokenizer: tokenizer.clone(),
            rows: Rows::I8(vec![1; names.len()]),
            dims: 1,
            weights: None,
            mapping: None,
            normalize: true,
            max_length: None,
            provenance: Provenance::default(),
        };
        let options = ImageOptions {
            codec: Codec::Int8,
            quantization: Quantization::default(),
            command: String::new(),
            tool: String::new(),
        };
        let image = write_image(&model, &options, &Silent)?;
        Ok(Self {
            reference,
            image,
            names,
        })
    }

    /// The image, for its size.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// The first few texts whose tokens differ, and how many there are.
    pub fn differences<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Result<(usize, Vec<Difference>), Box<dyn std::error::Error + Send + Sync>> {
        const SHOWN: usize = 5;
        let model = Model::from_bytes(&self.image)?;
        let mut buffer = vec![0; 1024];
        let ours_by_id: Vec<String> = (0..model.token_count() as u32)
            .map(|id| model.token(id, &mut buffer).unwrap_or_default().to_owned())
            .collect();
        let mut scratch = vec![0; model.scratch_len()];
        let mut ours: Vec<u32> = Vec::new();
        let mut count = 0;
        let mut shown = Vec::new();
        for text in texts {
            ours.clear();
            model.tokenize(text, &mut scratch, |id| ours.push(id))?;
            let theirs = self.reference.encode_fast(text, false)?;
            let theirs = theirs.get_ids();
            let same = ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(ours, theirs)| ours_by_id[*ours as usize] == self.names[theirs]);
            if !same {
                count += 1;
                if shown.len() < SHOWN {
                    shown.push(Difference {
                        text: text.to_owned(),
                        ours: ours
                            .iter()
                            .map(|id| ours_by_id[*id as usize].clone())
                            .collect(),
                        theirs: theirs.iter().map(|id| self.names[id].clone()).collect(),
                    });
                }
            }
        }
        Ok((count, shown))
    }
}

/// Every Unicode scalar value in three contexts: alone, between letters, after a space.
pub fn scalar_contexts() -> impl Iterator<Item = String> {
    ('\0'..=char::MAX).flat_map(|c| [c.to_string(), format!("a{c}b"), format!("a {c}")])
}
