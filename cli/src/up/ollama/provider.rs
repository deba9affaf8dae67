//! The provider in `openclaw.json`.

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstRootNode},
    parse_to_serde_value,
};
use serde_json::{Map, Value, json};
use services::AGENT_UID;

use super::{
    dial,
    server::{Edit, Model, OllamaServer},
};

/// What the provider is called.
pub(super) const NAME: &str = "ollama";
/// Ollama's own API.
const API: &str = "ollama";
/// The order in which people write the keys.
const ORDER: [&str; 7] = ["baseUrl", "uid", "api", "models", "id", "name", "contextWindow"];

fn base_url() -> String {
    format!("unix:///{}", dial::socket())
}

fn model(model: &Model) -> Value {
    let mut value = json!({ "id": model.id, "name": model.id });
    if let (Some(object), Some(context)) = (value.as_object_mut(), model.context) {
        object.insert("contextWindow".to_owned(), context.into());
    }
    value
}

fn provider(found: &OllamaServer) -> Value {
    let models: Vec<_> = found.models.iter().map(model).collect();
    json!({ "baseUrl": base_url(), "uid": AGENT_UID, "api": API, "models": models })
}

/// The provider as it is written.
pub(super) fn block(found: &OllamaServer) -> String {
    let value = json!({ "models": { "providers": { NAME: provider(found) } } });
    format!("{value:#}")
}

/// Adds the provider to the text of `openclaw.json`, or to the provider the models that it lacks. What an admin wrote
/// of a model stays, and so do models that Ollama does not have any more.
pub(super) fn edit(text: &str, found: &OllamaServer) -> Edit {
    change(text, found).unwrap_or(Edit::ByHand)
}

/// Nothing if the text cannot be understood without a doubt.
fn change(text: &str, found: &OllamaServer) -> Option<Edit> {
    let mut expected = read(text)?;
    let root = CstRootNode::parse(text, &options()).ok()?;
    let providers = root
        .object_value()?
        .object_value_or_create("models")?
        .object_value_or_create("providers")?;
    let known = object(object(expected.as_object_mut()?, "models")?, "providers")?;
    match known.get_mut(NAME) {
        None => {
            known.insert(NAME.to_owned(), provider(found));
            providers.append(NAME, input(&provider(found)));
        }
        Some(known) => {
            let ours = known["baseUrl"] == json!(base_url()) && known["api"] == json!(API);
            let known = known.get_mut("models")?.as_array_mut().filter(|_| ours)?;
            let lacking = |model: &&Model| known.iter().all(|known| known["id"] != json!(model.id));
            let new: Vec<_> = found.models.iter().filter(lacking).map(model).collect();
            if new.is_empty() {
                return Some(Edit::Same);
            }
            let models = providers.object_value(NAME)?.array_value("models")?;
            models.ensure_multiline();
            for model in new {
                models.append(input(&model));
                known.push(model);
            }
        }
    }
    let text = root.to_string();
    // Whatever the file looks like: it says what it said, and this.
    (read(&text)? == expected).then_some(Edit::New(text))
}

/// As the gateway reads the file.
fn options() -> ParseOptions {
    ParseOptions { allow_missing_commas: false, ..ParseOptions::default() }
}

fn read(text: &str) -> Option<Value> {
    parse_to_serde_value(text, &options()).ok()
}

/// The object at `key`, made if it is missing; nothing if something else is there.
fn object<'a>(within: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    within.entry(key).or_insert_with(|| json!({})).as_object_mut()
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(is) => CstInputValue::Bool(*is),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(input).collect()),
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(key, value)| (key.clone(), input(value))).collect();
            members.sort_by_key(|(key, _)| ORDER.iter().position(|known| known == key));
            CstInputValue::Object(members)
        }
    }
}
