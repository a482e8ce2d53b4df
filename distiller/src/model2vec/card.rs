//! The model card of a Model2Vec folder.

use serde_json::Value;

use crate::StaticModel;
use crate::image::HeadParts;

/// `README.md` with the front matter that the Hugging Face hub and Python's Model2Vec read.
pub(super) fn model_card(model: &StaticModel, head: Option<&HeadParts>, name: &str) -> String {
    // A JSON string is a YAML string, whatever is in it.
    let quoted = |text: &str| Value::from(text).to_string();
    let provenance = &model.provenance;
    let mut card = "---\nlibrary_name: model2vec\n".to_owned();
    let fields = [
        ("base_model", &provenance.teacher),
        ("license", &provenance.licence),
        ("model_name", &name.to_owned()),
    ];
    for (field, value) in fields {
        if !value.is_empty() {
            card += &format!("{field}: {}\n", quoted(value));
        }
    }
    card += "tags:\n- embeddings\n- static-embeddings\n- sentence-transformers\n---\n\n";
    card += &format!("# {name}\n\n");
    let kind = match head {
        None => "A static embedding model".to_owned(),
        Some(head) => format!("A text classifier with {} outputs", head.labels.len()),
    };
    card += &format!(
        "{kind} in [Model2Vec](https://github.com/MinishLab/model2vec)'s format: {} tokens, {} \
         dimensions.\n",
        model.token_count(),
        model.dims
    );
    if !provenance.teacher.is_empty() {
        card += &format!("Distilled with flashvec from `{}`", provenance.teacher);
        if !provenance.teacher_sha256.is_empty() {
            card += &format!(
                " (SHA-256 of its `model.safetensors`: `{}`)",
                provenance.teacher_sha256
            );
        }
        card += ".\n";
    }
    let (import, class, call) = match head {
        None => ("model2vec", "StaticModel", "embeddings = model.encode"),
        Some(_) => (
            "model2vec.inference",
            "StaticModelPipeline",
            "labels = model.predict",
        ),
    };
    card += &format!("\n```python\nfrom {import} import {class}\n\n");
    card += &format!("model = {class}.from_pretrained(\"path/to/this/folder\")\n");
    card += &format!("{call}([\"A sentence.\"])\n```\n");
    card
}
