//! OpenAI's API, for apps that support no other: `docs/protocols/openai.md`.
//!
//! The mesh encrypts the requests; they are not sealed. The gateway stores nothing of them.

mod chat;
mod embeddings;
mod models;
mod reply;

use std::sync::Arc;

use ai_gateway_api::endpoints;
use chassis::endpoint::{Served, serve};

use crate::App;

/// Endpoints of this surface.
pub(super) fn endpoints() -> [Served<Arc<App>>; 5] {
    [
        serve(&endpoints::CHAT_COMPLETIONS, chat::completions),
        serve(&endpoints::COMPLETIONS, chat::text_completions),
        serve(&endpoints::EMBEDDINGS, embeddings::embeddings),
        serve(&endpoints::LIST_MODELS, models::list),
        serve(&endpoints::SHOW_MODEL, models::one),
    ]
}
