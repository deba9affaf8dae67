//! Client of servers with OpenAI's `/v1/chat/completions`.

mod calls;
mod completion;
mod embeddings;
mod reply;
mod wire;

use std::sync::Arc;

use chat_vocabulary::{ChatRequest, Completion, Delta, FinishReason, ModelInfo};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http::StatusCode;

use crate::{
    Backend, DeltaStream, EmbedRequest, Embeddings, Error, Health, Settings,
    link::{Client, EMBEDDINGS_MAX},
};

pub(crate) use reply::deltas;
pub(crate) use wire::streaming;

pub use embeddings::decode_embeddings;
pub use reply::decode;
pub use wire::{Slot, decode_models, decode_props, decode_slots};

/// What `maru-llm` says at `/health` while it loads its model for a request only.
const STANDBY: &[u8] = br#"{"status":"standby"}"#;
/// Most slots that a server may report.
const SLOTS_MAX: u32 = 4096;

/// An OpenAI-compatible server: `maru-llm`, llama-server, vLLM.
#[derive(Clone, Debug)]
pub struct OpenAiCompatible {
    link: Arc<Client>,
}

impl OpenAiCompatible {
    /// Makes a client. Nothing is connected yet. While a file cannot be used, each request fails.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if the URL cannot be used, or is plain HTTP to a host that is neither this machine nor in the
    /// mesh, because prompts would be sent unencrypted; [`Error::Key`] if the key is invalid, [`Error::File`] if a
    /// certificate has no key.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self { link: Arc::new(Client::new(settings)?) })
    }

    /// The state of each slot, for servers with llama-server's `/slots`.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] or [`Error::Refused`].
    pub async fn slots(&self) -> Result<Vec<Slot>, Error> {
        self.link.read("/slots", decode_slots).await
    }

    async fn open(&self, request: ChatRequest) -> Result<DeltaStream, Error> {
        let mut request = wire::streaming(request);
        if !self.link.is_engine() {
            request.prompt_cache_key = None;
        }
        match self.ask(&request).await {
            // vLLM adds `max_tokens` to the length of the conversation, and some models do not support it or name it
            // differently. The client did not set it, so it is removed, and the limit is applied here.
            Err(error)
                if request.usual_length
                    && (error.is_too_long() || error.is_without("max_tokens")) =>
            {
                let Some(most) = request.options.max_tokens.take() else { return Err(error) };
                Ok(at_most(most, self.ask(&request).await?))
            }
            answer => answer,
        }
    }

    async fn ask(&self, request: &ChatRequest) -> Result<DeltaStream, Error> {
        if let Some(completion) = &request.completion {
            return self.complete(request, completion).await;
        }
        self.link.reply("/v1/chat/completions", request, "text/event-stream", reply::deltas).await
    }

    async fn complete(
        &self,
        request: &ChatRequest,
        completion: &Completion,
    ) -> Result<DeltaStream, Error> {
        let model = request.model.as_deref().unwrap_or_default();
        let unsupported = |feature: &str| {
            let message = format!("{model} does not support {feature}");
            self.link.refused(StatusCode::BAD_REQUEST, message)
        };
        let body = completion::body(request, completion).map_err(unsupported)?;
        let kind = "text/event-stream";
        match self.link.reply("/v1/completions", &body, kind, reply::deltas).await {
            // A server without that path.
            Err(Error::Refused { status: 404 | 405 | 501, .. }) => {
                Err(unsupported(completion.as_str()))
            }
            answer => answer,
        }
    }

    async fn list(&self) -> Result<Vec<ModelInfo>, Error> {
        self.link.read("/v1/models", decode_models).await
    }

    async fn state(&self) -> Result<Health, Error> {
        match self.link.read("/health", |body| Some(body == STANDBY)).await {
            // A server without /health is up if it lists its models.
            Err(Error::Refused { status: 404, .. }) => Client::health(self.list().await),
            Ok(true) => Ok(Health::Standby),
            answer => Client::health(answer),
        }
    }

    /// The number of slots, by `/slots` of llama-server and `maru-llm` or, if that is switched off, by `/props`.
    async fn slot_count(&self) -> Result<Option<u32>, Error> {
        let reported = match self.slots().await {
            Ok(slots) => u32::try_from(slots.len()).ok(),
            // Another server, or one started without `/slots`.
            Err(Error::Refused { .. }) => match self.link.read("/props", decode_props).await {
                Ok(slots) => Some(slots),
                Err(Error::Refused { .. }) => None,
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        Ok(reported.filter(|slots| (1..=SLOTS_MAX).contains(slots)))
    }

    async fn vectors(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        let path = "/v1/embeddings";
        let answer = match self.link.post(path, &embeddings::body(&request)).await {
            // A server without that path, or started without embeddings.
            Err(Error::Refused { status: 404 | 405 | 501, .. }) => {
                let message = format!("{} does not support embedding", request.model);
                return Err(self.link.refused(StatusCode::BAD_REQUEST, message));
            }
            answer => answer?,
        };
        let count = request.input.len();
        let decode = move |body: &[u8]| decode_embeddings(body, count);
        self.link.decode(path, answer, EMBEDDINGS_MAX, decode).await
    }
}

/// Ends a reply after `most` deltas with text, as `max_tokens` would: each is at least one token.
fn at_most(most: u32, deltas: DeltaStream) -> DeltaStream {
    let next = |state: Option<(DeltaStream, u32)>| async move {
        let (mut deltas, remaining) = state?;
        let delta = deltas.next().await?;
        let says = delta.as_ref().is_ok_and(Delta::says);
        if says && remaining == 0 {
            let ended = Delta { finish_reason: Some(FinishReason::Length), ..Delta::default() };
            return Some((Ok(ended), None));
        }
        Some((delta, Some((deltas, remaining - u32::from(says)))))
    };
    stream::unfold(Some((deltas, most)), next).boxed()
}

impl Backend for OpenAiCompatible {
    fn chat(&self, request: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>> {
        self.open(request).boxed()
    }

    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embeddings, Error>> {
        self.vectors(request).boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>> {
        self.list().boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>> {
        self.state().boxed()
    }

    fn capacity(&self) -> BoxFuture<'_, Result<Option<u32>, Error>> {
        self.slot_count().boxed()
    }
}
