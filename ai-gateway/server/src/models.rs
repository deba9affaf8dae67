//! Which backend answers: the model asked for, or the next in the list.

mod describe;
mod embed;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use ai_gateway_api::chat::{Capability, ChatRequest, Delta, Effort, ModelInfo};
use futures_util::{StreamExt as _, stream};
use llm_backend::{
    ApiKey, Backend, DeltaStream, Error, Health, Ollama, OpenAiCompatible, Settings, Timeouts, Tls,
};

use crate::{
    app::below,
    breaker::Breaker,
    openclaw::{self, Api, Model, ModelRef, OpenClaw},
};

pub use describe::Description;

/// A backend with its models and its breaker.
#[derive(Debug)]
pub struct Provider {
    backend: Arc<dyn Backend>,
    models: Vec<Model>,
    breaker: Breaker,
    /// What the backend says of its models, once it has.
    learned: OnceLock<Vec<ModelInfo>>,
}

impl Provider {
    /// A backend that has these models.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, models: Vec<Model>) -> Self {
        Self { backend, models, breaker: Breaker::default(), learned: OnceLock::new() }
    }
}

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
    /// The backend refused the request.
    #[error("the model refused the request: {0}")]
    Refused(String),
    /// The model cannot do what the request needs: `MODEL does not support tools`, in Ollama's words.
    #[error("{0}")]
    Unsupported(String),
    /// The conversation is longer than the model's context; in the backend's words.
    #[error("the conversation is too long for the model: {0}")]
    TooLong(String),
    /// The reply broke off.
    #[error("the reply was cut: the model went away while answering")]
    Cut,
    /// Whoever listened read so slowly that the reply went on without them.
    #[error("the reply was cut: it was read too slowly")]
    Behind,
}

/// Longest part of an unknown model's name that is repeated to the caller.
const NAME_MAX: usize = 100;

