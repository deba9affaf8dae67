//! The accept loop: limit of connections, errors, shutdown.

use std::{io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::workers::Workers;

/// Pause after a failed accept: resources such as file descriptors become free when other connections end.
const PAUSE: Duration = Duration::from_millis(100);

/// A source of connections.
pub trait Listener: Send {
    /// A connection.
    type Stream: Send + 'static;
    /// The other end of the connection.
    type Peer: Send;

    /// Waits for the next connection. Cancel-safe.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = std::net::SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, Self::Peer)> {
        Self::accept(self).await
    }
}

/// Tells a connection that the listener shuts down. Dropping it reports that the connection has ended.
#[derive(Debug)]
pub struct ShutdownSignal(watch::Receiver<()>);

impl ShutdownSignal {
    /// Waits until the connection should end.
    pub async fn requested(&mut self) {
        // An error means that the listener is gone.
        let _ = self.0.changed().await;
    }
}

/// Serves the connections of a listener, each in its own task.
#[derive(Debug)]
pub struct Connections {
    what: &'static str,
    max: usize,
    drain: Duration,
    workers: Option<Arc<Workers>>,
}

impl Connections {
    /// Accepts at most `max` connections at a time and drops further ones. `what` names them in the log.
    #[must_use]
    pub fn new(what: &'static str, max: usize) -> Self {
        Self { what, max, drain: Duration::ZERO, workers: None }
    }

    /// Time for connections to end after shutdown began. Default: none.
    #[must_use]
    pub fn drain(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// Serves connections on these threads instead of the current runtime. A socket stays registered with the runtime that
    /// accepted it until it is moved (`into_std`, `from_std`).
    #[must_use]
    pub fn on(self, workers: &Arc<Workers>) -> Self {
        Self { workers: Some(Arc::clone(workers)), ..self }
    }

    /// Accepts connections until `stop` completes, then drops the listener. When it returns or is dropped, all connections
    /// have ended.
    ///
    /// `connect` returns the future that serves a connection, or `None` to reject it. A connection that drops its
    /// [`ShutdownSignal`] is not waited for at shutdown. Errors of `accept(2)` are temporary (`ECONNABORTED`, `EMFILE`):
    /// it is tried again.
    pub async fn serve<L, C>(
        self,
        listener: L,
        stop: impl Future<Output = ()>,
        mut connect: impl FnMut(L::Stream, L::Peer, ShutdownSignal) -> Option<C>,
    ) where
        L: Listener,
        C: Future<Output = ()> + Send + 'static,
    {
        let (stopping, _) = watch::channel(());
        let mut tasks = JoinSet::new();
        let mut stop = pin!(stop);
        // Repeated events are logged once, so that clients cannot fill the log.
        let (mut failing, mut full) = (false, false);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_) = tasks.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(_) if tasks.len() >= self.max => {
                    if !full {
                        tracing::warn!(
                            max = self.max,
                            "too many {}: they are turned away",
                            self.what
                        );
                    }
                    full = true;
                }
                Ok((stream, peer)) => {
                    (failing, full) = (false, false);
                    if let Some(connection) =
                        connect(stream, peer, ShutdownSignal(stopping.subscribe()))
                    {
                        match self.workers.as_ref().and_then(|workers| workers.choose()) {
                            Some((runtime, place)) => tasks.spawn_on(
                                async move {
                                    let _place = place;
                                    connection.await;
                                },
                                runtime,
                            ),
                            None => tasks.spawn(connection),
                        };
                    }
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "cannot take {}", self.what);
                    }
                    failing = true;
                    tokio::select! {
                        () = &mut stop => break,
                        () = sleep(PAUSE) => {}
                    }
                }
            }
        }
        drop(listener);
        stopping.send_replace(());
        if timeout(self.drain, stopping.closed()).await.is_err() {
            tracing::warn!(left = tasks.len(), "{} under way are cut", self.what);
        }
        tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
