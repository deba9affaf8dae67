//! The listeners: what is served to whom.
//!
//! | path | the agent's listener (mesh 18789) | telmeet's listener |
//! |---|---|---|
//! | `/maru/v1/chat`, `/maru/v1/keys` | yes | yes |
//! | `/maru/v1/devices` | yes | no: only a node's own connection may bind a key to it |
//! | `/v1/…` | yes | no |
//! | `/healthz`, `/readyz` | yes | yes |
//!
//! `/metrics` is behind neither: [`metrics`] serves it to the superuser.

mod devices;
mod health;
pub mod metrics;
mod openai;
mod sealed;
mod sse;

use std::sync::Arc;

use axum::http::Method;
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use chassis::endpoint::{self, Endpoint};
use mesh_identity::Header;

use crate::{App, Error, error::OpenAiError, limits::Kind};

/// By which listener a request came in, and so what its header is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    /// The agent's: it is true.
    Agent,
    /// telmeet's: it is a claim.
    Plugin,
}

impl Listener {
    /// What is served there, health apart.
    fn endpoints(self) -> Vec<Endpoint<Arc<App>>> {
        let mut endpoints = Vec::from(sealed::endpoints());
        match self {
            Self::Agent => {
                endpoints.extend(devices::endpoints());
                endpoints.extend(openai::endpoints());
            }
            Self::Plugin => {}
        }
        endpoints
    }
}

/// Every endpoint of each socket, as `GET /healthz`.
#[must_use]
pub fn endpoints() -> [(&'static str, Vec<String>); 3] {
    let of = |listener: Listener| {
        [endpoint::list(&listener.endpoints()), endpoint::list(&health::endpoints())].concat()
    };
    [
        ("gateway", of(Listener::Agent)),
        ("plugin", of(Listener::Plugin)),
        ("metrics", endpoint::list(&metrics::endpoints())),
    ]
}

/// What the agent publishes as mesh port 18789.
pub fn agent_listener(app: &Arc<App>) -> Router {
    listener(Listener::Agent, app)
}

/// What telmeet may ask in its callers' names.
pub fn plugin_listener(app: &Arc<App>) -> Router {
    listener(Listener::Plugin, app)
}

fn listener(listener: Listener, app: &Arc<App>) -> Router {
    endpoint::router(listener.endpoints())
        .layer(from_fn_with_state(Arc::clone(app), limit))
        .layer(Extension(listener))
        .layer(DefaultBodyLimit::max(app.limits.max_body_bytes))
        .merge(endpoint::router(health::endpoints()))
        .fallback(async || Error::NotFound)
        .with_state(Arc::clone(app))
}

/// Counts a request against its caller's rate, or against what telmeet may claim.
async fn limit(
    State(app): State<Arc<App>>,
    Extension(listener): Extension<Listener>,
    request: Request,
    next: Next,
) -> Response {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let kind = if reads { Kind::Read } else { Kind::Write };
    let counted = match (request.extensions().get::<Header>(), listener) {
        (Some(caller), Listener::Agent) => app.limiter.count(caller, kind),
        (Some(caller), Listener::Plugin) => app.limiter.count_claim(caller, kind),
        // The listener lets the host's own questions come to the health checks alone.
        (None, Listener::Agent | Listener::Plugin) => Ok(()),
    };
    match counted {
        Ok(()) => next.run(request).await,
        Err(exceeded) => {
            let error = Error::Exceeded(exceeded);
            app.metrics.refuse(error.name());
            if request.uri().path().starts_with("/v1/") {
                OpenAiError(error).into_response()
            } else {
                error.into_response()
            }
        }
    }
}

/// A body that was read whole, or why it was not.
type Body = Result<axum::body::Bytes, axum::extract::rejection::BytesRejection>;

fn whole(body: Body) -> Result<axum::body::Bytes, Error> {
    body.map_err(|rejection| match rejection.status() {
        axum::http::StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge,
        _ => Error::Request("the body ended early"),
    })
}
