//! A streamed reply: bytes → whole lines → events → deltas.

use std::collections::VecDeque;

use ai_gateway_api::chat::Delta;
use eventsource_stream::{EventStream, EventStreamError};
use futures_util::{Stream, StreamExt as _, stream};

use super::{
    lines::{Lines, Malformed},
    wire::{Choice, Chunk},
};
use crate::{
    Error,
    body::{self, Broken, Pieces},
    link::{message, shorten},
};

/// The event that ends a reply.
const DONE: &str = "[DONE]";

/// Why no more events can be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    /// No more bytes come.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The bytes are no event stream.
    #[error("what came is no event stream")]
    Malformed(#[from] Malformed),
}

/// Turns a body into deltas. Ends after `[DONE]`, or after an error.
pub(super) fn deltas(
    bytes: Pieces,
    backend: String,
) -> impl Stream<Item = Result<Delta, Error>> + Send + 'static {
    let mut lines = Lines::default();
    let whole = bytes.flat_map(move |bytes| {
        let (text, ended) = match bytes {
            Ok(bytes) => lines.push(&bytes),
            Err(broken) => return stream::iter(vec![Err(Unreadable::from(broken))]),
        };
        let error = ended.err().map(|malformed| Err(Unreadable::from(malformed)));
        stream::iter([Ok(text)].into_iter().chain(error).collect::<Vec<_>>())
    });
    let reply =
        Reply { backend, began: false, finished: false, over: false, ready: VecDeque::new() };
    stream::unfold((EventStream::new(whole), reply), |(mut events, mut reply)| async move {
        loop {
            if let Some(item) = reply.poll() {
                return Some((item, (events, reply)));
            }
            if reply.over {
                return None;
            }
            match events.next().await {
                Some(Ok(event)) => reply.handle_event(&event.data),
                Some(Err(error)) => reply.handle_error(error),
                None => reply.handle_end(),
            }
        }
    })
}

/// Decodes a whole event stream from pieces, as a network may deliver them; for tests and fuzzing.
///
/// # Errors
///
/// [`Error::Cut`] if the bytes are not one whole reply.
pub fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Delta>, Error> {
    body::in_memory(pieces, deltas)
}

/// What is known of a reply so far.
struct Reply {
    backend: String,
    /// Whether text has come.
    began: bool,
    /// Whether a finish reason has come.
    finished: bool,
    /// Whether nothing more may come.
    over: bool,
    ready: VecDeque<Result<Delta, Error>>,
}

impl Reply {
    fn poll(&mut self) -> Option<Result<Delta, Error>> {
        self.ready.pop_front()
    }

    fn handle_event(&mut self, data: &str) {
        if data.trim() == DONE {
            return if self.finished {
                self.over = true
            } else {
                self.cut("it ended without a finish reason")
            };
        }
        let Ok(chunk) = serde_json::from_str::<Chunk>(data) else {
            return self.cut("an event is not a chat completion chunk");
        };
        if let Some(error) = &chunk.error {
            let reason = format!("the backend reported an error: {}", shorten(&message(error)));
            return self.cut(&reason);
        }
        let choice = chunk.choices.into_iter().find(|choice| choice.index == 0);
        let Some(mut delta) = choice.map_or(Some(Delta::default()), Choice::into_delta) else {
            return self.cut("it holds more tool calls than are taken");
        };
        delta.usage = chunk.usage;
        self.began |= delta.says();
        self.finished |= delta.finish_reason.is_some();
        if delta != Delta::default() {
            self.ready.push_back(Ok(delta));
        }
    }

    fn handle_error(&mut self, error: EventStreamError<Unreadable>) {
        match error {
            EventStreamError::Transport(Unreadable::Broken(broken)) => {
                self.end(broken.into_error(&self.backend, self.began));
            }
            EventStreamError::Transport(Unreadable::Malformed(malformed)) => {
                let reason = "what came is no event stream";
                self.end(Error::cut(&self.backend, self.began, reason, Some(malformed.into())));
            }
            // Neither can happen on whole lines of UTF-8; the texts of these errors would show what was received.
            EventStreamError::Utf8(_) | EventStreamError::Parser(_) => {
                self.cut("what came is no event stream")
            }
        }
    }

    /// The body is over, but `[DONE]` never came.
    fn handle_end(&mut self) {
        self.cut("the connection closed before the end");
    }

    fn cut(&mut self, reason: &str) {
        self.end(Error::cut(&self.backend, self.began, reason, None));
    }

    fn end(&mut self, error: Error) {
        self.over = true;
        self.ready.push_back(Err(error));
    }
}

#[cfg(test)]
mod tests;
