//! A reply's bytes as they come, with limits of time: one until the first delta, others after it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use chat_vocabulary::Delta;
use futures_util::{
    FutureExt as _, Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, sleep_until};

use crate::{DeltaStream, Error, Timeouts};

/// Why no more bytes can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// The connection failed.
    #[error("the connection broke")]
    Transport(#[source] hyper::Error),
    /// What was sealed does not open, or its end is missing.
    #[error("what came under the seal is not whole")]
    Sealed,
    /// No delta came for too long.
    #[error("it did not begin within {0:?}")]
    Late(Duration),
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// The whole took too long.
    #[error("it took longer than {0:?}")]
    Budget(Duration),
}

impl StreamError {
    /// What the caller is told of a reply that ends so; `began` says whether text had come.
    pub(crate) fn into_error(self, backend: &str, began: bool) -> Error {
        match self {
            Self::Budget(budget) => Error::Overlong { backend: backend.to_owned(), budget },
            Self::Transport(_) | Self::Sealed | Self::Late(_) | Self::Silent(_) => {
                Error::cut(backend, began, self.to_string(), Some(Arc::new(self)))
            }
        }
    }
}

/// A reply's bytes, until one of its limits of time is reached.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes, StreamError>>;

/// Decodes the answer to a request that went out at `sent`.
pub(crate) fn timed<S>(
    body: Pieces,
    sent: Instant,
    timeouts: Timeouts,
    decode: impl FnOnce(Pieces) -> S,
) -> DeltaStream
where
    S: Stream<Item = Result<Delta, Error>> + Send + 'static,
{
    let clock = Deadlines { sent, timeouts, begun: Arc::default() };
    let begun = Arc::clone(&clock.begun);
    let first = move |delta: &Result<Delta, Error>| {
        if delta.is_ok() {
            begun.get_or_init(Instant::now);
        }
    };
    decode(clock.limit(body)).inspect(first).boxed()
}

/// Decodes a whole reply from pieces, as a network may deliver them.
pub(crate) fn in_memory<'a, S>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    decode: impl FnOnce(Pieces, String) -> S,
) -> Result<Vec<Delta>, Error>
where
    S: Stream<Item = Result<Delta, Error>>,
{
    let pieces: Vec<_> =
        pieces.into_iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let all = decode(stream::iter(pieces).boxed(), "in memory".to_owned());
    // Bytes in memory are always ready.
    all.try_collect().now_or_never().unwrap_or_else(|| Ok(Vec::new()))
}

/// How long a reply's next bytes may take.
struct Deadlines {
    sent: Instant,
    timeouts: Timeouts,
    /// When the first delta came.
    begun: Arc<OnceLock<Instant>>,
}

impl Deadlines {
    fn limit(self, body: Pieces) -> Pieces {
        let timer = Box::pin(sleep_until(self.next(self.sent).0));
        stream::unfold((body, self, timer), |(mut body, clock, mut timer)| async move {
            let since = Instant::now();
            let item = loop {
                let (until, broken) = clock.next(since);
                // A timer that runs out early is set again then: that is cheaper than with each piece.
                if until < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(until);
                }
                tokio::select! {
                    biased;
                    item = body.next() => break item?,
                    () = timer.as_mut() => {}
                }
                if until <= Instant::now() {
                    break Err(broken);
                }
            };
            Some((item, (body, clock, timer)))
        })
        .boxed()
    }

    /// Until when the next bytes, awaited since then, have to come, and what it means if they do not.
    fn next(&self, since: Instant) -> (Instant, StreamError) {
        let Timeouts { first, idle, budget, .. } = self.timeouts;
        let Some(begun) = self.begun.get() else {
            return (self.sent + first, StreamError::Late(first));
        };
        let (end, silent) = (*begun + budget, since + idle);
        if end <= silent {
            (end, StreamError::Budget(budget))
        } else {
            (silent, StreamError::Silent(idle))
        }
    }
}