impl Models {
    /// Makes the backends that `openclaw.json` names; UNIX sockets are below `root`.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if a provider's `baseUrl` cannot be used, [`Error::File`] or [`Error::Key`] if its key or
    /// certificates cannot.
    pub fn new(config: &OpenClaw, root: &Path) -> Result<Self, Error> {
        let timeouts =
            Timeouts { budget: Duration::from_secs(config.timeout_s), ..Timeouts::default() };
        let mut providers = BTreeMap::new();
        for (name, provider) in &config.providers {
            let backend = backend(settings(root, provider, timeouts), provider)?;
            providers.insert(name.clone(), Provider::new(backend, provider.models.clone()));
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

    /// Returns every provider, and whether its circuit breaker is open.
    #[must_use]
    pub fn breakers(&self) -> Vec<(String, bool)> {
        self.providers.iter().map(|(name, it)| (name.clone(), it.breaker.is_open())).collect()
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
        let list = self.list();
        let other = match asked.strip_suffix(LATEST) {
            Some(bare) => bare.to_owned(),
            None => format!("{asked}{LATEST}"),
        };
        for name in [asked, &other] {
            if let Some((exact, _)) = list.iter().find(|(model, _)| model.to_string() == name) {
                return Ok(exact.clone());
            }
            let mut bare = list.iter().filter(|(model, _)| model.model == name);
            match (bare.next(), bare.next()) {
                (Some((found, _)), None) => return Ok(found.clone()),
                // The same id at several providers: the primary, if it is among them.
                (Some((found, _)), Some(_)) if *found == self.primary => return Ok(found.clone()),
                _ => {}
            }
        }
        Err(Failure::Unknown {
            asked: asked.chars().take(NAME_MAX).collect(),
            known: list.iter().map(|(model, _)| model.to_string()).collect(),
        })
    }

    fn get(&self, model: &ModelRef) -> Option<(&Arc<Provider>, &Model)> {
        let provider = self.providers.get(&model.provider)?;
        let found = provider.models.iter().find(|it| it.id == model.model)?;
        Some((provider, found))
    }

    /// Asks each backend whose breaker is open whether it is back, and closes the breaker if so.
    pub async fn probe(&self) {
        for (name, provider) in &self.providers {
            if !provider.breaker.is_open() {
                continue;
            }
            if matches!(provider.backend.health().await, Ok(Health::Ready)) {
                tracing::info!(provider = name, "backend is back");
                provider.breaker.succeed();
            }
        }
    }

    /// Asks backends for the context of models whose settings do not say it, and for what their models can do.
    pub async fn learn(&self) {
        for provider in self.providers.values() {
            let tells = provider.backend.tells_capabilities();
            let known = provider.models.iter().all(|model| model.context_window.is_some());
            if (known && !tells) || provider.learned.get().is_some() {
                continue;
            }
            let Ok(models) = provider.backend.models().await else {
                continue;
            };
            if tells || models.iter().any(|model| model.context_tokens.is_some()) {
                // Set once only, here.
                let _ = provider.learned.set(models);
            }
        }
    }

    /// Whether some backend answers now.
    pub async fn ready(&self) -> bool {
        for provider in self.providers.values() {
            if matches!(provider.backend.health().await, Ok(Health::Ready)) {
                return true;
            }
        }
        false
    }
}

impl Chain {
    /// Asks the candidates in turn, until one begins to answer.
    ///
    /// Dropping the future, or the reply, closes the connection to the backend.
    ///
    /// # Errors
    ///
    /// [`Failure::Down`] if none does, [`Failure::Unsupported`], [`Failure::TooLong`] or [`Failure::Refused`] if one
    /// refuses the request itself, [`Failure::Cut`] if one ends without having begun.
    pub async fn open(&self, mut request: ChatRequest) -> Result<Reply, Failure> {
        for (index, Candidate { name, model, provider }) in self.candidates.iter().enumerate() {
            if let Some(capability) = lacking(model, &request) {
                let words = format!("{name} does not support {}", capability.as_str());
                return Err(Failure::Unsupported(words));
            }
            if !provider.breaker.allow(Instant::now()) {
                tracing::debug!(model = %name, "skipped, its breaker is open");
                continue;
            }
            // The last one is given the request itself: with images it may be large.
            let last = index + 1 == self.candidates.len();
            let mut request = if last { std::mem::take(&mut request) } else { request.clone() };
            if model.lacks(Capability::Thinking) {
                // It was asked not to think, which it does not anyway.
                request.reasoning_effort = None;
            }
            match begin(name, provider, request).await {
                Ok(deltas) => return Ok(Reply { model: name.clone(), deltas }),
                Err(error) => {
                    report(name, &error);
                    if !error.may_try_another() {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(Failure::Down(self.candidates.iter().map(|it| it.name.to_string()).collect()))
    }
}

/// Whether a name means the household's AI.
fn is_household(asked: &str) -> bool {
    let bare = asked.strip_suffix(LATEST).unwrap_or(asked);
    bare == HOUSEHOLD || ALIASES.contains(&bare)
}

/// What the request needs and the settings say that the model does not have.
fn lacking(model: &Model, request: &ChatRequest) -> Option<Capability> {
    let thinks = request.reasoning_effort.is_some_and(|effort| effort != Effort::None);
    let needs = [
        (request.may_call(), Capability::Tools),
        (request.has_images(), Capability::Vision),
        (thinks, Capability::Thinking),
    ];
    needs.into_iter().find_map(|(needed, it)| (needed && model.lacks(it)).then_some(it))
}

/// Tells the log why a model failed, without a backend's own words: they may quote the prompt.
pub(crate) fn report(model: &ModelRef, error: &Error) {
    match error {
        Error::Unreachable { .. } | Error::Address { .. } | Error::File { .. } | Error::Key(_) => {
            tracing::warn!(%model, error = error as &dyn std::error::Error, "model does not answer");
        }
        Error::Refused { status, .. } => tracing::warn!(%model, status, "model refused a request"),
        Error::Cut { began, .. } => tracing::warn!(%model, began, "reply cut"),
    }
}

/// Asks one backend and waits for its first delta.
async fn begin(
    model: &ModelRef,
    provider: &Arc<Provider>,
    mut request: ChatRequest,
) -> Result<DeltaStream, Error> {
    request.model = Some(model.model.clone());
    let opened = async {
        let mut deltas = provider.backend.chat(request).await?;
        let first = deltas.next().await.transpose()?;
        Ok((first, deltas))
    };
    let (first, deltas) = opened.await.inspect_err(|error| provider.judge(error))?;
    provider.breaker.succeed();
    let provider = Arc::clone(provider);
    let rest = deltas.inspect(move |delta| {
        if let Err(error) = delta {
            provider.judge(error);
        }
    });
    Ok(stream::iter(first.map(Ok::<Delta, Error>)).chain(rest).boxed())
}

impl Provider {
    fn context_window(&self, model: &Model) -> Option<u32> {
        model.context_window.or_else(|| match self.told(model) {
            Some(info) => info.context_tokens,
            // An engine with one model takes any name.
            None => self.learned.get()?.iter().filter_map(|info| info.context_tokens).min(),
        })
    }

    /// What the backend says of a model.
    fn told(&self, model: &Model) -> Option<&ModelInfo> {
        let bare = |id: &str| id.strip_suffix(LATEST).unwrap_or(id).to_owned();
        self.learned.get()?.iter().find(|info| bare(&info.id) == bare(&model.id))
    }

    fn judge(&self, error: &Error) {
        if error.is_backend_fault() {
            self.breaker.fail(Instant::now());
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let too_long = error.is_too_long();
        match error {
            Error::Refused { message, .. } if too_long => Self::TooLong(message),
            Error::Refused { message, .. } if message.contains(" does not support ") => {
                Self::Unsupported(message)
            }
            Error::Refused { message, .. } => Self::Refused(message),
            Error::Cut { .. } => Self::Cut,
            Error::Unreachable { .. }
            | Error::Address { .. }
            | Error::File { .. }
            | Error::Key(_) => Self::Down(Vec::new()),
        }
    }
}

/// The client that speaks what the provider speaks.
fn backend(settings: Settings, provider: &openclaw::Provider) -> Result<Arc<dyn Backend>, Error> {
    Ok(match provider.api {
        Api::OpenAi => Arc::new(OpenAiCompatible::with_settings(settings)?),
        Api::Ollama => {
            let context = |model: &Model| Some((model.id.clone(), model.context_window?));
            let contexts = provider.models.iter().filter_map(context).collect();
            Arc::new(Ollama::new(settings, contexts)?)
        }
    })
}

/// How a provider is reached; its socket and its files are below the root.
fn settings(root: &Path, provider: &openclaw::Provider, timeouts: Timeouts) -> Settings {
    let file = |path: &PathBuf| below(root, path);
    let base_url = match provider.base_url.strip_prefix("unix://") {
        Some(path) => format!("unix://{}", below(root, Path::new(path)).display()),
        None => provider.base_url.clone(),
    };
    let key = provider.key.clone().map(|key| match key {
        ApiKey::File(path) => ApiKey::File(file(&path)),
        ApiKey::Text(text) => ApiKey::Text(text),
    });
    let tls = Tls {
        ca: provider.tls.ca.as_ref().map(file),
        cert: provider.tls.cert.as_ref().map(file),
        key: provider.tls.key.as_ref().map(file),
        server_name: provider.tls.server_name.clone(),
    };
    Settings { base_url, key, tls, timeouts }
}

#[cfg(test)]
mod tests;
