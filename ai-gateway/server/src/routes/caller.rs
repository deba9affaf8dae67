//! Who asks on `/v1` and `/api`: a member, whom the agent names, or a program of this machine, which its key names.

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

/// What a key is asked for with (RFC 6750, section 3).
const ASKS: HeaderValue = HeaderValue::from_static("Bearer");

/// Whether a path is answered to programs of this machine, once a key has named them. Sealed chat and device keys belong
/// to members.
#[must_use]
pub(crate) fn is_for_apps(path: &str) -> bool {
    match Surface::of(path) {
        Surface::OpenAi | Surface::Ollama => true,
        // Ollama's clients ask there whether it runs.
        Surface::Own => path == "/",
    }
}

/// Puts the [`Person`] who asks into the request. A member needs no key, and one is not looked at.
pub(super) fn identify(app: &App, request: &mut Request) -> Result<(), Error> {
    let person = match request.extensions().get::<Header>() {
        Some(header) => header.identity.person(),
        None => by_key(app, request)?,
    };
    request.extensions_mut().insert(person);
    Ok(())
}

/// Says in an answer that refuses for want of a key what kind of key is asked for.
pub(super) fn asking_for_a_key(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ASKS);
    }
    response
}

fn by_key(app: &App, request: &Request) -> Result<Person, Error> {
    // Whoever is no member has come over a connection of this machine.
    let connection = request.extensions().get::<Connection>().ok_or(Error::Key)?;
    let entered = app.apps.enter(apps::bearer(request.headers()), connection, now_ms());
    entered.map_err(|stranger| match stranger {
        KeyRejection::Unknown => Error::Key,
        KeyRejection::TooOften(exceeded) => Error::Exceeded(exceeded),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_apps_is_what_other_programs_know() {
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
