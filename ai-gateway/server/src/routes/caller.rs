//! Identifies the caller on `/v1` and `/api`: a member by the agent's header, or a program of this machine by its key.

use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use mesh_identity::{Header, Person};
use mesh_listener::Connection;

use super::surface::Surface;
use crate::{
    App, Error,
    apps::{self, KeyRejection},
    now_ms,
};

/// The challenge that asks for a key (RFC 6750, section 3).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");

/// Whether programs of this machine may call a path with their key. Sealed chat and device keys are for members only.
#[must_use]
pub(crate) fn is_for_apps(path: &str) -> bool {
    match Surface::of(path) {
        Surface::OpenAi | Surface::Ollama => true,
        // Ollama's clients check there whether it runs.
        Surface::Own => path == "/",
    }
}

/// Puts the calling [`Person`] into the request. A member needs no key; one that is sent is ignored.
pub(super) fn identify(app: &App, request: &mut Request) -> Result<(), Error> {
    let person = match request.extensions().get::<Header>() {
        Some(header) => header.identity.person(),
        None => by_key(app, request)?,
    };
    request.extensions_mut().insert(person);
    Ok(())
}

/// Adds the challenge to a response with status 401.
pub(super) fn with_challenge(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    response
}

fn by_key(app: &App, request: &Request) -> Result<Person, Error> {
    // A request without the agent's header came over a connection of this machine.
    let connection = request.extensions().get::<Connection>().ok_or(Error::Key)?;
    let entered = app.apps.enter(apps::bearer(request.headers()), connection, now_ms());
    entered.map_err(|rejection| match rejection {
        KeyRejection::Unknown => Error::Key,
        KeyRejection::TooOften(exceeded) => Error::Exceeded(exceeded),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_may_call_the_paths_of_other_programs_formats_only() {
        for path in ["/", "/v1/models", "/v1", "/api/chat", "/api/pull"] {
            assert!(is_for_apps(path), "{path}");
        }
        for path in [
            "/maru/v1/chat",
            "/maru/v1/keys",
            "/maru/v1/devices",
            "//v1/models",
            "/v10",
            "/V1/models",
            "/metrics",
            "",
        ] {
            assert!(!is_for_apps(path), "{path}");
        }
    }
}
