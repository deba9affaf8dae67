//! Lists and describes the models.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use axum::{Json, extract::State};
use chat_vocabulary::{Capability, ollama};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::{begin::decoded, body::Body};
use crate::{
    App, Error,
    error::ollama::OllamaError,
    models::{Description, HOUSEHOLD},
};

/// When this gateway started; reported as the date of each model.
static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);
/// How long a model is reported to stay in memory: a century, as Ollama reports for models that stay loaded.
const STAYS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Lists the models: the household's AI first, then the primary model, then the others.
pub(super) async fn tags(State(app): State<Arc<App>>) -> Json<Value> {
    let models: Vec<_> = all(&app).map(|(name, _)| entry(&name)).collect();
    Json(json!({ "models": models }))
}

/// Lists the models whose backends answer; each is loaded, or loads at its next request.
pub(super) async fn ps(State(app): State<Arc<App>>) -> Json<Value> {
    let running = all(&app).filter(|(_, it)| it.answers).map(|(name, it)| {
        let mut entry = entry(&name);
        entry["expires_at"] = time(*STARTED + STAYS).into();
        entry["size_vram"] = 0.into();
        entry["context_length"] = it.context_window.unwrap_or_default().into();
        entry
    });
    Json(json!({ "models": running.collect::<Vec<_>>() }))
}

/// Describes a model.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    body: Body,
) -> Result<Json<Value>, OllamaError> {
    let name = decoded(body, ollama::decode_show).await?;
    let chain = app.models.choose(Some(&name)).map_err(Error::Model)?;
    let mut model = app.models.describe_one(&chain.first).ok_or(Error::NotFound)?;
    if chain.household {
        model.context_window = chain.context_window;
    }
    Ok(Json(shown(&model)))
}

fn shown(model: &Description) -> Value {
    let capabilities: Vec<_> =
        model.capabilities.iter().map(|it| Capability::as_str(*it)).collect();
    let mut info = json!({ "general.architecture": HOUSEHOLD });
    let mut parameters = String::new();
    if let Some(tokens) = model.context_window {
        info[format!("{HOUSEHOLD}.context_length")] = tokens.into();
        parameters = format!("num_ctx {tokens}");
    }
    json!({
        "modelfile": "",
        "parameters": parameters,
        "template": "{{ .Prompt }}",
        "details": details(),
        "model_info": info,
        "capabilities": capabilities,
        "modified_at": time(*STARTED),
    })
}

/// Every model with its listed name. The household's AI has the description of the primary model.
fn all(app: &App) -> impl Iterator<Item = (String, Description)> {
    let models = app.models.describe();
    let household = models.first().cloned().map(|first| (HOUSEHOLD.to_owned(), first));
    let named = models.into_iter().map(|model| (model.name.to_string(), model));
    household.into_iter().chain(named).map(|(name, model)| (tagged(&name), model))
}

/// The name with a tag; all of Ollama's names have one.
fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn entry(name: &str) -> Value {
    // Clients cut it to twelve characters.
    let digest = hex(&Sha256::digest(name));
    json!({
        "name": name,
        "model": name,
        "modified_at": time(*STARTED),
        "size": 0,
        "digest": digest,
        "details": details(),
    })
}

/// Ollama's details of a model, left empty: only the admin sees its origin and quantization.
fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time as Ollama writes it (RFC 3339).
pub(super) fn time(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_tag() {
        assert_eq!(tagged("llamacpp/smollm2"), "llamacpp/smollm2:latest");
        assert_eq!(tagged("ollama/qwen3:8b"), "ollama/qwen3:8b");
        assert_eq!(tagged("ollama/hf.co/a:b/c"), "ollama/hf.co/a:b/c:latest");
        assert_eq!(tagged("maru"), "maru:latest");
    }
}
