//! Models and their capabilities.

use serde::{Deserialize, Serialize};

/// A capability of a model, by Ollama's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// It answers chats.
    Completion,
    /// It calls tools.
    Tools,
    /// It fills a gap between a prefix and a suffix.
    Insert,
    /// It reads images.
    Vision,
    /// It turns texts into vectors.
    Embedding,
    /// It can think before it answers, and separates its thoughts from the answer.
    Thinking,
}

impl Capability {
    /// Its name.
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

/// A model of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Its name in [`ChatRequest::model`](crate::ChatRequest::model).
    pub id: String,
    /// Tokens that a conversation may hold, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// Its capabilities, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
}
