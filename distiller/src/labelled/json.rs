//! One JSON object a line.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::rows::Label;

/// The text and the label of a line of JSON, or what is wrong with it.
pub(super) fn parse(
    line: &str,
    text_field: &str,
    label_field: Option<&str>,
) -> Result<(String, Option<Label>), String> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let fields = deserializer
        .deserialize_any(Fields {
            text_field,
            label_field,
        })
        .and_then(|fields| deserializer.end().map(|()| fields))
        .map_err(|error| {
            // The position counts lines inside this line.
            let message = error.to_string();
            let what = message
                .split_once(" at line ")
                .map_or(message.as_str(), |(what, _)| what);
            format!("broken JSON (column {}: {what})", error.column())
        })?;
    let missing = |field: &str| format!("no field {field:?}");
    let text = match fields.text.ok_or_else(|| missing(text_field))? {
        Value::String(text) => text,
        other => return Err(format!("{text_field:?} is {}, not a string", kind(&other))),
    };
    let Some(label_field) = label_field else {
        return Ok((text, None));
    };
    let label = match fields.label.ok_or_else(|| missing(label_field))? {
        Value::String(label) => Label::Text(label),
        Value::Number(value) => Label::Number(value.as_f64().unwrap_or(f64::NAN)),
        Value::Array(items) => Label::List(
            items
                .into_iter()
                .map(|item| match item {
                    Value::String(label) => Ok(label),
                    other => Err(format!(
                        "{label_field:?} has {} in its list; labels are strings",
                        kind(&other)
                    )),
                })
                .collect::<Result<_, _>>()?,
        ),
        other => {
            return Err(format!(
                "{label_field:?} is {}; a label is a string, a list of strings or a number",
                kind(&other)
            ));
        }
    };
    Ok((text, Some(label)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads an object, of which only two fields are kept; of two fields of one name neither could be trusted.
struct Fields<'a> {
    text_field: &'a str,
    label_field: Option<&'a str>,
}

#[derive(Default)]
struct Found {
    text: Option<Value>,
    label: Option<Value>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Found;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with {:?}", self.text_field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == self.text_field {
                found.text = Some(map.next_value()?);
            } else if Some(name.as_str()) == self.label_field {
                found.label = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("the field {name:?} twice")));
            }
            seen.insert(name);
        }
        Ok(found)
    }
}
