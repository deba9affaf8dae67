//! How a model continues a text.

use std::fmt;

use crate::model::Capability;

/// How a model continues a text that is not a conversation. `Debug` does not print the text.
#[derive(Clone, PartialEq, Eq)]
pub enum Completion {
    /// It gets the prompt unchanged, without its template.
    Raw,
    /// It fills the gap between the prompt and this text.
    Insert(String),
}

impl Completion {
    /// The text after the gap, if there is a gap.
    #[must_use]
    pub fn suffix(&self) -> Option<&str> {
        match self {
            Self::Raw => None,
            Self::Insert(suffix) => Some(suffix),
        }
    }

    /// The name of the feature for errors, by Ollama's name if there is one.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Raw => "raw prompts",
            Self::Insert(_) => Capability::Insert.as_str(),
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "Raw",
            Self::Insert(_) => "Insert([redacted])",
        })
    }
}
