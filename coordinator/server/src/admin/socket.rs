//! The admin API's socket. Only root may use it, not even the coordinator's own user.

use axum::Router;
use chassis::{accept::Connections, http::Http, unix::Socket};
use coordinator_api::Actor;

use crate::{
    app::App,
    limits::{ADMIN_CONNECTIONS, DRAIN, HEAD_TIME},
};

/// Serves until the coordinator stops.
pub(crate) async fn serve(socket: Socket, app: &App, router: Router) {
    let connections = Connections::new("admin connections", ADMIN_CONNECTIONS).drain(DRAIN);
    let stop = app.stop.cancelled();
    let connect = |stream, uid, stopping| {
        if uid != app.config.admin_uid {
            tracing::warn!(uid, "refused a connection to the admin socket: the caller is not root");
            return None;
        }
        Some(Http::new(HEAD_TIME).route(stream, router.clone(), Actor::Uid { uid }, stopping))
    };
    connections.serve(socket, stop, connect).await;
}
