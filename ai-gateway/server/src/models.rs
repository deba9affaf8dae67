//! Which backend answers: the model asked for, or the next in the list.
//!
//! ```text
//! name ─▶ Chain: candidates, in order ─▶ each one's Provider ─▶ its Nodes, in the order of `nodes`
//! ```

mod confidential;
mod describe;
mod embed;
mod examine;
mod node;
pub mod nodes;
mod provider;

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ai_gateway_api::settings::gateway;
use chat_vocabulary::{Capability, ChatRequest, Completion, Effort, Evidence};
use futures_util::{StreamExt as _, future::join_all, stream};
use llm_backend::{DeltaStream, Detail, Error, Health};
use mesh_identity::Person;

use self::{
    node::Found,
    nodes::AffinityKey,
    provider::{Absence, Missed},
};
use crate::openclaw::{Model, ModelRef, OpenClaw};

pub use confidential::Pinned;
pub use describe::Description;
pub use node::{Node, State};
pub use provider::Provider;

/// Nodes that are asked at a time how they are.
const CHECKS: usize = 32;

/// All models, and in which order they are asked.
#[derive(Debug)]
pub struct Models {
    providers: BTreeMap<String, Arc<Provider>>,
    primary: ModelRef,
    fallbacks: Vec<ModelRef>,
}

/// The household's AI: the primary model, told who it is by the workspace.
pub const HOUSEHOLD: &str = "maru";
/// Other names of it: OpenClaw's.
const ALIASES: [&str; 2] = ["openclaw", "openclaw/default"];
/// What Ollama's clients append to a name without a tag.
const LATEST: &str = ":latest";

/// A model chosen for a request, with those that stand in for it.
#[derive(Clone, Debug)]
pub struct Chain {
    candidates: Vec<Candidate>,
    /// Who asks.
    person: Option<Person>,
    /// The model that is asked first.
    pub first: ModelRef,
    /// Whether it was asked for as the household's AI, and not as a model by its own name.
    pub household: bool,
    /// Tokens that a conversation may hold, if known: the fewest among the candidates, so that each can answer.
    pub context_window: Option<u32>,
    /// Tokens of a reply whose request names no number.
    pub max_tokens: Option<u32>,
}

/// A model that may answer.
#[derive(Clone, Debug)]
struct Candidate {
    name: ModelRef,
    model: Model,
    provider: Arc<Provider>,
}

/// A reply that has begun.
pub struct Reply {
    /// Which model answers.
    pub model: ModelRef,
    /// When its provider was asked.
    pub asked: Instant,
    /// What proved itself before it was asked, where it is one of the confidential chain.
    pub evidence: Option<Arc<Evidence>>,
    /// What it says, from the first delta on.
    pub deltas: DeltaStream,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("model", &self.model).finish_non_exhaustive()
    }
}

/// Why no model answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No such model is configured.
    #[error("there is no model {asked:?}: choose one of {}", .known.join(", "))]
    Unknown {
        /// What was asked for, cut to a sensible length.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// None of the candidates answers.
    #[error("no model answers (tried {}): try again in a moment", .0.join(", "))]
    Down(Vec<String>),
    /// None of the candidates can be asked: files that the settings name cannot be used.
    #[error("no model can be asked (tried {}): a key or certificate file of each is missing or wrong", .0.join(", "))]
    Unusable(Vec<String>),
    /// None of the candidates has room, but one lives at least.
    #[error("every model is busy (tried {})", .0.join(", "))]
    Busy(Vec<String>),
    /// No node of the confidential chain has proved itself, or the answer is not one of a node that had.
    #[error("{} ({code}): {reason}", not_trusted(*.sent))]
    Untrusted {
        /// Which check failed first.
        code: &'static str,
        /// The same in a sentence.
        reason: &'static str,
        /// Whether the question had been sent before, sealed to nodes that had proved themselves.
        sent: bool,
    },
    /// The backend refused the request.
    #[error("the model refused the request: {0}")]
    Refused(String, Detail),
    /// The model cannot do what the request needs: `MODEL does not support tools`, in Ollama's words. Or it is not asked,
    /// because it is not at home.
    #[error("{0}")]
    Unsupported(String, Detail),
    /// The conversation is longer than the model's context; in the backend's words.
    #[error("the conversation is too long for the model: {0}")]
    TooLong(String),
    /// The reply broke off.
    #[error("the reply was cut: the model went away while answering")]
    Cut,
    /// The model answered what nobody can use.
    #[error("the model's answer cannot be used: {0}")]
    Garbled(String),
    /// The reply took longer than one may, or became larger.
    #[error("the reply was cut: it was longer than a reply may be")]
    Overlong,
    /// The reader held the reply up for too long, so it ended.
    #[error("the reply was cut: it was read too slowly")]
    Behind,
}

