//! What a running `maru up` is asked, over a socket for root alone: to use another model.

use std::{
    future::pending,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::endpoint::declare;
use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use chassis::{
    accept::Connections,
    body,
    endpoint::{self, Declaration, Served, serve},
    http::Http,
    problem::ErrorResponse,
    unix::{Access, Socket},
};
use messages::{Language, Message, message};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use utoipa::ToSchema;

/// The socket, below the root.
pub(crate) const SOCKET: &str = "run/maru/up/control.sock";
/// The only user that may connect.
const SUPERUSER: u32 = 0;
/// Connections at once: each command makes one to see whether somebody listens, and one to ask.
const ASKERS: usize = 32;
/// Longest body of a request, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// How long the head of a request may take, and its body.
const HEAD: Duration = Duration::from_secs(10);

declare! {
    /// Every endpoint of the socket.
    ENDPOINTS for Root;

    /// Lets all engines use another model, one after the other; answers when all do.
    USE_MODEL: POST "/v1/model" (UseModel) => UseModel;
}

/// RequestSender for another model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UseModel {
    /// The model's file, a whole path.
    #[schema(value_type = String)]
    pub path: PathBuf,
}

/// A request to change the model, and where its result goes.
#[derive(Debug)]
pub(super) struct ModelRequest {
    /// The model's file.
    pub(super) path: PathBuf,
    /// The result; an error is a text.
    pub(super) answer: oneshot::Sender<Result<(), String>>,
}

/// Receives requests until it is dropped.
#[derive(Debug)]
pub(super) struct Control {
    asks: mpsc::Receiver<ModelRequest>,
    /// Ended when dropped.
    _serving: JoinSet<()>,
}

type RequestSender = Arc<mpsc::Sender<ModelRequest>>;

/// What is served.
#[must_use]
pub fn endpoints() -> Vec<Declaration> {
    endpoint::list(&all())
}

fn all() -> [Served<RequestSender>; 1] {
    [serve(&USE_MODEL, use_model)]
}

impl Control {
    /// Begins to listen in the instance at `root`.
    pub(super) fn serve(root: &Path) -> anyhow::Result<Self> {
        Self::serve_to(root, SUPERUSER)
    }

    fn serve_to(root: &Path, only: u32) -> anyhow::Result<Self> {
        let socket = Socket::bind(&root.join(SOCKET), Access::Group)?;
        // One request may wait while another is carried out.
        let (sender, asks) = mpsc::channel(1);
        let nothing = |status, title| async move { ErrorResponse::new(status, "not-found", title) };
        let router = endpoint::router(all())
            .fallback(move || nothing(StatusCode::NOT_FOUND, "there is nothing here"))
            .method_not_allowed_fallback(move || {
                nothing(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
            })
            .with_state(Arc::new(sender));
        let connect = move |stream, uid, stopping| {
            (uid == only).then(|| Http::new(HEAD).route(stream, router.clone(), (), stopping))
        };
        let mut serving = JoinSet::new();
        serving.spawn(Connections::new("questions to `maru up`", ASKERS).serve(
            socket,
            pending(),
            connect,
        ));
        Ok(Self { asks, _serving: serving })
    }

    /// The next request; waits for ever if there is none.
    pub(super) async fn next(&mut self) -> ModelRequest {
        match self.asks.recv().await {
            Some(ask) => ask,
            None => pending().await,
        }
    }
}

/// Answers once all engines use the model, or with the error. The change continues if the client disconnects.
async fn use_model(
    State(asks): State<RequestSender>,
    request: Request,
) -> Result<Json<UseModel>, ErrorResponse> {
    let UseModel { path } = body::json(request, BODY_MAX, HEAD).await.map_err(|error| {
        ErrorResponse::new(error.status(), "request", "unusable request").detail(error.to_string())
    })?;
    let (answer, answered) = oneshot::channel();
    asks.try_send(ModelRequest { path: path.clone(), answer })
        .map_err(|_| refused(StatusCode::CONFLICT, "busy", message!("problem-engines-busy")))?;
    match answered.await {
        Ok(Ok(())) => Ok(Json(UseModel { path })),
        // In the language of `maru up`.
        Ok(Err(reason)) => {
            Err(refused(StatusCode::CONFLICT, "model", message!("problem-model-kept", reason)))
        }
        Err(_) => {
            let stops = message!("problem-engines-stop");
            Err(refused(StatusCode::SERVICE_UNAVAILABLE, "busy", stops))
        }
    }
}

fn refused(status: StatusCode, kind: &'static str, message: Message) -> ErrorResponse {
    ErrorResponse::new(status, kind, message.text(Language::English)).message(message)
}

#[cfg(test)]
mod tests;
