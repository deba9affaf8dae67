//! The opening handshake of a WebSocket (RFC 6455, section 4.2). Frames are the endpoint's own.

use std::{any::Any, sync::Arc};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};

use crate::problem::ErrorResponse;

/// What the key is hashed with (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a listener counts for a connection, in the extensions of a request: an upgraded connection keeps it.
#[derive(Clone)]
pub struct ConnectionGuard(pub Arc<dyn Any + Send + Sync>);

/// Accepts a WebSocket and serves its stream on a task of its own; refuses any other request.
///
/// From then on the listener neither ends the connection nor waits for it: `serve` does.
pub fn accept<F, S>(mut request: Request, serve: F) -> Response
where
    F: FnOnce(TokioIo<Upgraded>) -> S + Send + 'static,
    S: Future<Output = ()> + Send,
{
    let Some(key) = key(request.headers()) else {
        let title = "this endpoint needs a WebSocket handshake (RFC 6455, version 13)";
        let error = ErrorResponse::new(StatusCode::UPGRADE_REQUIRED, "websocket", title);
        return ([(header::UPGRADE, "websocket")], error).into_response();
    };
    let accepted = STANDARD.encode(Sha1::digest([key, GUID].concat()));
    let guard = request.extensions_mut().remove::<ConnectionGuard>();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _guard = guard;
        match upgrade.await {
            Ok(stream) => serve(TokioIo::new(stream)).await,
            Err(error) => tracing::debug!(%error, "a WebSocket handshake failed"),
        }
    });
    let headers = [
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, accepted.as_str()),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// The client's key, if the request opens a WebSocket.
fn key(headers: &HeaderMap) -> Option<&str> {
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case(token))
    };
    let opens = has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok().filter(|_| opens)
}