impl Failure {
    /// Whether the question had been sent to nodes of the confidential chain, of which none is trusted with its answer.
    const fn was_sent(&self) -> bool {
        matches!(self, Self::Untrusted { sent: true, .. })
    }
}

/// What is said of a deployment, or of its answer.
const fn not_trusted(sent: bool) -> &'static str {
    if sent { "no answer came that is taken" } else { "no node has proved itself" }
}

/// Longest part of an unknown model's name that is repeated to the caller.
const NAME_MAX: usize = 100;

impl Models {
    /// Makes the backends that `openclaw.json` names, each behind such a breaker; UNIX sockets are below `root`.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if a provider's `baseUrl` cannot be used, [`Error::Key`] if the settings hold a key that is none,
    /// [`Error::File`] if they name a certificate without its key. A file that cannot be used makes its provider unavailable,
    /// until it can; the log says which. Of a deployment of the confidential chain `gateway.toml` must name the identity.
    pub fn new(
        config: &OpenClaw,
        breaker: gateway::Breaker,
        pinned: &Pinned<'_>,
        root: &Path,
    ) -> Result<Self, Error> {
        let (mut providers, mut memories) = (BTreeMap::new(), confidential::Memories::default());
        for (name, provider) in &config.providers {
            let opened = Provider::open(name, provider, breaker, pinned, &mut memories, root)?;
            providers.insert(name.clone(), opened);
        }
        Ok(Self::with_providers(providers, config.primary.clone(), config.fallbacks.clone()))
    }

    /// Routes between these backends.
    #[must_use]
    pub fn with_providers(
        providers: BTreeMap<String, Provider>,
        primary: ModelRef,
        fallbacks: Vec<ModelRef>,
    ) -> Self {
        let providers = providers.into_iter().map(|(name, it)| (name, Arc::new(it))).collect();
        Self { providers, primary, fallbacks }
    }

    /// Every model, as `provider/model`, the primary first.
    #[must_use]
    pub fn list(&self) -> Vec<(ModelRef, Option<u32>)> {
        let mut list: Vec<_> = self
            .providers
            .iter()
            .flat_map(|(name, provider)| {
                provider.models.iter().map(|model| {
                    let model_ref = ModelRef { provider: name.clone(), model: model.id.clone() };
                    (model_ref, provider.context_window(model))
                })
            })
            .collect();
        list.sort_by_key(|(model, _)| *model != self.primary);
        list
    }

    /// Returns the nodes of every provider, by the provider's name.
    #[must_use]
    pub fn nodes(&self) -> Vec<(String, State)> {
        let states = self.providers.iter().flat_map(|(name, provider)| {
            provider.nodes.iter().map(|node| (name.clone(), node.state()))
        });
        states.collect()
    }

    /// The names of the providers.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// Replies that a provider makes at a time, by the settings or by what its nodes say; a node of which neither says it
    /// makes `usual`.
    #[must_use]
    pub fn slots(&self, provider: &str, usual: u32) -> u32 {
        self.providers.get(provider).map_or(usual, |provider| provider.slots(usual))
    }

    /// Gives each node the `draining` and `slots` that the file says by now. Nodes are neither added nor removed.
    pub fn set_nodes(&self, file: &OpenClaw) {
        for (name, provider) in &file.providers {
            let nodes = self.providers.get(name).into_iter().flat_map(|provider| &provider.nodes);
            for node in nodes {
                if let Some(said) = provider.nodes.iter().find(|it| it.base_url == node.name()) {
                    node.set(said.slots, said.draining);
                }
            }
        }
    }

