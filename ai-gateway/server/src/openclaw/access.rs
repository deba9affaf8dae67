//! A provider's key and certificates.

use std::path::PathBuf;

use llm_backend::{ApiKey, Tls};
use serde::Deserialize;
use serde_json::Value;

use super::error::{OpenClawError, wrong};

/// Where a secret is, as the file writes it.
enum Secret {
    /// In `openclaw.json` itself, or the value of a variable.
    Text(String),
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
        Some(Secret::Text(text)) => Ok(ApiKey::Text(text.into())),
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
        Some(Some(Secret::Text(path))) if !path.contains("-----") => Ok(Some(path.into())),
        Some(Some(Secret::File(path))) => Ok(Some(path)),
        Some(Some(Secret::Text(_)) | None) => {
            Err(wrong(format!("{at}.{name}"), "put it into its own file and write the file's path"))
        }
    };
    let RawTls { ca, cert, key, server_name } = request.tls;
    Ok(Tls { ca: file(ca, "ca")?, cert: file(cert, "cert")?, key: file(key, "key")?, server_name })
}
