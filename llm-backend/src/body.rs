//! A reply's bytes as they come, with limits of time.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

/// Why no more bytes can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The connection failed.
    #[error("the connection broke")]
    Transport(#[source] hyper::Error),
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// The whole took too long.
    #[error("it took longer than its time budget")]
    Budget,
}

/// Puts limits of time on a body.
pub(crate) fn timed(
    body: stream::BoxStream<'static, Result<Bytes, hyper::Error>>,
    idle: Duration,
    deadline: Instant,
) -> impl Stream<Item = Result<Bytes, Broken>> + Send + Unpin + 'static {
    stream::unfold(body, move |mut body| async move {
        let until = deadline.min(Instant::now() + idle);
        let item = match timeout_at(until, body.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(bytes))) => Ok(bytes),
            Ok(Some(Err(error))) => Err(Broken::Transport(error)),
            Err(_) if until == deadline => Err(Broken::Budget),
            Err(_) => Err(Broken::Silent(idle)),
        };
        Some((item, body))
    })
    .boxed()
}
