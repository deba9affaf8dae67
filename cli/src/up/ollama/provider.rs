//! The provider in `openclaw.json`.

use serde_json::{Value, json};
use services::AGENT_UID;

use super::{
    dial,
    server::{Edit, Model, OllamaServer},
};
use crate::openclaw;

/// What the provider is called.
pub(crate) const NAME: &str = "ollama";
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

/// The same for a file that Maru wrote; another one stays.
pub(super) fn edit_of_maru(text: &str, found: &OllamaServer) -> Edit {
    let edit = edit(text, found);
    let is_refused = matches!(edit, Edit::New(_)) && !openclaw::is_of_maru(text);
    if is_refused { Edit::Foreign } else { edit }
}

/// Adds the provider to the text of `openclaw.json`, or to the provider the models that it lacks. What an admin wrote
/// of a model stays, and so do models that Ollama does not have any more.
pub(super) fn edit(text: &str, found: &OllamaServer) -> Edit {
    change(text, found).unwrap_or(Edit::ByHand)
}

/// `None` if the text cannot be edited safely.
fn change(text: &str, found: &OllamaServer) -> Option<Edit> {
    let mut expected = openclaw::read(text)?;
    let (root, providers) = openclaw::providers(text)?;
    let known = openclaw::providers_of(&mut expected)?;
    match known.get_mut(NAME) {
        None => {
            known.insert(NAME.to_owned(), provider(found));
            providers.append(NAME, openclaw::input(&provider(found), &ORDER));
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
                models.append(openclaw::input(&model, &ORDER));
                known.push(model);
            }
        }
    }
    let text = root.to_string();
    // The edit is used only if the file now means the old value with this change.
    (openclaw::read(&text)? == expected).then_some(Edit::New(text))
}
