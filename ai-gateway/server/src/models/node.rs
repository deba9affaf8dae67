//! A node of a provider: a backend, its health, and its requests in progress.
//!
//! Before the first delta a node may take any time as long as it answers health checks; otherwise it counts as hung.
//! Its breaker counts faults, and a complete reply resets it. A node that reports a failure itself may fail at that
//! request only, so before the breaker opens it gets a simple test request.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use chat_vocabulary::{ChatRequest, Delta, Message};
use futures_util::{StreamExt as _, stream};
use llm_backend::{Backend, DeltaStream, EmbedRequest, Embeddings, Error, Health, Timeouts};
use tokio::time::{self, sleep, timeout};

use super::nodes::{AffinityKey, NodeSnapshot, NodeStatus};
use crate::breaker::Breaker;

/// Consecutive health checks that a node may miss before its request goes to another node.
const MISSED: u32 = 2;
/// How long the result of a health check is reused.
const FRESH: Duration = Duration::from_secs(1);
/// Timeout of backends' reports.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Timeout of the test request.
const PLAIN: Duration = Duration::from_secs(30);
const HUNG: &str = "no longer answers health checks: restart it";

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    backend: Arc<dyn Backend>,
    breaker: Breaker,
    /// Concurrent replies by the settings; 0 if unset.
    slots: AtomicU32,
    /// Concurrent replies by its own report; 0 if unknown.
    reported: AtomicU32,
    /// Whether it has answered the request for its slots.
    has_reported: AtomicBool,
    /// Whether the settings drain it.
    draining: AtomicBool,
    busy: AtomicU32,
    /// Timeout of a health check, and interval while a request waits.
    health: Duration,
    last: Mutex<LastProbe>,
    /// Held by the health check in progress, so that there is only one.
    checking: tokio::sync::Mutex<()>,
    /// Held by the test request in progress.
    plain: Arc<tokio::sync::Mutex<()>>,
}

/// The last health check.
#[derive(Clone, Copy, Debug, Default)]
struct LastProbe {
    at: Option<time::Instant>,
    found: ProbeResult,
}

/// The result of a health check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ProbeResult {
    /// It is up, but did not report its health.
    #[default]
    Alive,
    /// It reported this health.
    Health(Health),
    /// It did not answer, or reported a failure.
    NoAnswer,
}

impl ProbeResult {
    /// Whether it answers requests.
    pub(super) fn is_ready(self) -> bool {
        matches!(self, Self::Health(Health::Ready | Health::Standby))
    }
}

/// The current state of a node, for the gauges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) name: String,
    /// Whether its breaker is open.
    pub(crate) spared: bool,
    /// Whether it gets new requests by its health and the settings.
    pub(crate) well: bool,
    /// Requests in progress.
    pub(crate) busy: u32,
    /// Faults since its last complete reply.
    pub(crate) faults: u32,
}

