//! The interface of all backends.

use std::fmt;

use chat_vocabulary::{ChatRequest, Delta, EmbedRequest, ModelInfo};
use futures_util::{
    FutureExt as _,
    future::{self, BoxFuture},
    stream::BoxStream,
};

use crate::error::Error;

/// A reply as it is generated. Dropping it cancels the generation.
///
/// An error is the last item. A stream that ends without an error is complete: its last deltas carry the finish reason
/// and, if the backend counts, the usage.
pub type DeltaStream = BoxStream<'static, Result<Delta, Error>>;

/// Whether a backend can answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Ready,
    /// It answers, but would rather others did: it loads its model for a request.
    Standby,
    /// It is up, but loading its model.
    Loading,
    /// It is up, but takes no new requests: it is full or stopping.
    Draining,
}

/// A server that answers chats.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Requests the next message. The reply is always streamed, whatever the request's `stream`.
    ///
    /// Resolves when the backend has accepted the request.
    fn chat(&self, request: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>>;

    /// Makes a vector of each text, with a model that can.
    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embeddings, Error>>;

    /// Lists its models.
    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>>;

    /// Whether [`Self::models`] reports capabilities.
    fn tells_capabilities(&self) -> bool {
        false
    }

    /// Whether it forwards this model to other machines, by its last list of models.
    fn forwards(&self, _model: &str) -> bool {
        false
    }

    /// Checks its health.
    fn health(&self) -> BoxFuture<'_, Result<Health, Error>>;

    /// Asks for the number of concurrent replies; `None` if it does not report it.
    fn capacity(&self) -> BoxFuture<'_, Result<Option<u32>, Error>> {
        future::ready(Ok(None)).boxed()
    }
}

/// A vector for each text, in the order of the texts.
#[derive(Clone, PartialEq)]
pub struct Embeddings {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that the model read, if the backend counts them.
    pub prompt_tokens: Option<u32>,
}

impl Embeddings {
    /// Numbers of all vectors.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.vectors.iter().map(Vec::len).sum()
    }
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Vectors reveal their texts.
        f.debug_struct("Embeddings")
            .field("vectors", &self.vectors.len())
            .field("prompt_tokens", &self.prompt_tokens)
            .finish()
    }
}
