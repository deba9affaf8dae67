//! Ollama's API, for its clients: `docs/protocols/ollama.md`.
//!
//! The mesh encrypts it; it is not sealed. Nothing of it is kept.

mod chat;
mod embed;
mod manage;
mod models;
mod reply;

use std::sync::Arc;

use ai_gateway_api::endpoints;
use axum::Json;
use chassis::endpoint::{Served, serve};
use serde_json::{Value, json};

use crate::App;

/// What the gateway says that it is: the Ollama whose API this is. Clients ask for a lowest version.
const VERSION: &str = "0.17.4";

/// Endpoints of this surface.
pub(super) fn endpoints() -> Vec<Served<Arc<App>>> {
    vec![
        serve(&endpoints::OLLAMA_RUNS, async || "Ollama is running"),
        serve(&endpoints::OLLAMA_VERSION, version),
        serve(&endpoints::OLLAMA_TAGS, models::tags),
        serve(&endpoints::OLLAMA_PS, models::ps),
        serve(&endpoints::OLLAMA_SHOW, models::show),
        serve(&endpoints::OLLAMA_CHAT, chat::chat),
        serve(&endpoints::OLLAMA_GENERATE, chat::generate),
        serve(&endpoints::OLLAMA_EMBED, embed::embed),
        serve(&endpoints::OLLAMA_EMBEDDINGS, embed::embeddings),
        serve(&endpoints::OLLAMA_PULL, manage::refuse),
        serve(&endpoints::OLLAMA_PUSH, manage::refuse),
        serve(&endpoints::OLLAMA_CREATE, manage::refuse),
        serve(&endpoints::OLLAMA_COPY, manage::refuse),
        serve(&endpoints::OLLAMA_DELETE, manage::refuse),
        serve(&endpoints::OLLAMA_BLOB, manage::refuse),
    ]
}

async fn version() -> Json<Value> {
    Json(json!({ "version": VERSION }))
}
