//! What may be asked of a worker.

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

/// What is told under the seal, in OpenAI's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// One sentence with what to do.
    pub(super) message: &'static str,
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

/// The body that the engine is asked with: of `POST /v1/chat/completions` for a model of this node, from somebody who may.
pub(super) fn read(question: &[u8], settings: &Settings) -> Result<Zeroizing<Vec<u8>>, Refused> {
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
    let asked: Asked = serde_json::from_slice(&body).map_err(|_| {
        Refused::new(StatusCode::BAD_REQUEST, "write a chat request with its model")
    })?;
    if !settings.models.contains(&asked.model) {
        let message = "this node does not have the model: ask another node";
        return Err(Refused::new(StatusCode::NOT_FOUND, message));
    }
    admitted(&head.headers, &asked.model, settings)?;
    Ok(body.into())
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
mod tests {
    use common::wire::Fixed;
    use confidential_envelope::{Plaintext, bhttp::Scheme};
    use ed25519_dalek::SigningKey;
    use http::HeaderValue;

    use super::*;

    const BODY: &[u8] = br#"{"model":"smollm2","messages":[]}"#;

    fn settings() -> Settings {
        Settings { models: vec!["smollm2".to_owned()], ..Settings::default() }
    }

    fn head() -> RequestHead {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        RequestHead {
            method: Method::POST,
            scheme: Scheme::Https,
            authority: host::WORKER.to_owned(),
            path: PATH.parse().unwrap(),
            headers,
        }
    }

    fn question(head: &RequestHead, body: &[u8]) -> Plaintext {
        bhttp::encode(head, body, 514)
    }

    fn status(head: &RequestHead, body: &[u8], settings: &Settings) -> u16 {
        read(&question(head, body), settings).map_or_else(|it| it.status.as_u16(), |_| 200)
    }

    #[test]
    fn chat_completions_of_a_model_of_this_node_alone_are_taken() {
        let read = read(&question(&head(), BODY), &settings()).unwrap();
        assert_eq!(&read[..], BODY, "the engine is asked as the client asked");

        let with = |change: fn(&mut RequestHead)| {
            let mut head = head();
            change(&mut head);
            status(&head, BODY, &settings())
        };
        assert_eq!(with(|_| {}), 200);
        assert_eq!(with(|head| head.path = "/v1/models".parse().unwrap()), 404);
        assert_eq!(with(|head| head.path = "/v1/chat/completions?x=1".parse().unwrap()), 404);
        assert_eq!(with(|head| head.path = "/slots".parse().unwrap()), 404);
        assert_eq!(with(|head| head.method = Method::GET), 405);
        assert_eq!(with(|head| head.authority = "other.example".to_owned()), 421);
        assert_eq!(with(|head| head.headers.clear()), 415);
        for body in [b"".as_slice(), b"[]", br#"{"model":1}"#, br#"{"model":"a","model":"b"}"#] {
            assert_eq!(status(&head(), body, &settings()), 400);
        }
        assert_eq!(status(&head(), br#"{"model":"other"}"#, &settings()), 404);
        assert_eq!(super::read(b"garbage", &settings()).unwrap_err().status, 400);
    }

    #[test]
    fn where_badges_are_asked_for_one_that_is_signed_and_allows_the_model_is_needed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let other = SigningKey::from_bytes(&[8; 32]);
        let public = Fixed(key.verifying_key().to_bytes());
        let settings = Settings { badge_key: Some(public), ..settings() };
        let with = |key: &SigningKey, model: &str| {
            let badge = Badge::sign(vec![model.to_owned()], key).unwrap().encode_text();
            let mut head = head();
            head.headers.insert(header::BADGE, badge.parse().unwrap());
            status(&head, BODY, &settings)
        };
        assert_eq!(with(&key, "smollm2"), 200, "the control");
        assert_eq!(with(&other, "smollm2"), 401);
        assert_eq!(with(&key, "other"), 401);
        assert_eq!(status(&head(), BODY, &settings), 401);
    }
}
