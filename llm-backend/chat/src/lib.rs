//! Chat completions: the types of requests and replies that the gateway, backends and the embedded engine share.
//!
//! Types only: nothing here does I/O or reads a clock. Field names and formats are those of OpenAI's
//! `POST /v1/chat/completions`, which llama-server and vLLM also have, so such a request decodes to a [`ChatRequest`].
//! No field that would change the answer is ignored: an unknown field is refused by name ([`DecodeError::Unknown`]),
//! unless it is null or on a short list of fields that change nothing (`user`, `metadata` …). `Debug` does not print
//! text of people. [`ollama`] translates Ollama's requests into the same types.
#![forbid(unsafe_code)]

mod completion;
mod completion_request;
mod decode;
mod delta;
mod embedding;
mod format;
mod image;
mod json;
mod left_out;
mod message;
mod model;
pub mod ollama;
mod options;
mod request;
pub mod sse;
mod tools;

pub use completion::Completion;
pub use completion_request::decode_completion;
pub use decode::DecodeError;
pub use delta::{Delta, Evidence, FinishReason, ToolCallDelta, Usage, count, count_or_zero};
pub use embedding::{EmbedRequest, EmbeddingRequest, base64};
pub use format::ResponseFormat;
pub use image::{Detail, Image, ImageError};
pub use json::{Json, JsonError};
pub use message::{Content, Message, Part, Role};
pub use model::{Capability, ModelInfo};
pub use options::{Effort, Options};
pub use request::{ChatRequest, StreamOptions, decode};
pub use tools::{Tool, ToolCall, ToolChoice};

#[cfg(test)]
mod tests;
