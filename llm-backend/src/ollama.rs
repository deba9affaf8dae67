//! Client of Ollama's own API: `/api/chat` and `/api/generate`, because `num_ctx` cannot be set through its `/v1`.
//!
//! Every request for a model has the context size of the settings: if a request has another, Ollama reloads the model,
//! which takes seconds. Prompts that do not fit are an error and never cut (`truncate`, `shift`). Models that Ollama
//! forwards to its cloud are refused before anything is sent, by their name and by Ollama's list of models.

mod embeddings;
mod generate;
mod lines;
mod models;
mod reply;
mod request;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chat_vocabulary::{ChatRequest, ModelInfo, ollama::is_cloud};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;

use crate::{
    Backend, DeltaStream, EmbedRequest, Embeddings, Error, Health, Settings,
    error::ELSEWHERE,
    link::{Client, EMBEDDINGS_MAX},
};

pub use embeddings::decode as decode_ollama_embeddings;
pub use models::{decode_show as decode_ollama_show, decode_tags as decode_ollama_tags};
pub use reply::decode as decode_ollama;

/// Most models whose capabilities are requested, one by one.
const MODELS_MAX: usize = 64;
/// Longest answer about one model, in bytes: it contains the licence, the template and the list of tensors.
const SHOW_MAX: usize = 4 << 20;

/// An Ollama server.
#[derive(Clone, Debug)]
pub struct Ollama {
    link: Arc<Client>,
    /// Tokens of each model's context, by the model's name.
    contexts: BTreeMap<String, u32>,
    /// Names, without `:latest`, of the models that it forwards, by its last list.
    elsewhere: Arc<Mutex<Vec<String>>>,
}

impl Ollama {
    /// Makes a client. `contexts` are the tokens of each model's context; a model without an entry has Ollama's own
    /// default. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// As [`crate::OpenAiCompatible::new`].
    pub fn new(settings: Settings, contexts: BTreeMap<String, u32>) -> Result<Self, Error> {
        Ok(Self { link: Arc::new(Client::new(settings)?), contexts, elsewhere: Arc::default() })
    }

    async fn open(&self, request: ChatRequest) -> Result<DeltaStream, Error> {
        let model = request.model.as_deref().unwrap_or_default();
        self.refuse_cloud(model)?;
        let num_ctx = self.contexts.get(model).copied();
        let refused = |reason| self.link.refused(StatusCode::BAD_REQUEST, reason);
        let kind = "application/x-ndjson";
        match &request.completion {
            Some(completion) => {
                let body = generate::body(&request, completion, num_ctx).map_err(refused)?;
                self.link.reply("/api/generate", &body, kind, reply::deltas).await
            }
            None => {
                let body = request::body(&request, num_ctx).map_err(refused)?;
                self.link.reply("/api/chat", &body, kind, reply::deltas).await
            }
        }
    }

    async fn vectors(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        self.refuse_cloud(&request.model)?;
        let path = "/api/embed";
        let body = embeddings::body(&request, self.contexts.get(&request.model).copied());
        let answer = self.link.post(path, &body).await?;
        let count = request.input.len();
        let decode = move |body: &[u8]| embeddings::decode(body, count);
        self.link.decode(path, answer, EMBEDDINGS_MAX, decode).await
    }

    /// The models on this machine with their capabilities; only the name of a model that it cannot describe.
    async fn list(&self) -> Result<Vec<ModelInfo>, Error> {
        let names = self.link.read("/api/tags", models::decode_names).await?;
        *self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner) =
            names.elsewhere.iter().map(|name| bare(name).to_owned()).collect();
        let (mut list, mut shown_any, mut failed) = (Vec::new(), false, None);
        for name in names.here.into_iter().filter(|name| !is_cloud(name)).take(MODELS_MAX) {
            let shown = match self.show(&name).await {
                Ok(shown) => {
                    shown_any = true;
                    shown
                }
                Err(error) => {
                    failed = Some(error);
                    ModelInfo::default()
                }
            };
            let context_tokens = self.contexts.get(&name).copied().or(shown.context_tokens);
            list.push(ModelInfo { id: name, context_tokens, ..shown });
        }
        match failed {
            Some(error) if !shown_any => Err(error),
            Some(_) | None => Ok(list),
        }
    }

    async fn show(&self, name: &str) -> Result<ModelInfo, Error> {
        let answer = self.link.look_up("/api/show", &serde_json::json!({ "model": name })).await?;
        self.link.decode("/api/show", answer, SHOW_MAX, models::decode_show).await
    }

    async fn state(&self) -> Result<Health, Error> {
        // It loads a model with the model's first request, so it is ready as soon as it is up.
        Client::health(self.link.read("/api/version", models::decode_version).await)
    }

    fn refuse_cloud(&self, model: &str) -> Result<(), Error> {
        if is_cloud(model) || self.forwards(model) {
            return Err(self.link.refused(StatusCode::BAD_REQUEST, refuse_cloud(model)));
        }
        Ok(())
    }
}

impl Backend for Ollama {
    fn chat(&self, request: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>> {
        self.open(request).boxed()
    }

    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embeddings, Error>> {
        self.vectors(request).boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>> {
        self.list().boxed()
    }

    fn tells_capabilities(&self) -> bool {
        true
    }

    fn forwards(&self, model: &str) -> bool {
        let elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        elsewhere.iter().any(|name| name == bare(model))
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>> {
        self.state().boxed()
    }
}

/// A model's name without the default tag.
fn bare(model: &str) -> &str {
    model.strip_suffix(":latest").unwrap_or(model)
}

/// The error message for a model that Ollama forwards to its cloud.
#[must_use]
pub fn refuse_cloud(model: &str) -> String {
    format!("{model}{ELSEWHERE}")
}
