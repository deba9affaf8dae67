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

/// A comment is sent after this time without an event, so that a closed connection is noticed.
pub(super) const PING: Duration = Duration::from_secs(15);
/// A comment, which clients ignore (HTML, section 9.2.6: a line that begins with a colon).
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

/// Appends a comment with a header's name and value, for headers that are known too late to be sent.
pub(super) fn push_comment(events: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    // A header's value contains no line break.
    let parts = [&b": "[..], name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n\n"];
    parts.iter().for_each(|part| events.extend_from_slice(part));
}

/// A response with these events.
pub(super) fn response(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    let body = Body::from_stream(with_pings(events).map(Ok::<_, Infallible>));
    (headers, body).into_response()
}

/// Adds a comment after each [`PING`] without an event.
fn with_pings(events: impl Stream<Item = Bytes> + Send + 'static) -> impl Stream<Item = Bytes> {
    let timer = Box::pin(sleep(PING));
    let state = (Box::pin(events), timer, Instant::now());
    stream::unfold(state, async |(mut events, mut timer, mut last_sent)| {
        loop {
            tokio::select! {
                biased;
                event = events.next() => {
                    return event.map(|event| (event, (events, timer, Instant::now())));
                }
                () = timer.as_mut() => {}
            }
            // The timer is reset only when it expires: that is cheaper than with each event.
            let due = last_sent + PING;
            let is_due = due <= Instant::now();
            if is_due {
                last_sent = Instant::now();
            }
            timer.as_mut().reset(if is_due { last_sent + PING } else { due });
            if is_due {
                return Some((Bytes::from_static(COMMENT), (events, timer, last_sent)));
            }
        }
    })
}
