//! The two names of telmeet: the relay of sealed chat at one, the homeserver at the other; and what websites may request of
//! the homeserver.
//!
//! The client-server API is for websites, too (specification, "Web browser clients"): every endpoint judges an access token,
//! a code or a password, which a website does not have. Whatever the person's network position allows alone, which is the
//! sign-in page, the one-time password and the topics of phones, is closed to them.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use mesh_listener::{Refusal, Shown, Site, Website};
use serde_json::json;
use tower::ServiceExt as _;

use crate::relay;

/// What websites may request of the homeserver.
const RULES: &[(&str, Website)] = &[
    ("/_matrix", Website::Everything),
    ("/_matrix/push", Website::Nothing),
    ("/.well-known/matrix", Website::Everything),
    ("/sign-in", Website::Page),
    ("/sign-in/register", Website::Everything),
    ("/sign-in/token", Website::Forms),
    ("/sign-in/revoke", Website::Forms),
];
/// Where responses have the types of people's media.
const MEDIA: &str = "/_matrix/client/v1/media/";
/// How long an upload may take: the largest one over a slow line.
const UPLOAD: Duration = Duration::from_secs(15 * 60);
/// The homeserver's name, with its rules.
pub(crate) fn site(name: &str) -> Site {
    Site::new(name, RULES).body_timeout(UPLOAD)
}

/// Routes requests that name the homeserver to it, and all others to the relay.
pub(crate) fn router(site: Site, relay: Router, rooms: Router) -> Router {
    let rooms = rooms.layer(middleware::from_fn_with_state(site.clone(), for_websites));
    chassis::endpoint::router([]).fallback(move |request: Request| {
        let called = if site.is_called(request.headers()) { &rooms } else { &relay };
        called.clone().oneshot(request)
    })
}

/// Answers preflights, and marks what websites may read, and media, which browsers may show.
async fn for_websites(State(site): State<Site>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let rule = site.rule(path);
    let (is_open, is_media) = (is_open(rule), path.starts_with(MEDIA));
    let mut response = if is_open && *request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    if is_open {
        open(response.headers_mut());
    }
    if is_media {
        response.extensions_mut().insert(Shown);
    }
    response
}

/// The response to a request that the guard refused, in the format of the path's protocol.
pub(crate) fn refused(path: &str, refusal: Refusal) -> Response {
    // Host is not known here, and no path of the relay is below these.
    if !is_open(site("").rule(path)) {
        return relay::last(mesh_listener::problem(path, refusal));
    }
    let code = match refusal {
        Refusal::Host => "M_UNRECOGNIZED",
        Refusal::Origin => "M_FORBIDDEN",
        Refusal::ContentType | Refusal::MediaType => "M_NOT_JSON",
    };
    let body = Json(json!({"errcode": code, "error": refusal.to_string()}));
    let mut response = (refusal.status(), body).into_response();
    open(response.headers_mut());
    response
}

fn is_open(rule: Website) -> bool {
    matches!(rule, Website::Everything | Website::Forms)
}

/// Sets the headers of every response that a website may read (specification, "Web browser clients").
fn open(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "X-Requested-With, Content-Type, Authorization"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
