//! The models that may answer a request, in order.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Instant,
};

use chat_vocabulary::{Capability, ChatRequest, Completion, Effort, Evidence};
use llm_backend::{DeltaStream, Detail, EmbedRequest, Embeddings};
use mesh_identity::Person;
use sha2::{Digest as _, Sha256};

use super::{
    confidential,
    failure::Failure,
    nodes::AffinityKey,
    provider::{Provider, ProviderError, Unavailable},
};
use crate::openclaw::{Model, ModelRef};

/// The model chosen for a request, and its fallbacks.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(super) candidates: Vec<Candidate>,
    /// The person, if known.
    pub(super) person: Option<Person>,
    /// The model that is asked first.
    pub(crate) first: ModelRef,
    /// Whether the household's AI was requested, not a model by its name.
    pub(crate) household: bool,
    /// Context size in tokens, if known: the smallest of the candidates.
    pub(crate) context_window: Option<u32>,
    /// Tokens of a reply if the request sets no limit.
    pub(crate) max_tokens: Option<u32>,
}

/// A model that may answer.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) name: ModelRef,
    pub(super) model: Model,
    pub(super) provider: Arc<Provider>,
}

/// A reply that has begun.
pub(crate) struct Reply {
    pub(crate) model: ModelRef,
    /// When the request was sent to its provider.
    pub(crate) asked: Instant,
    /// Evidence of the node, for a model of the confidential chain.
    pub(crate) evidence: Option<Arc<Evidence>>,
    pub(crate) deltas: DeltaStream,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Chain {
    /// Sets the person, whose conversation stays at one node.
    #[must_use]
    pub(crate) fn of(self, person: &Person) -> Self {
        Self { person: Some(person.clone()), ..self }
    }

    /// Whether all candidates are known to call tools.
    #[must_use]
    pub(crate) fn calls_tools(&self) -> bool {
        let calls =
            |it: &Candidate| it.provider.capabilities(&it.model).contains(&Capability::Tools);
        self.candidates.iter().all(calls)
    }

    /// The providers of the candidates for this request, up to the first fallback that lacks a required capability.
    pub(crate) fn providers(&self, request: &ChatRequest) -> impl Iterator<Item = &str> {
        let able = |it: &Candidate| lacking(&it.provider, &it.model, request).is_none();
        let candidates = self.answering(request).iter().enumerate();
        let able = candidates.take_while(move |(at, it)| *at == 0 || able(it));
        able.map(|(_, it)| it.name.provider.as_str())
    }

    /// Removes the first candidates, whose providers' queues are full.
    #[must_use]
    pub(crate) fn without(mut self, count: usize) -> Self {
        self.candidates.drain(..count.min(self.candidates.len()));
        if let Some(first) = self.candidates.first() {
            self.first = first.name.clone();
        }
        self
    }

    /// The candidates for a request. A raw completion is written for one model, so it has no fallback.
    fn answering(&self, request: &ChatRequest) -> &[Candidate] {
        let count = if request.completion.is_some() { 1 } else { self.candidates.len() };
        self.candidates.get(..count).unwrap_or_default()
    }

    /// Sends the request to the candidates in turn, and to the nodes of each, until one begins to answer. A fallback
    /// that lacks a required capability is skipped.
    ///
    /// Dropping the future, or the reply, closes the connection to the backend.
    pub(crate) async fn open(&self, mut request: ChatRequest) -> Result<Reply, Failure> {
        let affinity = self.affinity(&request);
        // A client's own key could name another's cache.
        request.prompt_cache_key = self.person.as_ref().and_then(cache_key);
        let (mut untrusted, mut tried) = (None, Vec::new());
        let candidates = self.answering(&request);
        let mut absence =
            if candidates.is_empty() { Unavailable::Down } else { Unavailable::Unusable };
        for (index, Candidate { name, model, provider }) in candidates.iter().enumerate() {
            if request.has_images() {
                provider.learn_capabilities().await;
            }
            if let Some(capability) = lacking(provider, model, &request) {
                if index > 0 {
                    // The error is then that of an earlier candidate.
                    continue;
                }
                let words = format!("{name} does not support {}", capability.as_str());
                return Err(Failure::Unsupported(words, Detail::default()));
            }
            tried.push(name.to_string());
            // The last one gets the request itself, without a copy.
            let last = index + 1 == candidates.len();
            let mut request = if last { std::mem::take(&mut request) } else { request.clone() };
            if model.lacks(Capability::Thinking) {
                // The request disables thinking, which the model does not have.
                request.reasoning_effort = None;
            }
            request.model = Some(model.id.clone());
            let asked = Instant::now();
            match provider.ask(name, affinity, request, |node, it| node.begin(it)).await {
                Ok(deltas) => {
                    let (evidence, deltas) = confidential::evidence(deltas).await;
                    return Ok(Reply { model: name.clone(), asked, evidence, deltas });
                }
                // The backend reports that its model lacks a capability.
                Err(ProviderError::Refused(Failure::Unsupported(..))) if index > 0 => {}
                Err(ProviderError::Refused(failure)) => return Err(failure),
                Err(ProviderError::Absent(why)) => absence = absence.max(why),
                Err(ProviderError::Untrusted(failure)) => {
                    // The first error is kept, but one after which the request was sent takes precedence.
                    if untrusted.is_none() || failure.was_sent() {
                        untrusted = untrusted.filter(Failure::was_sent).or(Some(failure));
                    }
                }
            }
        }
        if let Some(untrusted) = untrusted {
            return Err(untrusted);
        }
        Err(absence.of_all(tried))
    }

    /// Makes a vector of each text with the first model only: vectors of another model are not comparable.
    pub(crate) async fn embed(
        &self,
        input: Vec<String>,
        dimensions: Option<u32>,
    ) -> Result<(ModelRef, Embeddings), Failure> {
        let Some(candidate) = self.candidates.first() else {
            return Err(Failure::Down(Vec::new()));
        };
        let name = &candidate.name;
        let request = EmbedRequest { model: name.model.clone(), input, dimensions };
        let result = candidate
            .provider
            .ask(name, AffinityKey::default(), request, |node, it| node.embed(it))
            .await;
        match result {
            Ok(embeddings) => Ok((name.clone(), embeddings)),
            Err(ProviderError::Refused(failure)) => Err(failure),
            Err(ProviderError::Absent(absence)) => Err(absence.of_all(vec![name.to_string()])),
            Err(ProviderError::Untrusted(failure)) => Err(failure),
        }
    }

    /// The affinity key, if there is a choice of nodes.
    fn affinity(&self, request: &ChatRequest) -> AffinityKey {
        match &self.person {
            Some(person) if self.candidates.iter().any(|it| it.provider.nodes.len() > 1) => {
                AffinityKey::of(person, &request.messages)
            }
            Some(_) | None => AffinityKey::default(),
        }
    }
}

/// The key of a person's prompts in an engine's cache. It names nobody, and no engine can tell it from another after the
/// gateway has started again.
fn cache_key(person: &Person) -> Option<String> {
    static SECRET: LazyLock<Option<[u8; 32]>> = LazyLock::new(|| {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).ok().map(|()| secret)
    });
    let digest = Sha256::new().chain_update((*SECRET)?).chain_update(person.to_string()).finalize();
    Some(hex::encode(&digest[..16]))
}

/// The capability that the request needs and the model lacks, by the settings, and for images also by the backend's
/// report. Filling gaps must be enabled explicitly.
fn lacking(provider: &Provider, model: &Model, request: &ChatRequest) -> Option<Capability> {
    let thinks = request.reasoning_effort.is_some_and(|effort| effort != Effort::None);
    let fills = matches!(request.completion, Some(Completion::Insert(_)));
    if fills && !provider.fills_gaps(model) {
        return Some(Capability::Insert);
    }
    let lacks = [
        (request.may_call() && model.lacks(Capability::Tools), Capability::Tools),
        (request.has_images() && provider.is_blind(model), Capability::Vision),
        (thinks && model.lacks(Capability::Thinking), Capability::Thinking),
    ];
    lacks.into_iter().find_map(|(lacks, it)| lacks.then_some(it))
}
