//! The admin API on the public port: over HTTPS, with an API key.
//!
//! Requests are refused before their body is read and without the database: the hashes of the keys are in memory. The answer
//! does not tell a missing key from an unknown or expired one. A valid key is accepted even while others at the same address
//! guess; only the limit on requests per address is shared ([`crate::listener`]). A change checks again, in its transaction,
//! that the key still exists ([`crate::store::Store::change`]).

use std::{sync::atomic::Ordering, time::Instant};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{
    browser,
    endpoint::{Declaration, Served, serve},
};
use coordinator_api::{Actor, endpoints, public};
use coordinator_core::api_key::{self, AccessDenied};
use tower::ServiceExt as _;

use super::error::Error;
use crate::{app::App, clock, limits::Caller};

/// The challenge of an answer 401 (RFC 6750, section 3), the same for every cause.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"maru\"");

/// The router behind the check of the key, the same as on the admin socket.
#[derive(Clone)]
pub(crate) struct Api {
    router: Router,
}

impl Api {
    pub(crate) fn new(app: App) -> Self {
        Self { router: super::router(app) }
    }
}

/// Endpoints of this surface.
pub(crate) fn endpoints() -> [Served<App>; 1] {
    [serve(&public::ADMIN, answer)]
}

async fn answer(
    State(app): State<App>,
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let changes = changes(request.method(), request.uri().path());
    let actor = match judge(&app, &caller, changes, request.headers()) {
        Ok(actor) => actor,
        Err(error) => return challenged(error.into_response()),
    };
    caller.place.keep();
    // Extensions of this surface are dropped, so that the request is the same as on the socket.
    let (mut parts, body) = request.into_parts();
    parts.extensions.clear();
    parts.extensions.insert(actor);
    match api.router.oneshot(Request::from_parts(parts, body)).await {
        Ok(response) => challenged(response),
        Err(never) => match never {},
    }
}

/// Whether a request may change something. Unknown paths count as changes.
fn changes(method: &Method, path: &str) -> bool {
    let asks = |endpoint: &Declaration| {
        !endpoint.changes && endpoint.method.name() == method && endpoint.path == path
    };
    !matches!(*method, Method::GET | Method::HEAD) && !endpoints::ENDPOINTS.iter().any(asks)
}

/// Authenticates the caller.
fn judge(app: &App, caller: &Caller, changes: bool, headers: &HeaderMap) -> Result<Actor, Error> {
    if app.is_plain(caller) {
        return Err(Error::HttpsOnly);
    }
    // No page uses this API, not even one of our own origin.
    if browser::sent(headers) {
        return Err(Error::Website);
    }
    let snapshot = app.hub.snapshot();
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    // Two headers are ambiguous.
    let only = shown.next().filter(|_| shown.next().is_none());
    let hash = api_key::presented(only.map(HeaderValue::as_bytes));
    match api_key::admit(snapshot.loaded.api_keys.get(&hash), changes, clock::now()) {
        Ok(key) => Ok(Actor::ApiKey { id: key.id, name: key.name.clone() }),
        Err(AccessDenied::ReadOnly) => Err(Error::ReadOnly),
        Err(AccessDenied::Key) => {
            app.wrong_keys.fetch_add(1, Ordering::Relaxed);
            app.metrics.refuse("api_keys");
            match app.key_tries.take(caller.origin, Instant::now()) {
                Ok(()) => Err(Error::ApiKey),
                Err(wait) => Err(Error::AttemptLimit(wait)),
            }
        }
    }
}

/// Adds the challenge to an answer 401.
fn challenged(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    response
}
