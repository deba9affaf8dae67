//! The router: it knows the nodes, shows what they show, and passes sealed requests to one that lives.
//!
//! It learns which nodes a request was sealed for, and neither who asks nor what. Whoever calls shows a certificate of the
//! deployment's authority: a node's tells of nodes, the gateway's asks, any other learns that the router lives.

mod pass;
mod place;
mod registry;
mod request;
mod routing;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router as Routes,
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
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    registry::{Refused, Registry},
    request::{body_of, forbidden, malformed, only},
    routing::Routing,
};
use crate::{
    Error,
    http::{
        self, ARRIVES, BODIES, kind,
        listen::{Answers, Caller, Clients, Doors, Listening, own},
        upstream::Asking,
    },
    random,
};

/// Longest list of manifests that is sent as one piece, in bytes.
const WHOLE: usize = 64 << 10;
/// Longest question for manifests or evidence, in bytes: 64 tags of 512.
const QUESTION: usize = 64 << 10;

/// A router that listens.
pub struct Router {
    doors: Doors,
    routes: Routes,
    routing: Arc<Routing>,
}

impl Router {
    /// Begins to listen; paths are below the root.
    ///
    /// # Errors
    ///
    /// A setting, file or port cannot be used.
    pub fn start<'a>(root: &'a Path, settings: &'a Settings) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(Self::open(root, settings))
    }

    async fn open(root: &Path, settings: &Settings) -> Result<Self, Error> {
        let nodes = &settings.nodes;
        if [nodes.check_every_s, nodes.silent_s].contains(&0)
            || [nodes.max, nodes.requests].contains(&0)
        {
            return Err(Error::Setting("`nodes` has no zero in it"));
        }
        let doors = Doors::open(Listening {
            root,
            listen: settings.listen,
            plain: None,
            tls: &settings.tls,
            clients: Some(Clients { ca: &nodes.ca, carrier: role::GATEWAY }),
            connections: settings.connections,
            each: settings.connections_per_address,
            answers: Answers::seconds(settings.idle_s, settings.whole_answer_s),
        });
        let routing = Arc::new(Routing {
            registry: Mutex::new(Registry::new(nodes.max, Duration::from_secs(nodes.silent_s))),
            nodes: Asking::new(root.join(&nodes.ca), Some(own(root, &settings.tls)), None)?,
            // All of them come from the gateway.
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
        Ok(Self { doors: doors.await?, routes: routes.with_state(Arc::clone(&routing)), routing })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.doors.addresses().0
    }

    /// Serves until `stop` is cancelled.
    pub fn serve(self, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(self.serve_all(stop))
    }

    async fn serve_all(self, stop: CancellationToken) {
        let serving = self.doors.serve("the router's connections", self.routes, stop.clone());
        tokio::join!(serving, stop.run_until_cancelled(Arc::clone(&self.routing).look()));
    }
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

/// As OpenPCC's health checks look (`httpfmt/json.go`).
async fn health() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, r#"{"ApplicationHealthState":"Healthy"}"#).into_response()
}

/// Takes what a node tells of itself.
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
            tracing::info!(%node, "a node told that it lives");
            routing.spawn_look(node);
        }
        // A repeated event is no fault of a node that did not hear the answer.
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

/// Shows the nodes that live and have these tags.
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
    // Shared with the registry, however many ask.
    Ok(http::binary(Body::from_stream(stream::iter(list.into_iter().map(Ok::<_, io::Error>)))))
}
