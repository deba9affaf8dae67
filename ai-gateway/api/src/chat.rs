//! Chat completions: the words that requests, replies and backends share.
//!
//! Field names and shapes are those of OpenAI's `POST /v1/chat/completions`, which llama-server and vLLM speak too, so
//! a [`ChatRequest`] is also what such a request decodes to. Nothing that would change the answer vanishes on the way:
//! a field that is not known here is refused by name ([`DecodeError::Unknown`]), unless it is on a short list of those
//! that change nothing (`user`, `metadata` …) or null. `Debug` never shows what people wrote.

mod completion;
pub(crate) mod decode;
mod delta;
pub(crate) mod embedding;
mod format;
mod image;
mod json;
mod left_out;
mod message;
pub(crate) mod options;
mod request;
mod tools;

use serde::{Deserialize, Serialize};

pub use completion::{Completion, decode_completion};
pub use decode::DecodeError;
pub use delta::{Delta, Evidence, FinishReason, ToolCallDelta, Usage, count, count_or_zero};
pub use embedding::{EmbedRequest, EmbeddingRequest, base64};
pub use format::ResponseFormat;
pub use image::{Detail, Image, ImageError};
pub use json::{Json, JsonError};
pub use message::{Content, Message, Part, Role};
pub use options::{Effort, Options};
pub use request::{ChatRequest, StreamOptions, decode};
pub use tools::{Tool, ToolCall, ToolChoice};

/// What a model can do besides continuing a text, in Ollama's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// It answers chats.
    Completion,
    /// It calls tools.
    Tools,
    /// It fills a gap between a prefix and a suffix.
    Insert,
    /// It sees images.
    Vision,
    /// It turns texts into vectors.
    Embedding,
    /// It can think before it answers, and tells its thoughts apart.
    Thinking,
}

impl Capability {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completion => "completion",
            Self::Tools => "tools",
            Self::Insert => "insert",
            Self::Vision => "vision",
            Self::Embedding => "embedding",
            Self::Thinking => "thinking",
        }
    }
}

/// A model that can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// What [`ChatRequest::model`] names it by.
    pub id: String,
    /// Tokens that a conversation may hold, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// What it can do, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
}

#[cfg(test)]
mod tests;