impl Node {
    /// A node of this name.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>, backend: Arc<dyn Backend>) -> Self {
        Self {
            name: name.into(),
            backend,
            breaker: Breaker::default(),
            slots: AtomicU32::default(),
            reported: AtomicU32::default(),
            has_reported: AtomicBool::default(),
            draining: AtomicBool::default(),
            busy: AtomicU32::new(0),
            health: Timeouts::default().health,
            last: Mutex::default(),
            checking: tokio::sync::Mutex::default(),
            plain: Arc::default(),
        }
    }

    /// Applies the settings.
    #[must_use]
    pub(crate) fn with(self, slots: Option<u32>, draining: bool, health: Duration) -> Self {
        self.set(slots, draining);
        Self { health, ..self }
    }

    /// Applies changed settings. Replies in progress continue.
    pub(super) fn set(&self, slots: Option<u32>, draining: bool) {
        self.slots.store(slots.unwrap_or(0), Ordering::Relaxed);
        if self.draining.swap(draining, Ordering::Relaxed) != draining {
            let change = if draining { "takes no new requests" } else { "takes requests again" };
            tracing::info!(node = self.name, "node {change}: openclaw.json changed");
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Concurrent replies, by the settings or its own report.
    pub(super) fn slots(&self) -> Option<u32> {
        let known = [&self.slots, &self.reported].map(|it| it.load(Ordering::Relaxed));
        known.into_iter().find(|&slots| slots > 0)
    }

    /// Whether it gets new requests by its health and the settings.
    pub(super) fn is_well(&self) -> bool {
        self.status(false) == NodeStatus::Well
    }

    /// Sets its breaker.
    #[must_use]
    pub(crate) fn spared_by(self, breaker: Breaker) -> Self {
        Self { breaker, ..self }
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        self.backend.as_ref()
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Its current state.
    #[must_use]
    pub(crate) fn state(&self) -> State {
        State {
            name: self.name.clone(),
            spared: self.breaker.is_open(),
            well: self.is_well(),
            busy: self.busy.load(Ordering::Relaxed),
            faults: self.breaker.faults(),
        }
    }

    /// Its snapshot for the choice of a node.
    pub(super) fn snapshot(&self, affinity: AffinityKey) -> NodeSnapshot {
        NodeSnapshot {
            draw: affinity.draw(&self.name),
            slots: self.slots().unwrap_or(1),
            busy: self.busy.load(Ordering::Relaxed),
            status: self.status(self.breaker.spares(Instant::now())),
        }
    }

    /// Its status; a node with an open breaker is doubtful.
    fn status(&self, spared: bool) -> NodeStatus {
        if self.is_drained() {
            return NodeStatus::Draining;
        }
        match self.last().found {
            ProbeResult::Alive | ProbeResult::Health(Health::Ready) if !spared => NodeStatus::Well,
            ProbeResult::Alive | ProbeResult::Health(Health::Ready) => NodeStatus::Doubtful,
            ProbeResult::Health(Health::Standby | Health::Loading) | ProbeResult::NoAnswer => {
                NodeStatus::Doubtful
            }
            ProbeResult::Health(Health::Draining) => NodeStatus::Draining,
        }
    }

    /// Whether its last check found it unhealthy.
    pub(super) fn is_unwell(&self) -> bool {
        !self.is_drained() && (self.breaker.is_open() || self.status(false) != NodeStatus::Well)
    }

    /// Requests a reply and waits for its first delta.
    pub(super) async fn begin(self: Arc<Self>, request: ChatRequest) -> Result<DeltaStream, Error> {
        let in_flight = InFlight::new(&self);
        let model = request.model.clone();
        let opened = async {
            let mut deltas = self.backend.chat(request).await?;
            let first = deltas.next().await.transpose()?;
            Ok((first, deltas))
        };
        let (first, deltas) = self.attended(model.as_deref(), opened).await?;
        self.breaker.answered();
        let rest = stream::unfold(Some((deltas, in_flight, model)), |state| async move {
            let (mut deltas, in_flight, model) = state?;
            match deltas.next().await {
                Some(Ok(delta)) => Some((Ok(delta), Some((deltas, in_flight, model)))),
                Some(Err(error)) => {
                    in_flight.0.judge(model.as_deref(), &error);
                    Some((Err(error), None))
                }
                None => {
                    in_flight.0.breaker.succeed();
                    None
                }
            }
        });
        Ok(stream::iter(first.map(Ok::<Delta, Error>)).chain(rest).boxed())
    }

    /// Requests vectors.
    pub(super) async fn embed(self: Arc<Self>, request: EmbedRequest) -> Result<Embeddings, Error> {
        let _in_flight = InFlight::new(&self);
        let model = request.model.clone();
        let embeddings = self.attended(Some(&model), self.backend.embed(request)).await?;
        self.breaker.succeed();
        Ok(embeddings)
    }

    /// Waits for a result for as long as the node answers health checks.
    async fn attended<T>(
        self: &Arc<Self>,
        model: Option<&str>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = tokio::select! {
            done = work => done,
            () = self.hung() => Err(self.silent()),
        };
        done.inspect_err(|error| self.judge(model, error))
    }

    /// Returns once health checks are missed.
    async fn hung(&self) {
        let mut missed = 0;
        while missed < MISSED {
            sleep(self.health).await;
            missed = if self.check(FRESH.min(self.health / 2)).await == ProbeResult::NoAnswer {
                missed + 1
            } else {
                0
            };
        }
    }

    /// Checks its health, unless the last result is fresh enough.
    pub(super) async fn check(&self, fresh: Duration) -> ProbeResult {
        let _one = self.checking.lock().await;
        let last = self.last();
        if last.at.is_some_and(|at| at.elapsed() < fresh) {
            return last.found;
        }
        let found = match self.ask_health().await {
            Ok(health) => ProbeResult::Health(health),
            Err(error) if error.is_backend_fault() || error.is_settings_fault() => {
                ProbeResult::NoAnswer
            }
            Err(_) => ProbeResult::Alive,
        };
        if found != last.found {
            tracing::debug!(node = self.name, ?found, "a node's health changed");
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            LastProbe { at: Some(time::Instant::now()), found };
        found
    }

    /// Asks for its health, with the timeout.
    pub(super) async fn ask_health(&self) -> Result<Health, Error> {
        timeout(self.health, self.backend.health()).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// Lists its models, with the timeout.
    pub(super) async fn ask_models(&self) -> Result<(), Error> {
        let asked = timeout(self.health, self.backend.models()).await;
        asked.unwrap_or_else(|_| Err(self.silent())).map(drop)
    }

    /// The error for a node that does not answer.
    fn silent(&self) -> Error {
        Error::Unreachable { backend: self.name.clone(), reason: HUNG, arrived: true, source: None }
    }

    /// Whether the settings drain it.
    pub(super) fn is_drained(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Checks its health, and closes its breaker if it is healthy.
    pub(super) async fn probe(&self) {
        let found = self.check(Duration::ZERO).await;
        if found.is_ready() && self.breaker.is_open() {
            tracing::info!(node = self.name, "backend is back");
            self.breaker.answered();
        }
    }

    /// Asks for its slots, unless it has answered before; with `again` also then, since a restarted server may report
    /// another number.
    pub(super) async fn learn_slots(&self, again: bool) {
        if self.has_reported.load(Ordering::Relaxed) && !again {
            return;
        }
        if let Ok(slots) = self.backend.capacity().await {
            self.reported.store(slots.unwrap_or(0), Ordering::Relaxed);
            self.has_reported.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a fault of the node. A self-reported fault that would open the breaker counts only if a test request also
    /// fails.
    fn judge(self: &Arc<Self>, model: Option<&str>, error: &Error) {
        if !error.is_backend_fault() {
            return;
        }
        if !error.is_self_reported() || !self.breaker.is_on_edge() {
            self.breaker.fail(Instant::now());
            return;
        }
        let Ok(one) = Arc::clone(&self.plain).try_lock_owned() else { return };
        let (node, model) = (Arc::clone(self), model.map(str::to_owned));
        tokio::spawn(async move {
            if node.answers_plainly(model).await {
                tracing::info!(node = node.name, "a backend fails at some requests only");
                node.breaker.succeed();
            } else {
                node.breaker.fail(Instant::now());
            }
            drop(one);
        });
    }

    /// Whether it is up and answers a request for one word. A node that is slow to answer counts as busy.
    async fn answers_plainly(&self, model: Option<String>) -> bool {
        if self.check(FRESH).await == ProbeResult::NoAnswer {
            return false;
        }
        let mut request = ChatRequest { model, ..ChatRequest::default() };
        request.messages.push(Message::user("Hi"));
        request.options.max_tokens = Some(1);
        let asked = async {
            let mut deltas = self.backend.chat(request).await?;
            while deltas.next().await.transpose()?.is_some() {}
            Ok::<(), Error>(())
        };
        match timeout(PLAIN, asked).await {
            Ok(Err(error)) => !error.is_backend_fault(),
            Ok(Ok(())) | Err(_) => true,
        }
    }

    fn last(&self) -> LastProbe {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request for as long as it is in progress.
struct InFlight(Arc<Node>);

impl InFlight {
    fn new(node: &Arc<Node>) -> Self {
        node.busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(node))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
