//! The admin API at the port for everyone: over HTTPS, to who shows an API key.
//!
//! What is refused is refused before a byte of the body is read and without the database: the keys are in memory, by their
//! hashes. Whether a key is missing, unknown or over is told to nobody. A key that counts is answered although others at the
//! same address guess; it shares with them the requests that the door lets each address send ([`crate::door`]). Whether a
//! key is still there is looked at again in the transaction of what it changes ([`crate::store::Store::change`]).

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
use coordinator_core::api_key::{self, Denied};
use tower::ServiceExt as _;

use super::error::Error;
use crate::{app::App, clock, limits::Caller};

/// The challenge of an answer 401 (RFC 6750, section 3), the same for every cause.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"maru\"");

/// What answers who was let in: the same router as on the admin socket.
#[derive(Clone)]
pub(crate) struct Api {
    router: Router,
}

impl Api {
    pub(crate) fn new(app: App) -> Self {
        Self { router: super::router(app) }
    }
}

/// Endpoints of this surface; what is behind it is the admin API.
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
    caller.place.is_known();
    // Nothing of this surface goes along: a request is the same as on the socket.
    let (mut parts, body) = request.into_parts();
    parts.extensions.clear();
    parts.extensions.insert(actor);
    match api.router.oneshot(Request::from_parts(parts, body)).await {
        Ok(response) => challenged(response),
        Err(never) => match never {},
    }
}

/// Whether a request may change something: no path that is not known is taken for a question.
fn changes(method: &Method, path: &str) -> bool {
    let asks = |endpoint: &Declaration| {
        !endpoint.changes && endpoint.method.name() == method && endpoint.path == path
    };
    !matches!(*method, Method::GET | Method::HEAD) && !endpoints::ENDPOINTS.iter().any(asks)
}

/// Who asks, if it is answered.
fn judge(app: &App, caller: &Caller, changes: bool, headers: &HeaderMap) -> Result<Actor, Error> {
    if app.is_plain(caller) {
        return Err(Error::HttpsOnly);
    }
    // No page makes a key or an invitation, not even one of our own origin: there is none that would.
    if browser::sent(headers) {
        return Err(Error::Website);
    }
    let snapshot = app.hub.snapshot();
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    // Of two it is not known which is meant.
    let only = shown.next().filter(|_| shown.next().is_none());
    let hash = api_key::presented(only.map(HeaderValue::as_bytes));
    match api_key::admit(snapshot.loaded.api_keys.get(&hash), changes, clock::now()) {
        Ok(key) => Ok(Actor::ApiKey { id: key.id, name: key.name.clone() }),
        Err(Denied::ReadOnly) => Err(Error::ReadOnly),
        Err(Denied::Key) => {
            app.wrong_keys.fetch_add(1, Ordering::Relaxed);
            app.metrics.refuse("api_keys");
            match app.key_tries.take(caller.origin, Instant::now()) {
                Ok(()) => Err(Error::ApiKey),
                Err(wait) => Err(Error::Tries(wait)),
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
