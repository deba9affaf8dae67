//! A provider's key and certificates.

use std::{env, path::PathBuf};

use llm_backend::{ApiKey, Tls};
use serde::Deserialize;
use serde_json::Value;

use super::error::{OpenClawError, wrong};

/// Where a secret is, as the file writes it.
enum Secret {
    /// In `openclaw.json` itself.
    Text(String),
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
}

impl Secret {
    /// Reads a text, or `{source, id | path}`; the value itself is never repeated in an error.
    fn read(value: &Value) -> Option<Self> {
        if let Some(text) = value.as_str() {
            return Some(Self::Text(text.to_owned()));
        }
        let field = |name: &str| value.get(name).map(Value::as_str);
        match (field("source")??, field("id"), field("path")) {
            ("env", Some(Some(name)), None) => Some(Self::Env(name.to_owned())),
            ("file", None, Some(Some(path))) => Some(Self::File(path.into())),
            _ => None,
        }
    }
}

/// The part of a provider's `request` that has an effect.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Request {
    tls: RawTls,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawTls {
    ca: Option<Value>,
    cert: Option<Value>,
    key: Option<Value>,
    server_name: Option<String>,
}

/// The key of a provider.
pub(super) fn key(value: &Value, at: &str) -> Result<ApiKey, OpenClawError> {
    match Secret::read(value) {
        Some(Secret::Text(text)) => match variable(&text) {
            Some(name) => from_env(name, at),
            None if text.contains("${") => {
                Err(wrong(at, "a variable cannot be combined with other text: write \"${NAME}\""))
            }
            None => Ok(ApiKey::Text(text.into())),
        },
        Some(Secret::Env(name)) => from_env(&name, at),
        Some(Secret::File(path)) => Ok(ApiKey::File(path)),
        None => Err(wrong(
            at,
            "write \"${NAME}\", {source: \"env\", id: \"NAME\"} or {source: \"file\", \"path\": \"/file/with/the.key\"}",
        )),
    }
}

/// The certificates of a provider.
pub(super) fn tls(request: Request, at: &str) -> Result<Tls, OpenClawError> {
    let file = |value: Option<Value>, name: &str| match value.as_ref().map(Secret::read) {
        None => Ok(None),
        Some(Some(Secret::Text(path))) if !path.contains("-----") && !path.contains("${") => {
            Ok(Some(path.into()))
        }
        Some(Some(Secret::File(path))) => Ok(Some(path)),
        Some(Some(Secret::Text(_) | Secret::Env(_)) | None) => {
            Err(wrong(format!("{at}.{name}"), "put it into its own file and write the file's path"))
        }
    };
    let RawTls { ca, cert, key, server_name } = request.tls;
    Ok(Tls { ca: file(ca, "ca")?, cert: file(cert, "cert")?, key: file(key, "key")?, server_name })
}

/// The name in `${NAME}`.
fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(known).then_some(name)
}

fn from_env(name: &str, at: &str) -> Result<ApiKey, OpenClawError> {
    match env::var(name) {
        Ok(text) => Ok(ApiKey::Text(text.into())),
        // `maru up` passes no environment variables to services.
        Err(_) => Err(wrong(
            at,
            format!(
                "the gateway has no environment variable {name} (its container gets none): write the key into a file that \
                 only the gateway can read, and write {{source: \"file\", path: \"/that/file\"}} here"
            ),
        )),
    }
}
