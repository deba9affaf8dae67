//! Edits of `openclaw.json` that keep its comments and layout.

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstObject, CstRootNode},
    parse_to_serde_value,
};
use serde_json::{Map, Value, json};

/// How the first line of a file ends that Maru wrote.
const FIRST_LINE: &str = "in OpenClaw's format (JSON5).";

/// Whether Maru wrote the file first. Commands change another one, such as that of a user of OpenClaw, with `--write` alone.
pub(crate) fn is_of_maru(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("//") && first.contains("Maru") && first.ends_with(FIRST_LINE)
}

/// As the gateway reads the file.
fn options() -> ParseOptions {
    ParseOptions { allow_missing_commas: false, ..ParseOptions::default() }
}

/// The value of the text; `None` if it is invalid.
pub(crate) fn read(text: &str) -> Option<Value> {
    parse_to_serde_value(text, &options()).ok()
}

/// The document, and its object of providers, created if missing.
pub(crate) fn providers(text: &str) -> Option<(CstRootNode, CstObject)> {
    let root = CstRootNode::parse(text, &options()).ok()?;
    let models = root.object_value()?.object_value_or_create("models")?;
    let providers = models.object_value_or_create("providers")?;
    Some((root, providers))
}

/// The same object in the value.
pub(crate) fn providers_of(value: &mut Value) -> Option<&mut Map<String, Value>> {
    let models = value.as_object_mut()?.entry("models").or_insert_with(|| json!({}));
    models.as_object_mut()?.entry("providers").or_insert_with(|| json!({})).as_object_mut()
}

/// The value as it is inserted, its keys in this order.
pub(crate) fn input(value: &Value, order: &[&str]) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(is) => CstInputValue::Bool(*is),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(values) => {
            CstInputValue::Array(values.iter().map(|value| input(value, order)).collect())
        }
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.clone(), input(value, order)));
            let mut members: Vec<_> = members.collect();
            members.sort_by_key(|(key, _)| order.iter().position(|known| known == key));
            CstInputValue::Object(members)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_of_maru;

    #[test]
    fn a_file_is_of_maru_by_its_first_line() {
        let former =
            "// What answers in Maru: models and agents, in OpenClaw's format (JSON5).\n{}\n";
        assert!(is_of_maru(former));
        for other in ["", "{}", "// Mine.\n{}", &format!("\n{former}")] {
            assert!(!is_of_maru(other), "{other}");
        }
    }
}
