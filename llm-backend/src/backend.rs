//! What every backend does.

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
/// After an error nothing follows. A stream that ends without one ended as the backend meant it to: its last deltas
/// carried the finish reason and, where the backend counts, the usage.
pub type DeltaStream = BoxStream<'static, Result<Delta, Error>>;

/// Whether a backend can answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Ready,
    /// It is there, but still loads its model.
    Loading,
    /// It is there, but takes no new requests: it is full, or ends once those under way are answered.
    Draining,
}

/// Something that answers chats.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Asks for the next message; the reply comes as it is generated, whatever the request's `stream` says.
    ///
    /// Resolves when the backend has accepted the request; see [`Error`] for what can go wrong before and after.
    fn chat(&self, request: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>>;

    /// Makes a vector of each text, with a model that can.
    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embeddings, Error>>;

    /// Lists the models that it has.
    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>>;

    /// Whether [`Self::models`] says what each model can do.
    fn tells_capabilities(&self) -> bool {
        false
    }

    /// Whether it said, when it last listed its models, that it forwards this one to machines elsewhere.
    fn forwards(&self, _model: &str) -> bool {
        false
    }

    /// Asks whether it can answer.
    fn health(&self) -> BoxFuture<'_, Result<Health, Error>>;

    /// Asks how many replies it makes at a time; `None` if it does not tell.
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
    /// How many numbers all vectors have together.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.vectors.iter().map(Vec::len).sum()
    }
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Texts can be guessed from their vectors.
        f.debug_struct("Embeddings")
            .field("vectors", &self.vectors.len())
            .field("prompt_tokens", &self.prompt_tokens)
            .finish()
    }
}
