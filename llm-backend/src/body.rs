//! A reply's bytes with timeouts: one until the first delta, others after it.

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

/// Why a stream of bytes failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// The connection failed.
    #[error("the connection broke")]
    Transport(#[source] hyper::Error),
    /// Sealed data does not open, or its end is missing.
    #[error("the sealed data is incomplete")]
    Sealed,
    /// The first delta took too long.
    #[error("it did not begin within {0:?}")]
    Late(Duration),
    /// Nothing arrived for too long.
    #[error("nothing arrived for {0:?}")]
    Silent(Duration),
    /// The reply took too long.
    #[error("it took longer than {0:?}")]
    Budget(Duration),
}

impl StreamError {
    /// The error of a reply that failed for this reason; `began`: whether text had been received.
    pub(crate) fn into_error(self, backend: &str, began: bool) -> Error {
        match self {
            Self::Budget(budget) => Error::Overlong { backend: backend.to_owned(), budget },
            Self::Transport(_) | Self::Sealed | Self::Late(_) | Self::Silent(_) => {
                Error::cut(backend, began, self.to_string(), Some(Arc::new(self)))
            }
        }
    }
}

/// A reply's bytes, until a timeout.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes, StreamError>>;

/// Decodes the answer to a request that was sent at `sent`.
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

/// Decodes a whole reply from pieces in memory.
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

/// Timeouts of a reply's bytes.
struct Deadlines {
    sent: Instant,
    timeouts: Timeouts,
    /// When the first delta was decoded.
    begun: Arc<OnceLock<Instant>>,
}

impl Deadlines {
    fn limit(self, body: Pieces) -> Pieces {
        let timer = Box::pin(sleep_until(self.next(self.sent).0));
        stream::unfold((body, self, timer), |(mut body, clock, mut timer)| async move {
            let since = Instant::now();
            let item = loop {
                let (until, broken) = clock.next(since);
                // A timer that fires early is reset then, which is cheaper than resetting it with each piece.
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

    /// The deadline of the next bytes, awaited since `since`, and the error if it passes.
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
