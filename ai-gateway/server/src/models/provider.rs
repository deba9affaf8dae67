//! A provider: nodes that have the same models.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use chat_vocabulary::{Capability, ModelInfo};
use futures_util::future::join_all;
use llm_backend::{Detail, Error, refuse_cloud};
use tokio::time::timeout;

use super::{
    failure::{Failure, report},
    name::LATEST,
    node::{Node, PATIENCE},
    nodes::{self, AffinityKey},
};
use crate::openclaw::{Model, ModelRef};

/// A request that failed at this many nodes is not sent to others.
const TROUBLED: u32 = 2;

/// Nodes with the same models.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) models: Vec<Model>,
    /// Whether it is a deployment of the confidential chain, which is used only when named.
    pub(super) confidential: bool,
    /// The models that a node reported last.
    learned: Mutex<Option<Arc<[ModelInfo]>>>,
}

/// What is known of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    /// Its name.
    pub(crate) name: ModelRef,
    /// Tokens that a conversation may hold, if known.
    pub(crate) context_window: Option<u32>,
    /// Its capabilities, by its backend or the settings.
    pub(crate) capabilities: Vec<Capability>,
    /// Whether its backend answered last time.
    pub(crate) answers: bool,
}

/// Why no node of a provider answered.
#[derive(Debug)]
pub(super) enum ProviderError {
    /// A node refused the request itself.
    Refused(Failure),
    /// No node accepted it.
    Absent(Unavailable),
    /// No node was verified.
    Untrusted(Failure),
}

/// Why no node accepts a request. Of several reasons, the last in this order is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unavailable {
    /// A file that the settings name is missing or wrong.
    Unusable,
    /// No node is up.
    Down,
    /// A node is up, but busy.
    Busy,
}

impl Unavailable {
    /// The reason that this error gives.
    const fn of(error: &Error) -> Self {
        if matches!(error, Error::Busy { .. }) {
            return Self::Busy;
        }
        if error.is_settings_fault() { Self::Unusable } else { Self::Down }
    }

    /// The error returned when every node declined the request.
    pub(super) fn of_all(self, tried: Vec<String>) -> Failure {
        match self {
            Self::Unusable => Failure::Unusable(tried),
            Self::Down => Failure::Down(tried),
            Self::Busy => Failure::Busy(tried),
        }
    }
}

impl Provider {
    /// A provider with these nodes, each with these models.
    #[must_use]
    pub(crate) fn new(nodes: Vec<Node>, models: Vec<Model>) -> Self {
        let nodes = nodes.into_iter().map(Arc::new).collect();
        Self { nodes, models, confidential: false, learned: Mutex::default() }
    }

    /// The nodes in order of preference.
    fn order(&self, affinity: AffinityKey) -> Vec<Arc<Node>> {
        let snapshot: Vec<_> = self.nodes.iter().map(|node| node.snapshot(affinity)).collect();
        let order = nodes::order(&snapshot).into_iter();
        order.filter_map(|index| self.nodes.get(index).map(Arc::clone)).collect()
    }

