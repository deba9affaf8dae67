//! Server-sent events, flushed one by one.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use tokio::time::{Instant, sleep};

/// A comment goes out after this long a silence, so that a connection whose client is gone is noticed.
pub(super) const PING: Duration = Duration::from_secs(15);
/// An event that says nothing (HTML, section 9.2.6: a line that begins with a colon).
pub(super) const COMMENT: &[u8] = b":\n\n";

/// One event.
pub(super) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// Appends an event without a name.
pub(super) fn push(events: &mut Vec<u8>, data: &impl Serialize) {
    events.extend_from_slice(b"data: ");
    let before = events.len();
    if serde_json::to_writer(&mut *events, data).is_err() {
        events.truncate(before);
    }
    events.extend_from_slice(b"\n\n");
}

/// Appends a comment that says what a header would have said.
pub(super) fn push_comment(events: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    // A header's value holds no line's end.
    let parts = [&b": "[..], name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n\n"];
    parts.iter().for_each(|part| events.extend_from_slice(part));
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
    let silence = Box::pin(sleep(PING));
    let state = (Box::pin(events), silence, Instant::now());
    stream::unfold(state, async |(mut events, mut silence, mut spoke)| {
        loop {
            tokio::select! {
                biased;
                event = events.next() => {
                    return event.map(|event| (event, (events, silence, Instant::now())));
                }
                () = silence.as_mut() => {}
            }
            // The timer is set again only when it has run out: that is cheaper than with each event.
            let due = spoke + PING;
            let silent = due <= Instant::now();
            if silent {
                spoke = Instant::now();
            }
            silence.as_mut().reset(if silent { spoke + PING } else { due });
            if silent {
                return Some((Bytes::from_static(COMMENT), (events, silence, spoke)));
            }
        }
    })
}