    /// Chooses the candidates for a model's name: the primary and its fallbacks if it is absent, the household's or the
    /// primary's, else that model alone, because whoever names a model wants that one. `provider/model`, or the bare
    /// model id where one provider only has it; each with `:latest` or without, as Ollama's clients have it.
    ///
    /// # Errors
    ///
    /// [`Failure::Unknown`].
    pub fn choose(&self, asked: Option<&str>) -> Result<Chain, Failure> {
        let named = asked.filter(|asked| !is_household(asked));
        let chosen = named.map_or_else(|| Ok(self.primary.clone()), |asked| self.find(asked))?;
        let list = if chosen == self.primary {
            [&self.primary].into_iter().chain(&self.fallbacks).collect()
        } else {
            vec![&chosen]
        };
        let mut chain = Chain {
            candidates: Vec::new(),
            person: None,
            first: chosen.clone(),
            household: named.is_none(),
            context_window: None,
            max_tokens: None,
        };
        for name in list {
            let Some((provider, model)) = self.get(name) else {
                continue;
            };
            if chain.candidates.is_empty() {
                chain.max_tokens = model.max_tokens;
            }
            let windows = [chain.context_window, provider.context_window(model)];
            chain.context_window = windows.into_iter().flatten().min();
            let (name, model) = (name.clone(), model.clone());
            chain.candidates.push(Candidate { name, model, provider: Arc::clone(provider) });
        }
        Ok(chain)
    }

    fn find(&self, asked: &str) -> Result<ModelRef, Failure> {
        let other = match asked.strip_suffix(LATEST) {
            Some(bare) => bare.to_owned(),
            None => format!("{asked}{LATEST}"),
        };
        let exact = [asked, &other].into_iter().find_map(|name| self.find_exactly(name));
        exact.or_else(|| self.find_confidential(asked)).ok_or_else(|| Failure::Unknown {
            asked: asked.chars().take(NAME_MAX).collect(),
            known: self.list().iter().map(|(model, _)| model.to_string()).collect(),
        })
    }

    /// The model of this name, with its provider's or without; of several, the primary.
    fn find_exactly(&self, name: &str) -> Option<ModelRef> {
        let owned = |(provider, model): (&str, &str)| ModelRef {
            provider: provider.to_owned(),
            model: model.to_owned(),
        };
        let all = || {
            self.providers.iter().flat_map(|(provider, it)| {
                it.models.iter().map(|model| (provider.as_str(), model.id.as_str()))
            })
        };
        let primary = (self.primary.provider.as_str(), self.primary.model.as_str());
        let primary = Some(primary).filter(|_| self.get(&self.primary).is_some());
        let is_whole = |(provider, model): &(&str, &str)| {
            let rest = name.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
            rest == Some(model)
        };
        if let Some(found) = primary.into_iter().chain(all()).find(is_whole) {
            return Some(owned(found));
        }
        let mut bare = all().filter(|(of, model)| *model == name && self.is_ours(of));
        match (bare.next(), bare.next()) {
            (Some(found), None) => Some(owned(found)),
            // The same id at several providers: the primary, if it is among them.
            (Some(_), Some(_)) => primary.filter(|(_, model)| *model == name).map(owned),
            _ => None,
        }
    }

    fn get(&self, model: &ModelRef) -> Option<(&Arc<Provider>, &Model)> {
        let provider = self.providers.get(&model.provider)?;
        let found = provider.models.iter().find(|it| it.id == model.model)?;
        Some((provider, found))
    }

    /// Asks nodes how they are: those that were not well, and those among which there is a choice.
    pub async fn probe(&self) {
        let asked = self.providers.values().flat_map(|provider| {
            let choice = provider.nodes.len() > 1;
            provider.nodes.iter().filter(move |node| choice || node.is_unwell())
        });
        stream::iter(asked).for_each_concurrent(CHECKS, |node| node.probe()).await;
    }

    /// Asks backends for the context of models whose settings do not say it, and for what their models can do; `again`
    /// those, too, that have told it.
    pub async fn learn(&self, again: bool) {
        join_all(self.providers.values().map(|provider| provider.learn(again))).await;
    }

