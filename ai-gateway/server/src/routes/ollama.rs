//! Ollama's API, for its clients: `docs/protocols/ollama.md`.
//!
//! The mesh encrypts the requests; they are not sealed. The gateway stores nothing of them.

mod chat;
mod embed;
mod models;
mod reply;

use std::sync::Arc;

use ai_gateway_api::endpoints;
use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{Uri, header},
    response::{IntoResponse as _, Response},
};
use chassis::endpoint::{Served, serve};
use mesh_identity::Header;
use serde_json::{Value, json};

use crate::{App, Error, error::ollama::OllamaError, operator};

/// The version of Ollama whose API this is. Clients require a minimum version.
const VERSION: &str = "0.17.4";

/// Endpoints of this surface.
pub(super) fn endpoints() -> Vec<Served<Arc<App>>> {
    vec![
        serve(&endpoints::OLLAMA_RUNS, root),
        serve(&endpoints::OLLAMA_VERSION, version),
        serve(&endpoints::OLLAMA_TAGS, models::tags),
        serve(&endpoints::OLLAMA_PS, models::ps),
        serve(&endpoints::OLLAMA_SHOW, models::show),
        serve(&endpoints::OLLAMA_CHAT, chat::chat),
        serve(&endpoints::OLLAMA_GENERATE, chat::generate),
        serve(&endpoints::OLLAMA_EMBED, embed::embed),
        serve(&endpoints::OLLAMA_EMBEDDINGS, embed::embeddings),
        serve(&endpoints::OLLAMA_PULL, refuse),
        serve(&endpoints::OLLAMA_PUSH, refuse),
        serve(&endpoints::OLLAMA_CREATE, refuse),
        serve(&endpoints::OLLAMA_COPY, refuse),
        serve(&endpoints::OLLAMA_DELETE, refuse),
        serve(&endpoints::OLLAMA_BLOB, refuse),
    ]
}

/// `/`: a program asks whether Ollama runs, or an operator's client of OpenClaw opens its WebSocket.
async fn root(
    State(app): State<Arc<App>>,
    caller: Option<Extension<Header>>,
    request: Request,
) -> Result<Response, Error> {
    if !request.headers().contains_key(header::UPGRADE) {
        return Ok("Ollama is running".into_response());
    }
    let Some(Extension(caller)) = caller else {
        return Err(Error::Request("the WebSocket is for members of the network, not for apps"));
    };
    Ok(operator::open(app, caller, request))
}

async fn version() -> Json<Value> {
    Json(json!({ "version": VERSION }))
}

/// Refuses a call that changes models, and names the command that does it.
async fn refuse(uri: Uri) -> OllamaError {
    Error::Manage(match uri.path() {
        "/api/delete" => "models are removed at home, with `maru model remove NAME`",
        "/api/push" => "models stay at home; `maru model list` shows them there",
        "/api/copy" => "models have one name; `maru model use NAME` chooses one at home",
        _ => "models are fetched at home, with `maru model pull NAME`",
    })
    .into()
}
