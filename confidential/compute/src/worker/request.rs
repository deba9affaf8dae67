//! Checks of an opened request.

use confidential_api::{
    badge::Badge,
    names::{REQUEST_MAX, header, host},
    settings::compute::Settings,
};
use confidential_envelope::bhttp::{self, RequestHead};
use http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use zeroize::Zeroizing;

/// The only path.
const PATH: &str = "/v1/chat/completions";

/// Why a request is refused. The response is sealed, in OpenAI's format, and contains nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: StatusCode,
    /// One sentence with what to do.
    pub message: &'static str,
}

impl Refused {
    /// The engine does not respond.
    pub(super) const ENGINE: Self =
        Self::new(StatusCode::BAD_GATEWAY, "the node's engine does not respond: try again");

    const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }
}

/// The part of a chat request that is checked.
#[derive(Deserialize)]
struct ModelField {
    model: String,
}

/// Checks an opened request, Binary HTTP (RFC 9292) with at most [`REQUEST_MAX`] bytes of content; returns the content for
/// the engine.
///
/// # Errors
///
/// [`Refused`], unless it is `POST /v1/chat/completions` with a JSON object that names one of the node's models once,
/// and has a badge for it where `settings` name a key for badges.
pub fn read(question: &[u8], settings: &Settings) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let most = u64::try_from(REQUEST_MAX).unwrap_or(u64::MAX);
    let (head, body) = bhttp::decode::<RequestHead>(question, most)
        .map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "the request must be Binary HTTP"))?;
    if !(head.authority.is_empty() || head.authority == host::WORKER) {
        let message = "the host must be confsec.invalid";
        return Err(Refused::new(StatusCode::MISDIRECTED_REQUEST, message));
    }
    if head.path.as_str() != PATH {
        let message = "only POST /v1/chat/completions is supported";
        return Err(Refused::new(StatusCode::NOT_FOUND, message));
    }
    if head.method != Method::POST {
        let message = "only POST /v1/chat/completions is supported";
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    if !is_json(&head.headers) {
        let message = "the content type must be application/json";
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let asked = asked(&body).ok_or(Refused::new(
        StatusCode::BAD_REQUEST,
        "the body must be a chat request with a model",
    ))?;
    if !settings.models.contains(&asked.model) {
        let message = "the node does not have this model: use another node";
        return Err(Refused::new(StatusCode::NOT_FOUND, message));
    }
    admitted(&head.headers, &asked.model, settings)?;
    Ok(body.into())
}

/// Reads the model of a chat request. Serde also accepts an array for a struct, in which the engine would find no model.
fn asked(body: &[u8]) -> Option<ModelField> {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(body).ok()).flatten()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Checks that a badge allows the model, if badges are required.
fn admitted(headers: &HeaderMap, model: &str, settings: &Settings) -> Result<(), Refused> {
    let Some(key) = &settings.badge_key else { return Ok(()) };
    let refused = |message| Refused::new(StatusCode::UNAUTHORIZED, message);
    let badge = headers.get(header::BADGE).ok_or(refused("a badge is required"))?;
    let badge =
        Badge::decode_text(badge.as_bytes()).map_err(|_| refused("the badge cannot be read"))?;
    if !badge.is_from(key) {
        return Err(refused("the badge is not signed by the key that this node trusts"));
    }
    if !badge.models.iter().any(|it| it == model) {
        return Err(refused("the badge does not allow this model"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
