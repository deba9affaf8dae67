//! Backends that answer chats: OpenAI-compatible servers, Ollama and the confidential chain, over a UNIX socket, TCP or
//! TLS.
//!
//! A [`Backend`] turns a [`ChatRequest`](chat_vocabulary::ChatRequest) into a stream of
//! [`Delta`](chat_vocabulary::Delta)s. [`OpenAiCompatible`] is the client of `maru-llm`, llama-server, vLLM and all
//! other servers with `/v1/chat/completions`, [`Ollama`] of Ollama, and [`confidential`] of machines outside the home
//! whose evidence was verified. A connection carries one request at a time, so dropping a stream closes it, and a
//! server that watches its clients stops generating.
//!
//! Errors and logs of this crate contain no text of people, except that an error may contain the short message of a
//! backend that refused a request.

mod address;
mod backend;
mod body;
pub mod confidential;
mod error;
mod link;
mod ollama;
mod openai;
mod refusal;
mod settings;
mod text;

pub use chat_vocabulary::EmbedRequest;

pub use backend::{Backend, DeltaStream, Embeddings, Health};
pub use error::{Code, Detail, Error};
pub use ollama::{
    Ollama, decode_ollama, decode_ollama_embeddings, decode_ollama_show, decode_ollama_tags,
    refuse_cloud,
};
pub use openai::{
    OpenAiCompatible, Slot, decode, decode_embeddings, decode_models, decode_props, decode_slots,
};
pub use refusal::decode_error;
pub use settings::{ApiKey, Settings, SocketTrust, Timeouts, Tls};
