//! Ollama's API, for its clients: `docs/protocols/ollama.md`.
//!
//! The mesh encrypts it; it is not sealed. Nothing of it is kept.

mod chat;
mod embed;
mod manage;
mod models;
mod reply;

use std::sync::Arc;

use axum::Json;
use chassis::endpoint::{Endpoint, any, get, post};
use serde_json::{Value, json};

use crate::App;

/// What the gateway says that it is: the Ollama whose API this is. Clients ask for a lowest version.
const VERSION: &str = "0.17.4";

/// Endpoints of this surface.
pub(super) fn endpoints() -> Vec<Endpoint<Arc<App>>> {
    let mut endpoints = vec![
        get("/", async || "Ollama is running"),
        get("/api/version", version),
        get("/api/tags", models::tags),
        get("/api/ps", models::ps),
        post("/api/show", models::show),
        post("/api/chat", chat::chat),
        post("/api/generate", chat::generate),
        post("/api/embed", embed::embed),
        post("/api/embeddings", embed::embeddings),
    ];
    endpoints.extend(manage::PATHS.map(|path| any(path, manage::refuse)));
    endpoints
}

async fn version() -> Json<Value> {
    Json(json!({ "version": VERSION }))
}
