//! Models, and what they can do.

use serde::{Deserialize, Serialize};

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
    /// What [`ChatRequest::model`](crate::ChatRequest::model) names it by.
    pub id: String,
    /// Tokens that a conversation may hold, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// What it can do, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
}
