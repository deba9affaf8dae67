//! Ollama's models and their capabilities.

use chat_vocabulary::{Capability, ModelInfo};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    /// The name at the remote host, for a model that Ollama forwards.
    #[serde(default)]
    remote_model: Option<String>,
    #[serde(default)]
    remote_host: Option<String>,
}

#[derive(Deserialize)]
struct Show {
    #[serde(default)]
    capabilities: Option<Vec<Value>>,
    /// The `PARAMETER` lines of its Modelfile: a name, blanks, a value.
    #[serde(default)]
    parameters: Option<String>,
    #[serde(default)]
    model_info: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// The names of Ollama's models.
pub(super) struct Names {
    /// Models that it runs itself.
    pub(super) here: Vec<String>,
    /// Models that it forwards.
    pub(super) elsewhere: Vec<String>,
}

/// Decodes the answer of `/api/tags`; `None` if it has another format.
pub(super) fn decode_names(body: &[u8]) -> Option<Names> {
    let tags: Tags = serde_json::from_slice(body).ok()?;
    let is_here = |tag: &Tag| {
        let remote = [&tag.remote_model, &tag.remote_host];
        remote.into_iter().flatten().all(String::is_empty)
    };
    let (here, elsewhere): (Vec<_>, Vec<_>) = tags.models.into_iter().partition(is_here);
    let names = |tags: Vec<Tag>| tags.into_iter().map(|tag| tag.name).collect();
    Some(Names { here: names(here), elsewhere: names(elsewhere) })
}

/// Decodes the answer of `/api/tags`: the names of the models that it runs itself; `None` if it has another format.
#[must_use]
pub fn decode_tags(body: &[u8]) -> Option<Vec<String>> {
    decode_names(body).map(|names| names.here)
}

/// Decodes the answer of `/api/show`, which does not contain the name; `None` if it has another format.
///
/// The context size is that of the Modelfile, with which Ollama loads the model by default, and at most the model's own
/// limit. It is unknown if the Modelfile does not set it.
#[must_use]
pub fn decode_show(body: &[u8]) -> Option<ModelInfo> {
    let show: Show = serde_json::from_slice(body).ok()?;
    let capabilities = show.capabilities.map(|all| all.iter().filter_map(capability).collect());
    let limit = show.model_info.as_ref().and_then(limit);
    let loaded = show.parameters.as_deref().and_then(num_ctx);
    let context_tokens = loaded.map(|tokens| tokens.min(limit.unwrap_or(u32::MAX)));
    Some(ModelInfo { context_tokens, capabilities, ..ModelInfo::default() })
}

/// Decodes the answer of `/api/version`; `None` if it has another format.
pub(super) fn decode_version(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|Version { version }| version)
}

/// A capability, if Maru has it.
fn capability(name: &Value) -> Option<Capability> {
    Capability::deserialize(name).ok()
}

/// The model's largest context in tokens, whose key contains the name of the architecture.
fn limit(info: &Map<String, Value>) -> Option<u32> {
    let architecture = info.get("general.architecture")?.as_str()?;
    let tokens = info.get(&format!("{architecture}.context_length"))?.as_u64()?;
    u32::try_from(tokens).ok()
}

fn num_ctx(parameters: &str) -> Option<u32> {
    let mut lines = parameters.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| {
        (words.next() == Some("num_ctx")).then(|| words.next())??.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_ollama_forwards_are_not_listed() {
        let body = r#"{"models":[{"name":"qwen3:8b","size":1,"details":{}},
            {"name":"mine:latest","remote_model":"gpt-oss:120b","remote_host":"https://ollama.com"}]}"#;
        assert_eq!(decode_tags(body.as_bytes()), Some(vec!["qwen3:8b".to_owned()]));
        assert_eq!(decode_tags(b"{}"), None);
    }

    #[test]
    fn context_size_and_capabilities_are_read() {
        let body = r#"{"license":"x","parameters":"stop                \"<|im_end|>\"\nnum_ctx    4096",
            "model_info":{"general.architecture":"llama","llama.context_length":2048,"tokenizer.ggml.tokens":null},
            "capabilities":["completion","tools","something new"]}"#;
        let info = decode_show(body.as_bytes()).unwrap();
        assert_eq!(info.context_tokens, Some(2048));
        assert_eq!(info.capabilities, Some(vec![Capability::Completion, Capability::Tools]));
        assert_eq!(decode_show(b"{}"), Some(ModelInfo::default()));
        assert_eq!(decode_show(b"7"), None);
        let unset =
            r#"{"model_info":{"general.architecture":"llama","llama.context_length":8192}}"#;
        assert_eq!(decode_show(unset.as_bytes()).unwrap().context_tokens, None);
    }
}
