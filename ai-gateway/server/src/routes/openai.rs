//! OpenAI's API, for apps that know no other: `docs/protocols/openai.md`.
//!
//! The mesh encrypts it; it is not sealed. Nothing of it is kept.

mod chat;
mod completions;
mod embeddings;
mod models;
mod reply;

use std::sync::Arc;

use chassis::endpoint::{Endpoint, get, post};

use crate::App;

/// Endpoints of this surface.
pub(super) fn endpoints() -> [Endpoint<Arc<App>>; 5] {
    [
        post("/v1/chat/completions", chat::completions),
        post("/v1/completions", completions::completions),
        post("/v1/embeddings", embeddings::embeddings),
        get("/v1/models", models::list),
        get("/v1/models/{*model}", models::one),
    ]
}
