//! Endpoints for root, such as counters, on a UNIX socket.

use std::time::Duration;

use axum::{
    Router,
    http::header,
    response::{IntoResponse as _, Response},
};

use crate::{accept::Connections, http::Http, unix::Socket};

/// The uid that may connect.
const SUPERUSER: u32 = 0;
/// Connections at a time.
const READERS: usize = 16;
/// Timeout of a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// Timeout of a request and its response.
const WHOLE: Duration = Duration::from_secs(30);
/// The content type of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A response with counters; `text` is in OpenMetrics' format.
#[must_use]
pub fn counters(text: String) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

/// Serves root until `stop` completes.
pub async fn serve(socket: Socket, router: Router, stop: impl Future<Output = ()>) {
    let connect = |stream, uid, stopping| {
        if uid != SUPERUSER {
            tracing::warn!(uid, "only root may use this socket: connection refused");
            return None;
        }
        Some(Http::new(HEAD).one_request(WHOLE).route(stream, router.clone(), (), stopping))
    };
    Connections::new("connections of the superuser", READERS).serve(socket, stop, connect).await;
}
