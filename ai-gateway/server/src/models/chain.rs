//! The models that may answer one request, in the order in which they are asked.

use std::{fmt, sync::Arc, time::Instant};

use chat_vocabulary::{Capability, ChatRequest, Completion, Effort, Evidence};
use llm_backend::{DeltaStream, Detail, EmbedRequest, Embeddings};
use mesh_identity::Person;

use super::{
    confidential,
    failure::Failure,
    nodes::AffinityKey,
    provider::{Provider, ProviderError, Unavailable},
};
use crate::openclaw::{Model, ModelRef};

/// A model chosen for a request, with those that stand in for it.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(super) candidates: Vec<Candidate>,
    /// Who asks.
    pub(super) person: Option<Person>,
    /// The model that is asked first.
    pub(crate) first: ModelRef,
    /// Whether it was asked for as the household's AI, and not as a model by its own name.
    pub(crate) household: bool,
    /// Tokens that a conversation may hold, if known: the fewest among the candidates, so that each can answer.
    pub(crate) context_window: Option<u32>,
    /// Tokens of a reply whose request names no number.
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
    /// Which model answers.
    pub(crate) model: ModelRef,
    /// When its provider was asked.
    pub(crate) asked: Instant,
    /// What proved itself before it was asked, where it is one of the confidential chain.
    pub(crate) evidence: Option<Arc<Evidence>>,
    /// What it says, from the first delta on.
    pub(crate) deltas: DeltaStream,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Chain {
    /// Says whose request it is: a person's conversation stays at a node.
    #[must_use]
    pub(crate) fn of(self, person: &Person) -> Self {
        Self { person: Some(person.clone()), ..self }
    }

    /// The providers of those that may answer this request, in order: of the first, and of those after it until one lacks
    /// what it needs.
    pub(crate) fn providers(&self, request: &ChatRequest) -> impl Iterator<Item = &str> {
        let able = |it: &Candidate| lacking(&it.provider, &it.model, request).is_none();
        let candidates = self.answering(request).iter().enumerate();
        let able = candidates.take_while(move |(at, it)| *at == 0 || able(it));
        able.map(|(_, it)| it.name.provider.as_str())
    }

    /// Leaves out the first so many candidates: their providers have no place for a request.
    #[must_use]
    pub(crate) fn without(mut self, count: usize) -> Self {
        self.candidates.drain(..count.min(self.candidates.len()));
        if let Some(first) = self.candidates.first() {
            self.first = first.name.clone();
        }
        self
    }

    /// Those that may answer a request: what is gone on from without a template was written for one model.
    fn answering(&self, request: &ChatRequest) -> &[Candidate] {
        let count = if request.completion.is_some() { 1 } else { self.candidates.len() };
        self.candidates.get(..count).unwrap_or_default()
    }

    /// Asks the candidates in turn, and the nodes of each, until one begins to answer. A fallback that lacks what the
    /// request needs is passed over.
    ///
    /// Dropping the future, or the reply, closes the connection to the backend.
    pub(crate) async fn open(&self, mut request: ChatRequest) -> Result<Reply, Failure> {
        let affinity = self.affinity(&request);
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
                    // What is told then is that those before it are absent.
                    continue;
                }
                let words = format!("{name} does not support {}", capability.as_str());
                return Err(Failure::Unsupported(words, Detail::default()));
            }
            tried.push(name.to_string());
            // As among nodes: the last one is given the request itself.
            let last = index + 1 == candidates.len();
            let mut request = if last { std::mem::take(&mut request) } else { request.clone() };
            if model.lacks(Capability::Thinking) {
                // It was asked not to think, which it does not anyway.
                request.reasoning_effort = None;
            }
            request.model = Some(model.id.clone());
            let asked = Instant::now();
            match provider.ask(name, affinity, request, |node, it| node.begin(it)).await {
                Ok(deltas) => {
                    let (evidence, deltas) = confidential::evidence(deltas).await;
                    return Ok(Reply { model: name.clone(), asked, evidence, deltas });
                }
                // Its backend knows better than we what it lacks.
                Err(ProviderError::Refused(Failure::Unsupported(..))) if index > 0 => {}
                Err(ProviderError::Refused(failure)) => return Err(failure),
                Err(ProviderError::Absent(why)) => absence = absence.max(why),
                Err(ProviderError::Untrusted(failure)) => {
                    // The first says why; but whether anything was sent is said of all of them.
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

    /// Makes a vector of each text, with the first model alone: another one's vectors mean something else.
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
        let made = candidate
            .provider
            .ask(name, AffinityKey::default(), request, |node, it| node.embed(it))
            .await;
        match made {
            Ok(made) => Ok((name.clone(), made)),
            Err(ProviderError::Refused(failure)) => Err(failure),
            Err(ProviderError::Absent(absence)) => Err(absence.of_all(vec![name.to_string()])),
            Err(ProviderError::Untrusted(failure)) => Err(failure),
        }
    }

    /// What the request is known by where there is a choice of nodes.
    fn affinity(&self, request: &ChatRequest) -> AffinityKey {
        match &self.person {
            Some(person) if self.candidates.iter().any(|it| it.provider.nodes.len() > 1) => {
                AffinityKey::of(person, &request.messages)
            }
            Some(_) | None => AffinityKey::default(),
        }
    }
}

/// What the request needs and the model does not have, by the settings, and of images also by what its backend told; gaps it
/// fills only if it is said that it does.
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
