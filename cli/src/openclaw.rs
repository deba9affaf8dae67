//! Edits of `openclaw.json` that keep its comments and layout.

use std::{fs, path::Path};

use anyhow::ensure;
use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstObject, CstRootNode},
    parse_to_serde_value,
};
use messages::message;
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
    object(value, ["models", "providers"])
}

/// The object below these keys, created if missing.
fn object<'a>(value: &'a mut Value, keys: [&str; 2]) -> Option<&'a mut Map<String, Value>> {
    let [outer, inner] = keys;
    let outer = value.as_object_mut()?.entry(outer).or_insert_with(|| json!({}));
    outer.as_object_mut()?.entry(inner).or_insert_with(|| json!({})).as_object_mut()
}

/// The model that answers requests that name none, as the file says, and its fallbacks.
pub(crate) fn choice(value: &Value) -> (Option<String>, Vec<String>) {
    let model = &value["agents"]["defaults"]["model"];
    let primary = model.as_str().or_else(|| model["primary"].as_str());
    let fallbacks = model["fallbacks"].as_array().into_iter().flatten();
    let fallbacks = fallbacks.filter_map(Value::as_str).map(str::to_owned).collect();
    (primary.map(str::to_owned), fallbacks)
}

/// Writes this choice into the text; `None` if it cannot be edited safely.
pub(crate) fn choose(text: &str, primary: &str, fallbacks: &[String]) -> Option<String> {
    let mut expected = read(text)?;
    let root = CstRootNode::parse(text, &options()).ok()?;
    let agents = root.object_value()?.object_value_or_create("agents")?;
    let defaults = agents.object_value_or_create("defaults")?;
    let known = object(&mut expected, ["agents", "defaults"])?;
    let chosen = json!({ "primary": primary, "fallbacks": fallbacks });
    let order = ["primary", "fallbacks"];
    match defaults.get("model") {
        Some(model) => match model.object_value() {
            Some(model) => {
                let known = known.get_mut("model")?.as_object_mut()?;
                for key in order {
                    known.insert(key.to_owned(), chosen[key].clone());
                    let value = input(&chosen[key], &order);
                    match model.get(key) {
                        Some(present) => present.set_value(value),
                        None => drop(model.append(key, value)),
                    }
                }
            }
            None => {
                model.set_value(input(&chosen, &order));
                known.insert("model".to_owned(), chosen);
            }
        },
        None => {
            defaults.append("model", input(&chosen, &order));
            known.insert("model".to_owned(), chosen);
        }
    }
    let text = root.to_string();
    // The edit is used only if the file now means the old value with this change.
    (read(&text)? == expected).then_some(text)
}

/// Fails if Maru did not write the file at `path`, and it may not be changed.
pub(crate) fn check(path: &Path, write: bool) -> anyhow::Result<()> {
    // What cannot be read is refused later, with the cause.
    let is_foreign = fs::read_to_string(path).is_ok_and(|text| !is_of_maru(&text));
    ensure!(write || !is_foreign, message!("openclaw-not-of-maru", path = path.display()));
    Ok(())
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
