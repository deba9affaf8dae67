//! The embedded engine: llama.cpp behind llama-server's HTTP shapes.
//!
//! One thread owns the model and decodes all slots together; HTTP runs beside it on a UNIX socket. A client that
//! leaves stops its generation at the next token, and nothing that people write is logged, kept or written to disk:
//! when a slot ends, what the model remembered of the conversation is cleared.
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

mod daemon;
mod engine;
mod error;
mod http;
mod options;
mod text;

pub use daemon::run;
pub use error::Error;
pub use options::Options;
pub use text::Text;
