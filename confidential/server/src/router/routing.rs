//! The shared state and checks of the router's endpoints, and health checks of nodes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{body::Body, extract::Request, http::StatusCode};
use chassis::{body::BodyReader, problem::ErrorResponse, quota::Quota};
use confidential_api::{Malformed, NodeId, names::media};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::task::TaskTracker;

use super::{place::NodeAddress, registry::Registry};
use crate::http::{self, kind, listen::Caller, upstream::UpstreamClient};

pub(super) struct Routing {
    pub(super) registry: Mutex<Registry>,
    pub(super) nodes: UpstreamClient,
    pub(super) bodies: BodyReader,
    /// Events, which have evidence and so are longer than requests.
    pub(super) events: BodyReader,
    /// Open requests of each node.
    pub(super) turns: Quota<NodeId>,
    pub(super) answer: Duration,
    pub(super) idle: Duration,
    pub(super) every: Duration,
    pub(super) looks: TaskTracker,
    /// Requests for manifests and evidence, with memory of their own.
    pub(super) questions: BodyReader,
    /// Evidence that nodes are sending.
    pub(super) evidence: BodyReader<Key>,
    /// Bytes of open requests of each node.
    pub(super) shares: Quota<NodeId>,
    /// Bytes of open requests of all nodes of each certificate.
    pub(super) shares_of_one: Quota<Key>,
}

/// The hash of a certificate's public key.
pub(super) type Key = [u8; 32];

impl Routing {
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the health checks of a node fail, or it was removed because it sent no events.
    pub(super) async fn fails(&self, node: NodeId, place: &NodeAddress) {
        let Some(silence) = self.registry().silence(node) else { return };
        while !silence.load(Ordering::Relaxed) && !self.registry().fails(node, place) {
            sleep(self.every / 2).await;
        }
    }

    /// Checks every node periodically.
    pub(super) async fn look(self: Arc<Self>) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let nodes = self.registry().places(Instant::now());
            for (node, _) in nodes {
                self.spawn_look(node);
            }
        }
    }

    /// Starts a health check of a node, if its certificate's limit allows that.
    pub(super) fn spawn_look(self: &Arc<Self>, node: NodeId) {
        let Some((place, turn)) = self.registry().look(node) else { return };
        let look = Arc::clone(self).look_at(node, place);
        self.looks.spawn(async move {
            look.await;
            drop(turn);
        });
    }

    /// Checks the health of a node, within three quarters of the interval.
    async fn look_at(self: Arc<Self>, node: NodeId, place: NodeAddress) {
        let request = Request::get(&place.health).body(Body::empty());
        let answered = match request {
            Ok(request) => self.nodes.send(request, self.every * 3 / 4).await,
            Err(_) => return self.registry().looked(node, &place, false),
        };
        let good = answered.as_ref().is_ok_and(|answer| answer.status().is_success());
        if !good {
            tracing::debug!(%node, "a health check failed");
        }
        self.registry().looked(node, &place, good);
    }
}

/// Checks that the caller's certificate is for this role.
pub(super) fn only(caller: &Caller, role: &str) -> Result<(), ErrorResponse> {
    if caller.is_for(role) { Ok(()) } else { Err(forbidden()) }
}

pub(super) fn forbidden() -> ErrorResponse {
    let reason = "the client's certificate is not for this role: see `deployment machine --role`";
    ErrorResponse::new(StatusCode::FORBIDDEN, kind::FORBIDDEN, reason)
}

/// The body of a request in protobuf.
pub(super) fn body_of(request: Request) -> Result<Body, ErrorResponse> {
    let title = "the content type must be application/octet-stream";
    http::content_type(request.headers(), &[media::BINARY], title)?;
    Ok(request.into_body())
}

pub(super) fn malformed(error: Malformed) -> ErrorResponse {
    ErrorResponse::of(StatusCode::BAD_REQUEST, kind::BAD_REQUEST, &error)
}
