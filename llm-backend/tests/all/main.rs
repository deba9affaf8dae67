//! The clients of model servers, against servers on sockets that say what each test wants.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]

mod confidential;
mod ollama;
mod openai;
mod reuse;
mod tls;
