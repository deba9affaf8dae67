//! Closing a connection from outside.

use std::sync::Arc;

use tokio::sync::watch;

/// A connection without an identity, in the extensions of its requests, so that a service can close it.
#[derive(Clone, Debug)]
pub struct Connection(Arc<watch::Sender<bool>>);

/// Tells the connection's task to close it; dropping this reports that it is closed.
#[derive(Debug)]
pub struct CloseSignal(watch::Receiver<bool>);

impl Connection {
    /// A new connection.
    #[must_use]
    pub fn new() -> (Self, CloseSignal) {
        let (sender, receiver) = watch::channel(false);
        (Self(Arc::new(sender)), CloseSignal(receiver))
    }

    /// Closes it at once.
    pub fn close(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether both are the same connection.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl CloseSignal {
    /// Waits until the connection should be closed; for ever if nobody can request it.
    pub async fn requested(&mut self) {
        if self.0.wait_for(|closing| *closing).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
