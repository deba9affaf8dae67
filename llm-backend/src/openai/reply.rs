//! A streamed reply: bytes → events → deltas.

use std::{collections::VecDeque, sync::Arc};

use chat_vocabulary::{
    Delta,
    sse::{Decoder, Malformed},
};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};

use super::wire::{Chunk, ReplyState};
use crate::{
    Error,
    body::{self, Pieces, StreamError},
    error::REPORTED,
    refusal::{Refusal, message, shorten, unsupported},
    text::json,
};

/// Largest line, and largest event, in bytes. A token takes a few; the longest real chunk contains timings.
const EVENT_MAX: usize = 256 * 1024;
/// The event that ends a reply.
const DONE: &str = "[DONE]";

/// Turns a body into deltas. Ends after `[DONE]`, or after an error.
pub(crate) fn deltas(
    bytes: Pieces,
    backend: String,
) -> impl Stream<Item = Result<Delta, Error>> + Send + 'static {
    let reply = Reply {
        backend,
        state: ReplyState::default(),
        began: false,
        finished: false,
        over: false,
        ready: VecDeque::new(),
    };
    let state = (bytes.fuse(), Decoder::new(EVENT_MAX), reply);
    stream::unfold(state, |(mut bytes, mut events, mut reply)| async move {
        loop {
            if let Some(item) = reply.ready.pop_front() {
                return Some((item, (bytes, events, reply)));
            }
            if reply.over {
                if reply.finished {
                    // The body's end should follow at once; then the connection can be reused.
                    let _ = bytes.next().now_or_never();
                }
                return None;
            }
            match bytes.next().await {
                Some(Ok(bytes)) => {
                    let ended = events.push(&bytes, |_, data| reply.handle_event(data));
                    if let Err(malformed) = ended {
                        reply.handle_malformed(malformed);
                    }
                }
                Some(Err(broken)) => reply.handle_broken(broken),
                None => reply.handle_end(),
            }
        }
    })
}

/// Decodes a whole event stream from pieces as a network may deliver them; for tests and fuzzing.
///
/// # Errors
///
/// [`Error::Cut`] if the bytes are not one whole reply.
pub fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Delta>, Error> {
    body::in_memory(pieces, deltas)
}

/// The state of a reply.
struct Reply {
    backend: String,
    state: ReplyState,
    /// Whether text has arrived.
    began: bool,
    /// Whether a finish reason has arrived.
    finished: bool,
    /// Whether the reply has ended.
    over: bool,
    ready: VecDeque<Result<Delta, Error>>,
}

impl Reply {
    fn handle_event(&mut self, data: &str) {
        if self.over {
            return;
        }
        if data.trim() == DONE {
            return if self.finished {
                self.over = true
            } else {
                self.cut("it ended without a finish reason")
            };
        }
        let Ok(chunk) = json::<Chunk>(data) else {
            return self.cut("an event is not a chat completion chunk");
        };
        if let Some(error) = &chunk.error {
            let message = message(error);
            // Other servers send such a refusal with its own status.
            if !self.began {
                let mut refusal = Refusal::in_error(error);
                let unsupported = unsupported(&message);
                if unsupported.is_some() || refusal.is_refusal() {
                    refusal.message = unsupported.or(refusal.message);
                    return self.end(refusal.refused(self.backend.clone(), 400));
                }
            }
            return self.cut(&format!("{REPORTED}{}", shorten(&message)));
        }
        let delta = match chunk.choice {
            Some(choice) => choice.into_delta(&mut self.state),
            None => Some(Delta::default()),
        };
        let Some(mut delta) = delta else {
            return self.cut("it has too many tool calls");
        };
        delta.usage = chunk.usage;
        self.began |= delta.says();
        self.finished |= delta.finish_reason.is_some();
        if delta != Delta::default() {
            self.ready.push_back(Ok(delta));
        }
    }

    fn handle_broken(&mut self, broken: StreamError) {
        self.end(broken.into_error(&self.backend, self.began));
    }

    fn handle_malformed(&mut self, malformed: Malformed) {
        if !self.over {
            let reason = "it is not a valid event stream";
            self.end(Error::cut(&self.backend, self.began, reason, Some(Arc::new(malformed))));
        }
    }

    /// The body has ended without `[DONE]`.
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
