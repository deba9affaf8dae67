//! Ending a connection from outside.

use std::sync::Arc;

use tokio::sync::watch;

/// A connection without an identity, for a service that must be able to end it. Its requests carry it in their
/// extensions.
#[derive(Clone, Debug)]
pub struct Connection(Arc<watch::Sender<bool>>);

/// The connection's own end of that; dropping it says that the connection has ended.
#[derive(Debug)]
pub struct CloseSignal(watch::Receiver<bool>);

impl Connection {
    /// A connection that begins.
    #[must_use]
    pub fn new() -> (Self, CloseSignal) {
        let (sender, receiver) = watch::channel(false);
        (Self(Arc::new(sender)), CloseSignal(receiver))
    }

    /// Ends it at once, whatever is under way on it and whether or not its caller reads.
    pub fn close(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether both are the same one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl CloseSignal {
    /// Returns when the connection is to end; never, once nobody could say so.
    pub async fn requested(&mut self) {
        if self.0.wait_for(|closing| *closing).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
