//! A role that listens.

use std::net::SocketAddr;

use axum::Router;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::http::listen::Listeners;

/// A role that listens, and serves once [`Self::serve`] is called.
pub struct Server {
    pub(crate) listeners: Listeners,
    pub(crate) router: Router,
    /// What the role does beside answering requests.
    pub(crate) background: BoxFuture<'static, ()>,
}

impl Server {
    /// The addresses of the listeners with TLS and without.
    #[must_use]
    pub fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        self.listeners.addresses()
    }

    /// Serves until `stop` is cancelled.
    pub fn serve(self, stop: CancellationToken) -> BoxFuture<'static, ()> {
        let Self { listeners, router, background } = self;
        Box::pin(async move {
            let serving = listeners.serve(router, stop.clone());
            tokio::join!(serving, stop.run_until_cancelled(background));
        })
    }
}
