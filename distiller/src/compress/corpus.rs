//! How often tokens occur in text.

use flashvec::{Codec, Model};

use crate::error::{Error, Result};
use crate::image::{ImageOptions, Trie, WordPieceTokenizer, write_image};
use crate::{Quantization, Silent, StaticModel};

/// How often each token of a model, by id, occurs in `texts`.
///
/// # Errors
///
/// What `texts` gives; those of [`write_image`].
pub fn count_tokens<E: From<Error>>(
    model: &StaticModel,
    texts: impl IntoIterator<Item = std::result::Result<String, E>>,
) -> std::result::Result<Vec<u64>, E> {
    let (image, order) = bare_image(model)?;
    let read = |source| Error::Image {
        path: "the image to count with".into(),
        source,
    };
    let tokenizer = Model::from_bytes(&image).map_err(read)?;
    let mut scratch = vec![0; tokenizer.scratch_len()];
    let mut counts = vec![0; order.len()];
    for text in texts {
        let visit = |id: u32| counts[order[id as usize] as usize] += 1;
        tokenizer
            .tokenize(&text?, &mut scratch, visit)
            .map_err(read)?;
    }
    Ok(counts)
}

/// An image with the model's vocabulary and hardly any rows, and the model's id of each of its tokens.
pub(crate) fn bare_image(model: &StaticModel) -> Result<(Vec<u8>, Vec<u32>)> {
    let tokenizer = WordPieceTokenizer::from_json(&model.tokenizer)?;
    let rows = vec![1.0; tokenizer.tokens.len()];
    let bare = model.with_rows(model.tokenizer.clone(), rows, 1);
    let options = ImageOptions {
        codec: Codec::Int4,
        quantization: Quantization::default(),
        command: String::new(),
        tool: String::new(),
    };
    let image = write_image(&bare, &options, &Silent)?;
    Ok((
        image,
        Trie::build(&tokenizer.tokens, &tokenizer.continuing_subword_prefix)?.order,
    ))
}
