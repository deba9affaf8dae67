//! The embedded engine: llama.cpp with llama-server's HTTP API.
//!
//! One thread owns the model and decodes all slots together; HTTP runs beside it on a UNIX socket. When a client
//! disconnects, its generation stops at the next token. Text of people is neither logged nor written to disk. What a
//! conversation's next turn would read again is remembered for its owner alone, for a time, and then zeroed.
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
pub mod schema;
pub mod template;
mod text;
pub mod thinking;

#[cfg(feature = "llama")]
pub use daemon::{Ended, run};
#[cfg(feature = "llama")]
pub use engine::STACK;
#[cfg(feature = "llama")]
pub use error::Error;
#[cfg(feature = "llama")]
pub use options::Options;
pub use text::TextDecoder;
