//! The front matter of a model card.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The `key: value` lines between the `---` lines that open a README; empty where there are none.
///
/// Lists and nested values are left out: only plain scalars are of use here.
pub(crate) fn front_matter(path: &Path) -> HashMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return HashMap::new();
    }
    let scalars = lines
        .take_while(|line| line.trim_end() != "---")
        .filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            let value = value.trim();
            let plain = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
                .unwrap_or(value);
            let plain = plain
                .strip_prefix('\'')
                .and_then(|value| value.strip_suffix('\''))
                .unwrap_or(plain);
            let is_scalar = !plain.is_empty() && !key.starts_with([' ', '-']);
            is_scalar.then(|| (key.to_owned(), plain.to_owned()))
        });
    scalars.collect()
}
