//! The deltas of a reply.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

use crate::json::Json;

/// One piece of a reply. `Debug` does not print its text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Text to append; may be empty.
    pub content: String,
    /// The model's thoughts, to append; not part of the text.
    pub thinking: String,
    /// Pieces of tool calls.
    pub tool_calls: Vec<ToolCallDelta>,
    /// Log probabilities of the text's tokens in OpenAI's format, if they were requested.
    pub logprobs: Vec<Json>,
    /// Why generation ended, in the last delta.
    pub finish_reason: Option<FinishReason>,
    /// The number of tokens, once, at the end.
    pub usage: Option<Usage>,
    /// Evidence of the node, in the first delta of a reply of the confidential chain.
    pub evidence: Option<Arc<Evidence>>,
}

/// Summary of the evidence of the node that sent a reply of the confidential chain. This home verified it before the
/// request was sealed to the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// `NITRO`, `TPM` or `SIMULATED`, by the evidence's trust anchor. SIMULATED is for tests and proves nothing.
    pub class: String,
    /// The image's name in the deployment's policy.
    pub image: String,
    /// The node.
    pub node: String,
    /// When it was verified, in Unix milliseconds.
    pub verified_at: u64,
}

/// A piece of a tool call.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ToolCallDelta {
    /// The number of its call in the reply, from 0.
    pub index: u32,
    /// The call's id, to which its result will refer; in its first piece.
    pub id: Option<String>,
    /// The tool's name, in its first piece.
    pub name: Option<String>,
    /// Text to append to its arguments.
    pub arguments: String,
}

impl Delta {
    /// A delta with text.
    pub fn text(content: impl Into<String>) -> Self {
        Self { content: content.into(), ..Self::default() }
    }

    /// Whether it has content, and not only the reply's end. A delta may have log probabilities without text: those of
    /// a token that ends within a character.
    #[must_use]
    pub fn says(&self) -> bool {
        !(self.content.is_empty()
            && self.thinking.is_empty()
            && self.tool_calls.is_empty()
            && self.logprobs.is_empty())
    }
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta")
            .field("content", &"[redacted]")
            .field("tool_calls", &self.tool_calls)
            .field("finish_reason", &self.finish_reason)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolCallDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCallDelta")
            .field("index", &self.index)
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended, or a stop text was found.
    Stop,
    /// `max_tokens` or the context was used up.
    Length,
    /// The model waits for the results of its calls.
    ToolCalls,
    /// The backend withheld the rest.
    ContentFilter,
    /// The gateway preempted the reply for a person who had waited long without a slot. Only the gateway uses it.
    Yielded,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}

impl FinishReason {
    /// The reason's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Yielded => "yielded",
            Self::Other => "other",
        }
    }
}

/// The number of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that the model read.
    #[serde(default, deserialize_with = "count_or_zero")]
    pub prompt_tokens: u32,
    /// Tokens that it generated.
    #[serde(default, deserialize_with = "count_or_zero")]
    pub completion_tokens: u32,
}

/// Reads a count as servers write it: `12`, `12.0`, or null for none. Less than zero is zero.
///
/// # Errors
///
/// The value is not a number.
pub fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let number = Option::<f64>::deserialize(from)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates at the bounds of u32"
    )]
    Ok(number.map(|number| number as u32))
}

/// The same; null is zero.
///
/// # Errors
///
/// As [`count`].
pub fn count_or_zero<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    count(from).map(Option::unwrap_or_default)
}

impl Usage {
    /// The sum of both.
    #[must_use]
    pub const fn total_tokens(self) -> u32 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_however_the_number_is_written() {
        for (written, read) in [
            ("7", 7),
            ("7.0", 7),
            ("7e0", 7),
            ("null", 0),
            ("-1", 0),
            ("4294967295", u32::MAX),
            ("1e12", u32::MAX),
        ] {
            let body = format!(r#"{{"prompt_tokens":{written},"completion_tokens":{written}}}"#);
            let usage: Usage = serde_json::from_str(&body).unwrap();
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), (read, read), "{body}");
        }
        assert_eq!(serde_json::from_str::<Usage>("{}").unwrap(), Usage::default());
        assert!(serde_json::from_str::<Usage>(r#"{"prompt_tokens":"7"}"#).is_err());
    }
}
