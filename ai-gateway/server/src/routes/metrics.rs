//! `/metrics`: counters for Prometheus, on a socket of their own and to the superuser alone.
//!
//! They hold nothing that people wrote. But who reads them before and after a sealed request sees how many tokens it
//! and its reply took, which the padding hides: so no listener of the mesh has them, nor telmeet's.

use std::{io, sync::Arc, time::Duration};

use axum::{extract::State, http::header, response::IntoResponse, serve::Listener};
use chassis::endpoint::{self, Endpoint, get};
use tokio::{
    net::{UnixListener, UnixStream},
    time::sleep,
};

use crate::{App, Error};

/// The one who may read.
const SUPERUSER: u32 = 0;
/// Wait after an accept that failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Endpoints of this socket.
pub(super) fn endpoints() -> [Endpoint<Arc<App>>; 1] {
    [get("/metrics", metrics)]
}

/// Serves the counters for as long as it is polled. It is no mesh service: HTTP begins at the first byte.
pub async fn serve(listener: UnixListener, app: &Arc<App>) {
    let router = endpoint::router(endpoints())
        .fallback(async || Error::NotFound)
        .with_state(Arc::clone(app));
    if let Err(error) = axum::serve(Superusers(listener), router).await {
        tracing::error!(%error, "the counters are served no more");
    }
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], app.metrics.render(&app.models, &app.sessions))
}

/// Takes connections from the superuser's processes alone.
struct Superusers(UnixListener);

impl Listener for Superusers {
    type Io = UnixStream;
    type Addr = ();

    async fn accept(&mut self) -> (UnixStream, ()) {
        loop {
            match self.0.accept().await {
                Ok((io, _)) => match io.peer_cred() {
                    Ok(peer) if peer.uid() == SUPERUSER => return (io, ()),
                    Ok(peer) => tracing::warn!(uid = peer.uid(), "counters are root's: refused"),
                    Err(error) => tracing::warn!(%error, "connection without credentials refused"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}
