//! Taking connections: how many at once, what an error costs, and how it ends.

use std::{io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::workers::Workers;

/// Wait after an accept that failed. What is wanted then, such as file descriptors, comes free when others end.
const PAUSE: Duration = Duration::from_millis(100);

/// What connections arrive at.
pub trait Listener: Send {
    /// A connection.
    type Stream: Send + 'static;
    /// Who is at its other end.
    type Peer: Send;

    /// Waits for the next connection. Nothing is lost if the future is dropped.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = std::net::SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, Self::Peer)> {
        Self::accept(self).await
    }
}

/// Tells a connection when no more are taken, and the end of this tells that the connection is over.
#[derive(Debug)]
pub struct ShutdownSignal(watch::Receiver<()>);

impl ShutdownSignal {
    /// Returns when the connection should come to its end.
    pub async fn requested(&mut self) {
        // Who asks is gone if this fails.
        let _ = self.0.changed().await;
    }
}

/// Connections to a listener, each on a task of its own.
#[derive(Debug)]
pub struct Connections {
    what: &'static str,
    max: usize,
    drain: Duration,
    workers: Option<Arc<Workers>>,
}

impl Connections {
    /// At most `max` at once; who comes then is turned away. `what` names them in the log.
    #[must_use]
    pub fn new(what: &'static str, max: usize) -> Self {
        Self { what, max, drain: Duration::ZERO, workers: None }
    }

    /// How long requests under way may take to end once connections are no longer taken. By default they are cut.
    #[must_use]
    pub fn drain(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// On which threads they are served; by default on the runtime that they are taken on. A socket belongs to the runtime
    /// that took it until the connection moves it: see [`crate::unix::adopt`].
    #[must_use]
    pub fn on(self, workers: &Arc<Workers>) -> Self {
        Self { workers: Some(Arc::clone(workers)), ..self }
    }

    /// Takes connections until `stop` completes, and then drops the listener. When it returns, no connection is left;
    /// nor are any if it is dropped before.
    ///
    /// `connect` tells what is to be done with each, `None` to turn it away. The [`ShutdownSignal`] it gets tells it
    /// when to come to its end; whatever drops that ([`crate::http`] does not) is cut then without delay.
    ///
    /// What is wrong with an accept (`ECONNABORTED`) or with the machine (`EMFILE`) passes: it is waited out.
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
        // What goes on for long is logged once: who causes it must not fill the log.
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
