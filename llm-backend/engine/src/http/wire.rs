//! Answers of `/v1/chat/completions`.

use chat_vocabulary::{FinishReason, Usage};
use serde_json::{Value, json};

use crate::{engine::Ending, thinking::Parts};

/// Fields that all answers to one request repeat.
#[derive(Clone)]
pub(super) struct Envelope {
    /// Unique among the answers of this process.
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: u64,
    /// The model that answers, whatever model was requested.
    pub(super) model: String,
}

impl Envelope {
    /// One step of a stream.
    pub(super) fn chunk(&self, delta: &Value, reason: Option<FinishReason>) -> Value {
        let reason = reason.map(FinishReason::as_str);
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        self.wrap("chat.completion.chunk", json!([choice]))
    }

    /// The last step, with the usage.
    pub(super) fn usage(&self, ending: &Ending) -> Value {
        let mut chunk = self.wrap("chat.completion.chunk", json!([]));
        count(&mut chunk, ending);
        chunk
    }

    /// The whole reply at once.
    pub(super) fn whole(&self, parts: &Parts, ending: &Ending) -> Value {
        let mut message = json!({ "role": "assistant", "content": parts.content });
        if !parts.thinking.is_empty() {
            message["reasoning_content"] = parts.thinking.as_str().into();
        }
        let choice =
            json!({ "index": 0, "message": message, "finish_reason": ending.reason.as_str() });
        let mut whole = self.wrap("chat.completion", json!([choice]));
        count(&mut whole, ending);
        whole
    }

    fn wrap(&self, object: &str, choices: Value) -> Value {
        json!({ "id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices })
    }
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
