//! One node of a provider: a backend, how it is, and what is under way there.
//!
//! Until the first delta a node may read the prompt for as long as it answers health checks; a node that does not is
//! taken for hung. Its breaker counts faults and is closed for good by a whole reply. A node that says itself that it failed
//! may do so for one request alone: before that opens the breaker it is asked something plain.

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

/// Health checks in a row that a node may leave unanswered before what waits for it is taken elsewhere.
const MISSED: u32 = 2;
/// For how long the answer to one health check serves all who wait.
const FRESH: Duration = Duration::from_secs(1);
/// How long backends may take to say how they are.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a plain question may take.
const PLAIN: Duration = Duration::from_secs(30);
const HUNG: &str = "no longer answers health checks: restart it";

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    backend: Arc<dyn Backend>,
    breaker: Breaker,
    /// Replies that it makes at a time, if the settings say so; else 0.
    slots: AtomicU32,
    /// The same, if it says so itself; else 0.
    told: AtomicU32,
    /// Whether it was asked that and answered, be it that it does not tell.
    asked: AtomicBool,
    /// Whether the settings give it no new requests.
    draining: AtomicBool,
    /// Requests under way.
    busy: AtomicU32,
    /// How long a health check may take, and how often one is made while somebody waits.
    health: Duration,
    last: Mutex<LastProbe>,
    /// Held by the check that is under way, so that there is one only.
    checking: tokio::sync::Mutex<()>,
    /// Held by the plain question that is under way.
    plain: Arc<tokio::sync::Mutex<()>>,
}

/// The last health check.
#[derive(Clone, Copy, Debug, Default)]
struct LastProbe {
    at: Option<time::Instant>,
    found: ProbeResult,
}

/// What a health check found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ProbeResult {
    /// It lives; whether it can answer chats it does not say.
    #[default]
    Alive,
    /// It says so.
    Health(Health),
    /// It did not answer, or said that it failed.
    NoAnswer,
}

/// A node as it is now, for the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Its base URL.
    pub(crate) name: String,
    /// Whether it is spared.
    pub(crate) spared: bool,
    /// Whether new requests go there, as far as its health and the settings say.
    pub(crate) well: bool,
    /// Requests under way there.
    pub(crate) busy: u32,
    /// Faults since its last whole reply.
    pub(crate) faults: u32,
}

