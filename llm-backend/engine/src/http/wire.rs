//! Answers of `/v1/chat/completions` and `/v1/completions`.

use chat_vocabulary::{FinishReason, Usage};
use serde_json::{Value, json};

use crate::{engine::Ending, thinking::Parts};

/// A text, or a piece of one.
const TEXT: &str = "text_completion";

/// Fields that all answers to one request repeat.
#[derive(Clone)]
pub(super) struct Envelope {
    /// Unique among the answers of this process.
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: u64,
    /// The model that answers, whatever model was requested.
    pub(super) model: String,
    /// What is answered.
    pub(super) kind: Kind,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A conversation.
    Chat,
    /// A prompt.
    Completion,
}

impl Envelope {
    /// One step of a stream.
    pub(super) fn chunk(&self, delta: &Value, reason: Option<FinishReason>) -> Value {
        let reason = reason.map(FinishReason::as_str);
        let choice = match self.kind {
            Kind::Chat => json!({ "index": 0, "delta": delta, "finish_reason": reason }),
            Kind::Completion => text_choice(delta["content"].as_str().unwrap_or_default(), reason),
        };
        self.wrap(self.kind.chunk(), json!([choice]))
    }

    /// The last step, with the usage.
    pub(super) fn usage(&self, ending: &Ending) -> Value {
        let mut chunk = self.wrap(self.kind.chunk(), json!([]));
        count(&mut chunk, ending);
        chunk
    }

    /// The whole reply at once.
    pub(super) fn whole(&self, parts: &Parts, ending: &Ending) -> Value {
        let mut message = json!({ "role": "assistant", "content": parts.content });
        if !parts.thinking.is_empty() {
            message["reasoning_content"] = parts.thinking.as_str().into();
        }
        let reason = ending.reason.as_str();
        let (object, choice) = match self.kind {
            Kind::Chat => (
                "chat.completion",
                json!({ "index": 0, "message": message, "finish_reason": reason }),
            ),
            Kind::Completion => (TEXT, text_choice(&parts.content, Some(reason))),
        };
        let mut whole = self.wrap(object, json!([choice]));
        count(&mut whole, ending);
        whole
    }

    fn wrap(&self, object: &str, choices: Value) -> Value {
        json!({ "id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices })
    }
}

impl Kind {
    /// What ids begin with.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl",
            Self::Completion => "cmpl",
        }
    }

    fn chunk(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion.chunk",
            Self::Completion => TEXT,
        }
    }
}

fn text_choice(text: &str, reason: Option<&str>) -> Value {
    json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": reason })
}

/// Adds tokens and times.
fn count(answer: &mut Value, ending: &Ending) {
    let Usage { prompt_tokens, completion_tokens } = ending.usage;
    answer["usage"] = json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": ending.usage.total_tokens(),
        "prompt_tokens_details": { "cached_tokens": ending.cached },
    });
    answer["timings"] = json!({
        "cache_n": ending.cached,
        "prompt_n": prompt_tokens - ending.cached,
        "prompt_ms": ending.reading.as_secs_f64() * 1e3,
        "predicted_n": completion_tokens,
        "predicted_ms": ending.generating.as_secs_f64() * 1e3,
    });
}
