//! What the router's endpoints share, and how it looks at the nodes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{body::Body, http::Request as HttpRequest};
use chassis::{body::BodyReader, quota::Quota};
use confidential_api::NodeId;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::task::TaskTracker;

use super::{place::Place, registry::Registry};
use crate::http::upstream::Asking;

pub(super) struct Routing {
    pub(super) registry: Mutex<Registry>,
    pub(super) nodes: Asking,
    pub(super) bodies: BodyReader,
    /// Events carry evidence beside what a request may be.
    pub(super) events: BodyReader,
    /// Requests that each node has.
    pub(super) turns: Quota<NodeId>,
    pub(super) answer: Duration,
    pub(super) idle: Duration,
    pub(super) every: Duration,
    pub(super) looks: TaskTracker,
    /// Questions for manifests and evidence, which wait for no room of requests.
    pub(super) questions: BodyReader,
    /// Evidence on its way from nodes.
    pub(super) evidence: BodyReader<Key>,
    /// Bytes of requests that each node has or is asked.
    pub(super) shares: Quota<NodeId>,
    /// The same of all nodes of each certificate.
    pub(super) shares_of_one: Quota<Key>,
}

/// The key of a certificate: one holder may tell of some nodes.
pub(super) type Key = [u8; 32];

impl Routing {
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once looks at a node fail, or it said nothing for as long as it may, which ends the wait for its answer.
    pub(super) async fn fails(&self, node: NodeId, place: &Place) {
        // One that has left meanwhile is asked nothing more.
        let Some(silence) = self.registry().silence(node) else { return };
        while !silence.is_too_long() && !self.registry().fails(node, place) {
            sleep(self.every / 2).await;
        }
    }

    /// Looks at every node, again and again.
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

    /// Looks at a node, unless looks enough are under way at those of its certificate.
    pub(super) fn spawn_look(self: &Arc<Self>, node: NodeId) {
        let Some((place, turn)) = self.registry().look(node) else { return };
        let look = Arc::clone(self).look_at(node, place);
        self.looks.spawn(async move {
            look.await;
            drop(turn);
        });
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
