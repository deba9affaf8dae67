//! Server-sent events, flushed one by one.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;

/// A comment goes out after this long a silence, so that a connection whose client is gone is noticed.
const PING: Duration = Duration::from_secs(15);

/// One event.
pub(super) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// One event without a name.
pub(super) fn data(data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("data: {data}\n\n").into()
}

/// A response of these events.
pub(super) fn response(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    let body = Body::from_stream(alive(events).map(Ok::<_, Infallible>));
    (headers, body).into_response()
}

/// Puts comments into silences.
fn alive(events: impl Stream<Item = Bytes> + Send + 'static) -> impl Stream<Item = Bytes> {
    stream::unfold(Box::pin(events), async |mut events| {
        match tokio::time::timeout(PING, events.next()).await {
            Ok(next) => next.map(|event| (event, events)),
            Err(_) => Some((Bytes::from_static(b":\n\n"), events)),
        }
    })
}
