//! The embedded engine: llama.cpp behind llama-server's HTTP shapes.
//!
//! One thread owns the model and decodes all slots together; HTTP runs beside it on a UNIX socket. A client that
//! leaves stops its generation at the next token, and nothing that people write is logged, kept or written to disk:
//! when a slot ends, what the model remembered of the conversation is cleared.
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

#[cfg(feature = "llama")]
mod crash;
#[cfg(feature = "llama")]
mod daemon;
#[cfg(feature = "llama")]
mod engine;
#[cfg(feature = "llama")]
mod error;
#[cfg(feature = "llama")]
mod http;
#[cfg(feature = "llama")]
mod options;
pub mod request;
mod text;

#[cfg(feature = "llama")]
pub use daemon::run;
#[cfg(feature = "llama")]
pub use error::Error;
#[cfg(feature = "llama")]
pub use options::Options;
pub use text::TextDecoder;
