//! What may be asked of a worker: the request that was opened, as whoever sealed it wrote it.

use confidential_api::{
    badge::Badge,
    names::{REQUEST_MAX, header, host},
    settings::compute::Settings,
};
use confidential_envelope::bhttp::{self, RequestHead};
use http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use zeroize::Zeroizing;

/// The one path.
const PATH: &str = "/v1/chat/completions";

/// Why a request is not passed on. It is told under the seal, in OpenAI's shape, and repeats nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: StatusCode,
    /// One sentence with what to do.
    pub message: &'static str,
}

impl Refused {
    /// The engine does not answer.
    pub(super) const ENGINE: Self =
        Self::new(StatusCode::BAD_GATEWAY, "the node's engine does not answer: ask again");

    const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }
}

/// The part of a chat request that is looked at.
#[derive(Deserialize)]
struct Asked {
    model: String,
}

/// Reads an opened request, Binary HTTP (RFC 9292) with at most [`REQUEST_MAX`] bytes of content. Returns its content,
/// with which the engine is asked.
///
/// # Errors
///
/// [`Refused`], unless it is `POST /v1/chat/completions` with a JSON object that names one of the node's models once,
/// and has a badge for it where `settings` name a key for badges.
pub fn read(question: &[u8], settings: &Settings) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let most = u64::try_from(REQUEST_MAX).unwrap_or(u64::MAX);
    let (head, body) = bhttp::decode::<RequestHead>(question, most)
        .map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "write the request as Binary HTTP"))?;
    if !(head.authority.is_empty() || head.authority == host::WORKER) {
        let message = "this node answers to the host confsec.invalid alone";
        return Err(Refused::new(StatusCode::MISDIRECTED_REQUEST, message));
    }
    if head.path.as_str() != PATH {
        let message = "this node answers POST /v1/chat/completions alone";
        return Err(Refused::new(StatusCode::NOT_FOUND, message));
    }
    if head.method != Method::POST {
        let message = "this node answers POST /v1/chat/completions alone";
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    if !is_json(&head.headers) {
        let message = "write the question as application/json";
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let asked = asked(&body)
        .ok_or(Refused::new(StatusCode::BAD_REQUEST, "write a chat request with its model"))?;
    if !settings.models.contains(&asked.model) {
        let message = "this node does not have the model: ask another node";
        return Err(Refused::new(StatusCode::NOT_FOUND, message));
    }
    admitted(&head.headers, &asked.model, settings)?;
    Ok(body.into())
}

/// The part of a chat request that is looked at. Serde also takes a struct from an array, in which the engine would see no
/// model.
fn asked(body: &[u8]) -> Option<Asked> {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(body).ok()).flatten()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether a badge allows the model, where one is asked for.
fn admitted(headers: &HeaderMap, model: &str, settings: &Settings) -> Result<(), Refused> {
    let Some(key) = &settings.badge_key else { return Ok(()) };
    let refused = |message| Refused::new(StatusCode::UNAUTHORIZED, message);
    let badge = headers.get(header::BADGE).ok_or(refused("this node asks for a badge"))?;
    let badge =
        Badge::decode_text(badge.as_bytes()).map_err(|_| refused("the badge cannot be read"))?;
    if !badge.is_from(key) {
        return Err(refused("the badge is not signed by who gives badges here"));
    }
    if !badge.models.iter().any(|it| it == model) {
        return Err(refused("the badge does not allow this model"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
