//! The router: it knows the nodes, shows what they show, and passes sealed requests to one that lives.
//!
//! It learns which nodes a request was sealed for, and neither who asks nor what. Who tells it of a node shows a client
//! certificate of the deployment's authority for `maru-node.invalid`; everything else anybody may ask.

mod pass;
mod registry;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router as Routes,
    body::Body,
    extract::{Request, State},
    http::{Request as HttpRequest, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::{
    endpoint::{self, Endpoint, get, post},
    problem::ErrorResponse,
};
use confidential_api::{
    Malformed, NodeId,
    names::{EVIDENCE_MAX, media, path},
    node::NodeEvent,
    routing::ComputeManifestRequest,
    settings::router::Settings,
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::registry::{Place, Refused, Registry};
use crate::{
    Error,
    http::{
        self,
        body::Bodies,
        kind,
        listen::{Caller, Doors, Listening},
        upstream::Asking,
    },
    random,
};

/// A router that listens.
pub struct Router {
    doors: Doors,
    routes: Routes,
    routing: Arc<Routing>,
}

struct Routing {
    registry: Mutex<Registry>,
    nodes: Asking,
    bodies: Bodies,
    /// Events carry evidence beside what a request may be.
    events: Bodies,
    idle: Duration,
    every: Duration,
    looks: TaskTracker,
}

impl Router {
    /// Begins to listen; paths are below the root.
    ///
    /// # Errors
    ///
    /// A setting, file or port cannot be used.
    pub async fn start(root: &Path, settings: &Settings) -> Result<Self, Error> {
        let nodes = &settings.nodes;
        if nodes.check_every_s == 0 || nodes.silent_s == 0 || nodes.max == 0 {
            return Err(Error::Setting("`nodes` has no zero in it"));
        }
        let doors = Doors::open(Listening {
            root,
            listen: settings.listen,
            plain: None,
            tls: &settings.tls,
            clients: Some(PathBuf::from(&nodes.ca)),
            connections: settings.connections,
            // Few others come, and with everyone's requests.
            each: settings.connections,
        });
        let routing = Arc::new(Routing {
            registry: Mutex::new(Registry::new(nodes.max, Duration::from_secs(nodes.silent_s))),
            nodes: Asking::new(&root.join(&nodes.ca), None)?,
            bodies: Bodies::new(settings.max_request_bytes),
            events: Bodies::new(EVIDENCE_MAX + (64 << 10)),
            idle: Duration::from_secs(settings.idle_s),
            every: Duration::from_secs(nodes.check_every_s),
            looks: TaskTracker::new(),
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
    pub async fn serve(self, stop: CancellationToken) {
        let serving = self.doors.serve("the router's connections", self.routes, stop.clone());
        tokio::join!(serving, stop.run_until_cancelled(Arc::clone(&self.routing).look()));
    }
}

fn endpoints() -> [Endpoint<Arc<Routing>>; 6] {
    [
        post(path::NODE_EVENTS, node_events),
        post(path::COMPUTE_MANIFESTS, compute_manifests),
        post(path::ATTEST, pass::attest),
        post(path::ROOT, pass::request),
        get(path::PING, async || "pong"),
        get(path::HEALTH, health),
    ]
}

/// Every endpoint, as `GET /ping`.
#[must_use]
pub fn list() -> Vec<String> {
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
    if !caller.is_node {
        return Err(ErrorResponse::new(
            StatusCode::FORBIDDEN,
            kind::FORBIDDEN,
            "only a node's certificate may tell of nodes",
        ));
    }
    let held = routing.events.read(body_of(request)?).await?;
    let event = NodeEvent::decode(&held.bytes).map_err(malformed)?;
    let node = event.node;
    let heard = routing.registry().hear(event, Instant::now());
    match heard {
        Ok(true) => {
            tracing::info!(%node, "a node told that it lives");
            let place = routing.registry().places(Instant::now());
            if let Some((_, place)) = place.into_iter().find(|(known, _)| *known == node) {
                routing.looks.spawn(Arc::clone(&routing).look_at(node, place));
            }
        }
        // A repeated event is no fault of a node that did not hear the answer.
        Ok(false) | Err(Refused::Old) => {}
        Err(error @ Refused::Url) => {
            return Err(ErrorResponse::of(StatusCode::BAD_REQUEST, kind::BAD_REQUEST, &error));
        }
        Err(error @ Refused::Full) => {
            return Err(ErrorResponse::of(StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, &error));
        }
    }
    Ok(http::binary(Body::empty()))
}

/// Shows the nodes that live and have these tags.
async fn compute_manifests(
    State(routing): State<Arc<Routing>>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let held = routing.bodies.read(body_of(request)?).await?;
    let request = ComputeManifestRequest::decode(&held.bytes).map_err(malformed)?;
    let now = Instant::now();
    let list = routing.registry().manifests(&request, now, |found| random::shuffle(found));
    Ok(http::binary(list))
}

/// The body of a request in protobuf.
fn body_of(request: Request) -> Result<Body, ErrorResponse> {
    if http::is_of(request.headers(), media::BINARY) {
        return Ok(request.into_body());
    }
    Err(ErrorResponse::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        kind::MEDIA_TYPE,
        "this is asked as application/octet-stream",
    ))
}

fn malformed(error: Malformed) -> ErrorResponse {
    ErrorResponse::of(StatusCode::BAD_REQUEST, kind::BAD_REQUEST, &error)
}

impl Routing {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every node, again and again.
    async fn look(self: Arc<Self>) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let nodes = self.registry().places(Instant::now());
            for (node, place) in nodes {
                self.looks.spawn(Arc::clone(&self).look_at(node, place));
            }
        }
    }

    /// Looks whether a node answers; in three quarters of the time until the next look.
    async fn look_at(self: Arc<Self>, node: NodeId, place: Place) {
        let request = HttpRequest::get(&place.health).body(Body::empty());
        let answered = match request {
            Ok(request) => self.nodes.send(request, self.every * 3 / 4).await,
            Err(_) => return self.registry().looked(node, &place, false),
        };
        let good = answered.as_ref().is_ok_and(|answer| answer.status().is_success());
        if !good {
            tracing::debug!(%node, "a node does not answer as it should");
        }
        self.registry().looked(node, &place, good);
    }
}
