//! Which backend answers: the model asked for, or the next in the list.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use ai_gateway_api::chat::{ChatRequest, Delta};
use futures_util::{StreamExt as _, stream};
use llm_backend::{Backend, DeltaStream, Error, Health, OpenAiCompatible, Timeouts};

use crate::{
    breaker::Breaker,
    openclaw::{Model, ModelRef, OpenClaw},
};

/// A backend with its models and its breaker.
#[derive(Debug)]
pub struct Provider {
    backend: Arc<dyn Backend>,
    models: Vec<Model>,
    breaker: Breaker,
    /// What the backend says of its context, for models whose settings do not; 0 if not known yet.
    context_tokens: AtomicU32,
}

impl Provider {
    /// A backend that has these models.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, models: Vec<Model>) -> Self {
        Self { backend, models, breaker: Breaker::default(), context_tokens: AtomicU32::new(0) }
    }
}

/// All models, and in which order they are asked.
#[derive(Debug)]
pub struct Models {
    providers: BTreeMap<String, Arc<Provider>>,
    primary: ModelRef,
    fallbacks: Vec<ModelRef>,
}

/// A model chosen for a request, with those that stand in for it.
#[derive(Clone, Debug)]
pub struct Chain {
    candidates: Vec<(ModelRef, Arc<Provider>)>,
    /// Tokens that a conversation may hold, if known: the fewest among the candidates, so that each can answer.
    pub context_window: Option<u32>,
    /// Tokens of a reply whose request names no number.
    pub max_tokens: Option<u32>,
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
#[derive(Debug, thiserror::Error)]
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
    /// The reply broke off.
    #[error("the reply was cut: the model went away while answering")]
    Cut,
}

/// Longest part of an unknown model's name that is repeated to the caller.
const NAME_MAX: usize = 100;

impl Models {
    /// Makes the backends that `openclaw.json` names; UNIX sockets are below `root`.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if a provider's `baseUrl` cannot be used.
    pub fn new(config: &OpenClaw, root: &Path) -> Result<Self, Error> {
        let timeouts =
            Timeouts { budget: Duration::from_secs(config.timeout_s), ..Timeouts::default() };
        let mut providers = BTreeMap::new();
        for (name, provider) in &config.providers {
            let url = below(root, &provider.base_url);
            let backend = Arc::new(OpenAiCompatible::with_timeouts(&url, timeouts)?);
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

    /// Chooses the candidates for a model's name: the primary and its fallbacks if it is absent or the primary's,
    /// else that model alone, because whoever names a model wants that one. `provider/model`, or the bare model id
    /// where one provider only has it.
    ///
    /// # Errors
    ///
    /// [`Failure::Unknown`].
    pub fn choose(&self, asked: Option<&str>) -> Result<Chain, Failure> {
        let chosen = match asked {
            None => self.primary.clone(),
            Some(asked) => self.find(asked)?,
        };
        let list = if chosen == self.primary {
            [&self.primary].into_iter().chain(&self.fallbacks).collect()
        } else {
            vec![&chosen]
        };
        let mut chain = Chain { candidates: Vec::new(), context_window: None, max_tokens: None };
        for candidate in list {
            let Some((provider, model)) = self.get(candidate) else {
                continue;
            };
            if chain.candidates.is_empty() {
                chain.max_tokens = model.max_tokens;
            }
            let windows = [chain.context_window, provider.context_window(model)];
            chain.context_window = windows.into_iter().flatten().min();
            chain.candidates.push((candidate.clone(), Arc::clone(provider)));
        }
        Ok(chain)
    }

    fn find(&self, asked: &str) -> Result<ModelRef, Failure> {
        if let Some(exact) = asked.parse().ok().filter(|exact| self.get(exact).is_some()) {
            return Ok(exact);
        }
        let list = self.list();
        let mut bare = list.iter().filter(|(model, _)| model.model == asked);
        match (bare.next(), bare.next()) {
            (Some((found, _)), None) => Ok(found.clone()),
            // The same id at several providers: the primary, if it is among them.
            (Some((found, _)), Some(_)) if *found == self.primary => Ok(found.clone()),
            _ => Err(Failure::Unknown {
                asked: asked.chars().take(NAME_MAX).collect(),
                known: list.iter().map(|(model, _)| model.to_string()).collect(),
            }),
        }
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

    /// Asks backends for the context of models whose settings do not say it.
    pub async fn learn(&self) {
        for provider in self.providers.values() {
            let known = provider.models.iter().all(|model| model.context_window.is_some());
            if known || provider.context_tokens.load(Ordering::Relaxed) != 0 {
                continue;
            }
            let Ok(models) = provider.backend.models().await else {
                continue;
            };
            let least = models.iter().filter_map(|model| model.context_tokens).min();
            provider.context_tokens.store(least.unwrap_or_default(), Ordering::Relaxed);
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
    /// [`Failure::Down`] if none does, [`Failure::Refused`] if one refuses the request itself, [`Failure::Cut`] if
    /// one ends without having begun.
    pub async fn open(&self, request: &ChatRequest) -> Result<Reply, Failure> {
        for (model, provider) in &self.candidates {
            if !provider.breaker.allow(Instant::now()) {
                tracing::debug!(%model, "skipped, its breaker is open");
                continue;
            }
            match begin(model, provider, request.clone()).await {
                Ok(deltas) => return Ok(Reply { model: model.clone(), deltas }),
                Err(error) => {
                    report(model, &error);
                    if !error.may_try_another() {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(Failure::Down(self.candidates.iter().map(|(model, _)| model.to_string()).collect()))
    }
}

/// Tells the log why a model failed, without a backend's own words: they may quote the prompt.
pub(crate) fn report(model: &ModelRef, error: &Error) {
    match error {
        Error::Unreachable { .. } | Error::Address { .. } => {
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
        let learned =
            Some(self.context_tokens.load(Ordering::Relaxed)).filter(|&tokens| tokens != 0);
        model.context_window.or(learned)
    }

    fn judge(&self, error: &Error) {
        if error.is_backend_fault() {
            self.breaker.fail(Instant::now());
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused { message, .. } => Self::Refused(message),
            Error::Cut { .. } => Self::Cut,
            Error::Unreachable { .. } | Error::Address { .. } => Self::Down(Vec::new()),
        }
    }
}

/// Puts the path of a `unix://` URL below the root.
fn below(root: &Path, url: &str) -> String {
    match url.strip_prefix("unix://") {
        Some(path) if !Path::new(path).starts_with(root) => {
            let path = root.join(path.trim_start_matches('/'));
            format!("unix://{}", path.display())
        }
        Some(_) | None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