    /// Sends the request to the nodes in turn, until one answers.
    pub(super) async fn ask<R, T, F>(
        &self,
        model: &ModelRef,
        affinity: AffinityKey,
        mut request: R,
        ask: impl Fn(Arc<Node>, R) -> F,
    ) -> Result<T, ProviderError>
    where
        R: Clone + Default,
        F: Future<Output = Result<T, Error>>,
    {
        // All nodes have the same models, but perhaps not all have listed theirs.
        if self.nodes.iter().any(|node| node.backend().forwards(&model.model)) {
            let message = refuse_cloud(&model.to_string());
            return Err(ProviderError::Refused(Failure::Unsupported(message, Detail::default())));
        }
        let order = self.order(affinity);
        // If the order is empty, all nodes drain.
        let mut absence = if order.is_empty() { Unavailable::Busy } else { Unavailable::Unusable };
        let (mut remaining, mut troubled, mut untrusted) = (order.len(), 0, None);
        for node in order {
            remaining -= 1;
            if !node.breaker().allow(Instant::now()) {
                tracing::debug!(%model, node = node.state().name, "skipped, its breaker is open");
                absence = absence.max(Unavailable::Down);
                continue;
            }
            // The last node gets the request itself, without a copy: it may contain images.
            let last = remaining == 0;
            let request = if last { std::mem::take(&mut request) } else { request.clone() };
            match ask(node, request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    report(model, &error);
                    if !error.may_try_another() {
                        return Err(ProviderError::Refused(error.into()));
                    }
                    troubled += u32::from(error.may_be_poison());
                    if troubled == TROUBLED {
                        tracing::warn!(%model, "a request failed at {TROUBLED} nodes and is not sent to others");
                        return Err(ProviderError::Absent(Unavailable::Down));
                    }
                    absence = absence.max(Unavailable::of(&error));
                    if matches!(error, Error::Untrusted { .. }) {
                        untrusted = Some(Failure::from(error));
                    }
                }
            }
        }
        Err(untrusted.map_or(ProviderError::Absent(absence), ProviderError::Untrusted))
    }

    /// Asks nodes for slots and models that are not in the settings; with `again` also if they are known, since a
    /// backend may have changed.
    pub(super) async fn learn(&self, again: bool) {
        let slots = self.nodes.iter().map(|node| node.learn_slots(again));
        // A node that does not answer delays nothing else.
        tokio::join!(join_all(slots), self.learn_models(again));
    }

    /// Asks for capabilities, if a usable node reports them and none was asked yet.
    pub(super) async fn learn_capabilities(&self) {
        if self.tells_capabilities() && self.answers() {
            drop(timeout(PATIENCE, self.learn_models(false)).await);
        }
    }

    fn tells_capabilities(&self) -> bool {
        self.nodes.iter().any(|node| node.backend().tells_capabilities())
    }

    async fn learn_models(&self, again: bool) {
        let tells = self.tells_capabilities();
        let known = self.models.iter().all(|model| model.context_window.is_some());
        if (known && !tells) || (!again && self.learned().is_some()) {
            return;
        }
        for node in self.order(AffinityKey::default()) {
            let Ok(models) = node.backend().models().await else {
                continue;
            };
            if tells || models.iter().any(|model| model.context_tokens.is_some()) {
                *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = Some(models.into());
                return;
            }
        }
    }

    /// The model's context size in tokens, if known.
    pub(super) fn context_window(&self, model: &Model) -> Option<u32> {
        model.context_window.or_else(|| match self.reported(model) {
            Some(info) => info.context_tokens,
            // An engine with one model accepts any name.
            None => self.learned()?.iter().filter_map(|info| info.context_tokens).min(),
        })
    }

    /// Concurrent replies of the healthy nodes, or of all if none is healthy; `default` for a node without a number.
    pub(super) fn slots(&self, default: u32) -> u32 {
        let any = self.nodes.iter().any(|node| node.is_well());
        let nodes = self.nodes.iter().filter(|node| !any || node.is_well());
        nodes.map(|node| node.slots().unwrap_or(default)).fold(0, u32::saturating_add)
    }

    /// A node's report of a model.
    pub(super) fn reported(&self, model: &Model) -> Option<ModelInfo> {
        let bare = |id: &str| id.strip_suffix(LATEST).unwrap_or(id).to_owned();
        self.learned()?.iter().find(|info| bare(&info.id) == bare(&model.id)).cloned()
    }

    fn learned(&self) -> Option<Arc<[ModelInfo]>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a node has a closed breaker.
    pub(super) fn answers(&self) -> bool {
        self.nodes.iter().any(|node| !node.breaker().is_open())
    }

    /// Whether a model may be asked to fill a gap. Ollama refuses what its model cannot do; other servers silently
    /// ignore a suffix, so the settings must enable it.
    pub(super) fn fills_gaps(&self, model: &Model) -> bool {
        let all_report = self.nodes.iter().all(|node| node.backend().tells_capabilities());
        let undenied = all_report && !model.lacks(Capability::Insert);
        undenied || model.has(Capability::Insert)
    }

    /// Whether a model does not support images, by the settings or its backend's report. Ollama silently ignores images
    /// for such a model; other missing capabilities it refuses.
    pub(super) fn is_blind(&self, model: &Model) -> bool {
        let reported = || self.reported(model).and_then(|info| info.capabilities);
        let is_denied = || reported().is_some_and(|it| !it.contains(&Capability::Vision));
        model.lacks(Capability::Vision) || (!model.has(Capability::Vision) && is_denied())
    }

    /// Capabilities by the settings, and otherwise by the backend's report.
    pub(super) fn capabilities(&self, model: &Model) -> Vec<Capability> {
        let reported = self.reported(model).and_then(|info| info.capabilities);
        let mut all = reported.unwrap_or_else(|| vec![Capability::Completion]);
        for capability in
            [Capability::Tools, Capability::Insert, Capability::Vision, Capability::Thinking]
        {
            if model.has(capability) && !all.contains(&capability) {
                all.push(capability);
            }
        }
        all.retain(|&capability| !model.lacks(capability));
        all
    }
}
