//! The router: keeps a registry of the nodes with their evidence, and forwards sealed requests to a live one.
//!
//! It sees the nodes that a request is sealed to, but neither the client's address nor content. Clients need a certificate of
//! the deployment's authority: nodes register themselves, the gateway sends requests, others can only check the health.

mod pass;
mod place;
mod registry;
mod routing;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use chassis::{
    body::BodyReader,
    endpoint::{self, Declaration},
    problem::ErrorResponse,
    quota::Quota,
};
use confidential_api::{
    endpoints::router,
    names::{EVIDENCE_MAX, role},
    node::NodeEvent,
    routing::ComputeManifestRequest,
    settings::router::Settings,
};
use futures_util::{future::BoxFuture, stream};
use tokio_util::task::TaskTracker;

use self::{
    registry::{Refused, Registry},
    routing::{Routing, body_of, forbidden, malformed, only},
};
use crate::{
    Error, Server,
    http::{
        self, ARRIVES, BODIES, kind,
        listen::{Caller, Clients, ListenOptions, Listeners, listen_options, own},
        upstream::UpstreamClient,
    },
    random,
};

/// Longest list of manifests that is sent in one piece, in bytes.
const WHOLE: usize = 64 << 10;
/// Longest request for manifests or evidence, in bytes: 64 tags of 512.
const QUESTION: usize = 64 << 10;

/// Starts listening; paths are below the root.
///
/// # Errors
///
/// A setting, file or port cannot be used.
pub fn start<'a>(root: &'a Path, settings: &'a Settings) -> BoxFuture<'a, Result<Server, Error>> {
    Box::pin(listen(root, settings))
}

async fn listen(root: &Path, settings: &Settings) -> Result<Server, Error> {
    let nodes = &settings.nodes;
    if [nodes.check_every_s, nodes.silent_s].contains(&0)
        || [nodes.max, nodes.requests].contains(&0)
    {
        return Err(Error::Setting("no value in `nodes` may be zero"));
    }
    let options = listen_options!(
        "the router's connections",
        root,
        settings,
        [settings.idle_s, settings.whole_answer_s]
    );
    let listeners = Listeners::open(ListenOptions {
        clients: Some(Clients { ca: &nodes.ca, carrier: role::GATEWAY }),
        ..options
    });
    let routing = Arc::new(Routing {
        registry: Mutex::new(Registry::new(nodes.max, Duration::from_secs(nodes.silent_s))),
        nodes: UpstreamClient::new(root.join(&nodes.ca), Some(own(root, &settings.tls)), None)?,
        // All requests come from the gateway.
        bodies: BodyReader::new(settings.max_request_bytes, BODIES, BODIES),
        events: BodyReader::new(EVIDENCE_MAX + (64 << 10), BODIES / 16, BODIES / 4),
        turns: Quota::new(settings.connections, nodes.requests),
        answer: Duration::from_secs(settings.answer_s),
        idle: Duration::from_secs(settings.idle_s),
        every: Duration::from_secs(nodes.check_every_s),
        looks: TaskTracker::new(),
        questions: BodyReader::new(QUESTION, BODIES / 16, BODIES / 16),
        evidence: BodyReader::new(pass::EVIDENCE_LEN, BODIES / 32, BODIES / 4),
        shares: Quota::new(usize::MAX, (BODIES / 8).max(settings.max_request_bytes + 1)),
        shares_of_one: Quota::new(
            usize::MAX,
            (BODIES / 4).max(2 * (settings.max_request_bytes + 1)),
        ),
    });
    let routes = endpoint::router(endpoints()).fallback(http::not_found);
    let router = routes.with_state(Arc::clone(&routing));
    Ok(Server { listeners: listeners.await?, router, background: Box::pin(routing.look()) })
}

fn endpoints() -> [endpoint::Served<Arc<Routing>>; 6] {
    [
        endpoint::serve(&router::NODE_EVENTS, node_events),
        endpoint::serve(&router::COMPUTE_MANIFESTS, compute_manifests),
        endpoint::serve(&router::ATTEST, pass::attest),
        endpoint::serve(&router::PASS, pass::request),
        endpoint::serve(&router::PING, async || "pong"),
        endpoint::serve(&router::HEALTH, health),
    ]
}

/// Every endpoint.
#[must_use]
pub fn list() -> Vec<Declaration> {
    endpoint::list(&endpoints())
}

/// The health check in OpenPCC's format (`httpfmt/json.go`).
async fn health() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, r#"{"ApplicationHealthState":"Healthy"}"#).into_response()
}

/// Processes an event of a node.
async fn node_events(
    State(routing): State<Arc<Routing>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    only(&caller, role::NODE)?;
    let key = caller.key().ok_or_else(forbidden)?;
    let held = routing.events.read(body_of(request)?, caller.address, ARRIVES).await;
    let held = held.map_err(http::unread)?;
    let event = NodeEvent::decode(held.bytes()).map_err(malformed)?;
    let node = event.node;
    let is_for = |host: &str| caller.is_for(host);
    let heard = routing.registry().hear(event, key, is_for, Instant::now());
    match heard {
        Ok(true) => {
            tracing::info!(%node, "a node registered");
            routing.spawn_look(node);
        }
        // A node repeats an event if it did not receive the response.
        Ok(false) | Err(Refused::Old) => {}
        Err(error @ Refused::Url) => {
            return Err(ErrorResponse::of(StatusCode::BAD_REQUEST, kind::BAD_REQUEST, &error));
        }
        Err(error @ Refused::Other) => {
            return Err(ErrorResponse::of(StatusCode::FORBIDDEN, kind::FORBIDDEN, &error));
        }
        Err(error @ (Refused::Full | Refused::OfOne)) => {
            return Err(ErrorResponse::of(StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, &error));
        }
    }
    Ok(http::binary(Body::empty()))
}

/// Lists the live nodes with these tags.
async fn compute_manifests(
    State(routing): State<Arc<Routing>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    only(&caller, role::GATEWAY)?;
    let held = routing.questions.read(body_of(request)?, caller.address, ARRIVES).await;
    let held = held.map_err(http::unread)?;
    let request = ComputeManifestRequest::decode(held.bytes()).map_err(malformed)?;
    let now = Instant::now();
    let list = routing.registry().manifests(&request, now, |found| random::shuffle(found));
    let len: usize = list.iter().map(Bytes::len).sum();
    if len <= WHOLE {
        return Ok(http::binary(list.concat()));
    }
    // The bytes are shared with the registry.
    Ok(http::binary(Body::from_stream(stream::iter(list.into_iter().map(Ok::<_, io::Error>)))))
}