impl Node {
    /// A node of this name, as its health and its breaker see it.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>, backend: Arc<dyn Backend>) -> Self {
        Self {
            name: name.into(),
            backend,
            breaker: Breaker::default(),
            slots: AtomicU32::default(),
            told: AtomicU32::default(),
            asked: AtomicBool::default(),
            draining: AtomicBool::default(),
            busy: AtomicU32::new(0),
            health: Timeouts::default().health,
            last: Mutex::default(),
            checking: tokio::sync::Mutex::default(),
            plain: Arc::default(),
        }
    }

    /// Sets what the settings say of it.
    #[must_use]
    pub(crate) fn with(self, slots: Option<u32>, draining: bool, health: Duration) -> Self {
        self.set(slots, draining);
        Self { health, ..self }
    }

    /// Sets what the settings say of it by now. Replies under way go on.
    pub(super) fn set(&self, slots: Option<u32>, draining: bool) {
        self.slots.store(slots.unwrap_or(0), Ordering::Relaxed);
        if self.draining.swap(draining, Ordering::Relaxed) != draining {
            let what = if draining { "takes no new requests" } else { "takes requests again" };
            tracing::info!(node = self.name, "{what}, as openclaw.json says");
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Replies that it makes at a time, if the settings or it itself say so.
    pub(super) fn slots(&self) -> Option<u32> {
        let known = [&self.slots, &self.told].map(|it| it.load(Ordering::Relaxed));
        known.into_iter().find(|&slots| slots > 0)
    }

    /// Whether new requests go there, as far as its health and the settings say.
    pub(super) fn is_well(&self) -> bool {
        self.status(false) == NodeStatus::Well
    }

    /// Sets when it is spared.
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

    /// How it is now.
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

    /// What the choice sees of it.
    pub(super) fn snapshot(&self, affinity: AffinityKey) -> NodeSnapshot {
        NodeSnapshot {
            draw: affinity.draw(&self.name),
            slots: self.slots().unwrap_or(1),
            busy: self.busy.load(Ordering::Relaxed),
            status: self.status(self.breaker.spares(Instant::now())),
        }
    }

    /// How it stands; one that is spared is asked last.
    fn status(&self, spared: bool) -> NodeStatus {
        if self.is_drained() {
            return NodeStatus::Draining;
        }
        match self.last().found {
            ProbeResult::Alive | ProbeResult::Health(Health::Ready) if !spared => NodeStatus::Well,
            ProbeResult::Alive | ProbeResult::Health(Health::Ready) => NodeStatus::Doubtful,
            ProbeResult::Health(Health::Loading) | ProbeResult::NoAnswer => NodeStatus::Doubtful,
            ProbeResult::Health(Health::Draining) => NodeStatus::Draining,
        }
    }

    /// Whether it was not well when it was last asked.
    pub(super) fn is_unwell(&self) -> bool {
        !self.is_drained() && (self.breaker.is_open() || self.status(false) != NodeStatus::Well)
    }

    /// Asks for a reply and waits for its first delta.
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

    /// Asks for vectors.
    pub(super) async fn embed(self: Arc<Self>, request: EmbedRequest) -> Result<Embeddings, Error> {
        let _under_way = InFlight::new(&self);
        let model = request.model.clone();
        let made = self.attended(Some(&model), self.backend.embed(request)).await?;
        self.breaker.succeed();
        Ok(made)
    }

    /// Waits for a model's work for as long as the node lives.
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

    /// Returns once health checks stay without an answer.
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

    /// Asks it how it is, unless its last answer is no older than this.
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

    /// What it says of its health, in time.
    pub(super) async fn ask_health(&self) -> Result<Health, Error> {
        timeout(self.health, self.backend.health()).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// Whether it lists its models, in time.
    pub(super) async fn ask_models(&self) -> Result<(), Error> {
        let asked = timeout(self.health, self.backend.models()).await;
        asked.unwrap_or_else(|_| Err(self.silent())).map(drop)
    }

    /// It does not answer.
    fn silent(&self) -> Error {
        Error::Unreachable { backend: self.name.clone(), reason: HUNG, arrived: true, source: None }
    }

    /// Whether the settings give it no new requests.
    pub(super) fn is_drained(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Asks it how it is, and lets it be asked again if it is well.
    pub(super) async fn probe(&self) {
        let found = self.check(Duration::ZERO).await;
        if found == ProbeResult::Health(Health::Ready) && self.breaker.is_open() {
            tracing::info!(node = self.name, "backend is back");
            self.breaker.answered();
        }
    }

    /// Asks it how many replies it makes at a time, unless it has answered that; `again` also then, since a server that
    /// was started anew may make more or fewer.
    pub(super) async fn learn_slots(&self, again: bool) {
        if self.asked.load(Ordering::Relaxed) && !again {
            return;
        }
        if let Ok(slots) = self.backend.capacity().await {
            self.told.store(slots.unwrap_or(0), Ordering::Relaxed);
            self.asked.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a fault of the node's; one that would open the breaker, and may be of this request alone, only if the node
    /// fails at something plain as well.
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
                tracing::info!(node = node.name, "a backend fails at some requests alone");
                node.breaker.succeed();
            } else {
                node.breaker.fail(Instant::now());
            }
            drop(one);
        });
    }

    /// Whether it lives, and does not fail at a request that asks for nothing but a word. One that takes long to answer is
    /// busy.
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

/// Counts a request for as long as it is under way.
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
