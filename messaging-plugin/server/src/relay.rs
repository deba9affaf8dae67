//! Forwards a request to the gateway, and its reply back.
//!
//! One connection per request, so that closing it cancels the request: when the client leaves, hyper drops the reply's
//! body and with it the gateway's connection; when the gateway is gone, the body fails and hyper closes the client's
//! connection without the end marker, so that a cut reply does not look complete.
//!
//! A request's body is streamed, not buffered. The listener sets a deadline (`chassis::body::with_deadline`), so that a
//! slow sender cannot occupy its connection, and the gateway's, for longer.

use std::{error::Error as StdError, io, path::Path, sync::Arc, time::Duration};

use ai_gateway_api::{endpoints, kind, sealed::path};
use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::Response,
};
use chassis::{
    body::BodyError,
    client,
    endpoint::{self, Served, serve},
    problem::ErrorResponse,
    unix::Connector,
};
use http_body_util::Limited;
use hyper::body::Body as _;
use mesh_identity::Header;
use telmeet_api::{plugin, settings::Settings};
use tokio::{io::AsyncWriteExt as _, net::UnixStream, time::timeout};

/// How long the gateway's socket may take to accept.
const CONNECT: Duration = Duration::from_secs(5);

/// The gateway that requests are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// The gateway's plugin socket.
    pub gateway: Connector,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
}

/// The endpoints.
pub(crate) fn endpoints() -> [Served<Arc<Relay>>; 6] {
    [
        serve(&endpoints::CHAT, chat),
        serve(&endpoints::CHAT_ALIAS, chat),
        serve(&endpoints::KEYS, keys),
        serve(&endpoints::KEYS_ALIAS, keys),
        serve(&endpoints::HEALTHZ, async || "ok"),
        serve(&endpoints::READYZ, ready),
    ]
}

/// Routes of the relay.
pub fn router(relay: Arc<Relay>) -> Router {
    endpoint::router(endpoints())
        .fallback(async || {
            ErrorResponse::new(StatusCode::NOT_FOUND, kind::NOT_FOUND, "there is nothing here")
                .detail("Sealed chat is at POST /maru/v1/chat, its keys at GET /maru/v1/keys.")
        })
        .layer(map_response(async |response| last(response)))
        .with_state(relay)
}

/// Marks a response as the last of its connection.
pub(crate) fn last(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Forwards a sealed request and streams the sealed reply back.
async fn chat(
    State(relay): State<Arc<Relay>>,
    Extension(caller): Extension<Header>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    relay.pass(&caller, path::CHAT, request).await
}

/// Forwards the signed key document.
async fn keys(
    State(relay): State<Arc<Relay>>,
    Extension(caller): Extension<Header>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    relay.pass(&caller, path::KEYS, request).await
}

/// Whether the gateway's socket accepts.
async fn ready(State(relay): State<Arc<Relay>>) -> Result<&'static str, ErrorResponse> {
    relay.connect().await.map(|_| "ok")
}

impl Relay {
    /// The relay that the settings describe; paths are below the root.
    #[must_use]
    pub fn new(settings: &Settings, root: &Path) -> Self {
        let gateway = Connector::new(root, &settings.plugin_socket).listener(settings.gateway_uid);
        Self { gateway, max_body_bytes: settings.max_body_bytes }
    }

    async fn pass(
        &self,
        caller: &Header,
        path: &str,
        request: Request,
    ) -> Result<Response, ErrorResponse> {
        if request.body().size_hint().lower() > self.max_body_bytes as u64 {
            return Err(too_large());
        }
        let (parts, body) = request.into_parts();
        let mut onward = hyper::Request::builder().method(parts.method).uri(path);
        if let Some(headers) = onward.headers_mut() {
            headers.insert(header::HOST, HeaderValue::from_static(plugin::HOST));
            copy(&parts.headers, headers, &plugin::REQUEST_HEADERS);
        }
        let body = Limited::new(body, self.max_body_bytes);
        let onward = onward.body(body).map_err(|error| broken(&error))?;

        let preface = caller.encode().map_err(|error| broken(&error))?;
        let mut io = self.connect().await?;
        io.write_all(&preface).await.map_err(|error| broken(&error))?;
        // It ends with this future or with the reply's body, when the client disconnects.
        let reply = client::send(io, onward).await.map_err(|error| failed(&error))?;

        let (parts, body) = reply.into_parts();
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = parts.status;
        copy(&parts.headers, response.headers_mut(), &plugin::RESPONSE_HEADERS);
        Ok(response)
    }

    async fn connect(&self) -> Result<UnixStream, ErrorResponse> {
        match timeout(CONNECT, self.gateway.connect()).await {
            Ok(Ok(io)) => Ok(io),
            Ok(Err(error)) => Err(absent(&error)),
            Err(_) => Err(absent(&io::Error::from(io::ErrorKind::TimedOut))),
        }
    }
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, names: &[&'static str]) {
    for name in names {
        for value in from.get_all(*name) {
            to.append(*name, value.clone());
        }
    }
}

fn absent(error: &(dyn StdError + 'static)) -> ErrorResponse {
    tracing::warn!(error, "the gateway cannot be reached");
    ErrorResponse::new(
        StatusCode::BAD_GATEWAY,
        kind::UNREACHABLE,
        "the AI gateway cannot be reached",
    )
    .detail(
        "Ask again in a moment; if it fails again, the admin can see why with `maru doctor` at home.",
    )
    .retry_after(2)
}

fn broken(error: &(dyn StdError + 'static)) -> ErrorResponse {
    tracing::warn!(error, "the gateway gave no answer");
    ErrorResponse::new(StatusCode::BAD_GATEWAY, kind::UNREACHABLE, "the AI gateway gave no answer")
        .detail("Ask again; if it fails again, the admin can see why with `maru doctor`.")
        .retry_after(2)
}

/// Distinguishes a body that was too long or late from a failure of the gateway.
fn failed(error: &hyper::Error) -> ErrorResponse {
    match BodyError::of(error) {
        BodyError::Timeout => late(),
        BodyError::TooLarge => too_large(),
        BodyError::Incomplete | BodyError::NoMemory => broken(error),
    }
}

fn too_large() -> ErrorResponse {
    ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, kind::TOO_LARGE, "the request is too large")
        .detail("Start a new conversation, or send less text.")
}

fn late() -> ErrorResponse {
    ErrorResponse::new(BodyError::Timeout.status(), kind::BODY, BodyError::Timeout.to_string())
        .detail("Send the whole request at once, then ask again.")
}