    /// Whether some backend answers now.
    pub async fn ready(&self) -> bool {
        let nodes = self.providers.values().flat_map(|provider| &provider.nodes);
        let checks = stream::iter(nodes).map(|node| node.check(Duration::ZERO));
        let mut ready = checks
            .buffer_unordered(CHECKS)
            .filter(|found| std::future::ready(*found == Found::Is(Health::Ready)))
            .boxed();
        ready.next().await.is_some()
    }
}

impl Chain {
    /// Says whose request it is: a person's conversation stays at a node.
    #[must_use]
    pub fn of(self, person: &Person) -> Self {
        Self { person: Some(person.clone()), ..self }
    }

    /// The providers of those that may answer this request, in order: of the first, and of those after it until one lacks
    /// what it needs.
    pub fn providers(&self, request: &ChatRequest) -> impl Iterator<Item = &str> {
        let able = |it: &Candidate| lacking(&it.provider, &it.model, request).is_none();
        let candidates = self.answering(request).iter().enumerate();
        let able = candidates.take_while(move |(at, it)| *at == 0 || able(it));
        able.map(|(_, it)| it.name.provider.as_str())
    }

    /// Leaves out the first so many candidates: their providers have no place for a request.
    #[must_use]
    pub fn without(mut self, count: usize) -> Self {
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
    ///
    /// # Errors
    ///
    /// [`Failure::Down`], [`Failure::Busy`] or [`Failure::Unusable`] if none does, [`Failure::Unsupported`], [`Failure::TooLong`] or
    /// [`Failure::Refused`] if one refuses the request itself.
    pub async fn open(&self, mut request: ChatRequest) -> Result<Reply, Failure> {
        let affinity = self.affinity(&request);
        let (mut untrusted, mut tried) = (None, Vec::new());
        let candidates = self.answering(&request);
        let mut absence = if candidates.is_empty() { Absence::Down } else { Absence::Unusable };
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
                Err(Missed::Refused(Failure::Unsupported(..))) if index > 0 => {}
                Err(Missed::Refused(failure)) => return Err(failure),
                Err(Missed::Absent(why)) => absence = absence.max(why),
                Err(Missed::Untrusted(failure)) => {
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

/// Whether a name means the household's AI.
fn is_household(asked: &str) -> bool {
    let bare = asked.strip_suffix(LATEST).unwrap_or(asked);
    bare == HOUSEHOLD || ALIASES.contains(&bare)
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

/// Tells the log why a model failed, without a backend's own words: they may quote the prompt.
pub(crate) fn report(model: &ModelRef, error: &Error) {
    match error {
        Error::Unreachable { .. } | Error::Address { .. } | Error::File { .. } | Error::Key(_) => {
            tracing::warn!(%model, error = error as &dyn std::error::Error, "model does not answer");
        }
        Error::Untrusted { code, sent: false, .. } => {
            tracing::warn!(%model, code, %error, "nothing was sealed to the model");
        }
        Error::Untrusted { code, sent: true, .. } => {
            tracing::warn!(%model, code, %error, "what was asked was sent sealed; the answer is not taken");
        }
        Error::Busy { .. } => tracing::debug!(%model, %error, "model is busy"),
        Error::Overlong { .. } => tracing::info!(%model, %error, "reply cut"),
        Error::Refused { status, .. } => tracing::warn!(%model, status, "model refused a request"),
        Error::Cut { began, .. } => tracing::warn!(%model, began, "reply cut"),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (too_long, unsupported) = (error.is_too_long(), error.is_unsupported());
        match error {
            Error::Refused { message, .. } if too_long => Self::TooLong(message),
            Error::Refused { message, detail, .. } if unsupported => {
                Self::Unsupported(message, detail)
            }
            // It took the request.
            Error::Refused { status: 200..=299, message, .. } => Self::Garbled(message),
            Error::Refused { message, detail, .. } => Self::Refused(message, detail),
            Error::Cut { .. } => Self::Cut,
            Error::Overlong { .. } => Self::Overlong,
            Error::Busy { .. } => Self::Busy(Vec::new()),
            Error::Untrusted { code, reason, sent, .. } => Self::Untrusted { code, reason, sent },
            Error::Address { .. } | Error::File { .. } | Error::Key(_) => {
                Self::Unusable(Vec::new())
            }
            Error::Unreachable { .. } => Self::Down(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests;
