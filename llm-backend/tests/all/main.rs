//! The clients of model servers, against scripted servers on sockets.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]

mod confidential;
mod ollama;
mod openai;
mod reuse;
mod tls;
