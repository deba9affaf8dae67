//! The admin API's socket: for root alone, not for the coordinator's own user either.

use axum::Router;
use chassis::{accept::Connections, http::Http, unix::Socket};
use coordinator_api::Actor;

use crate::{
    app::App,
    limits::{ADMIN_CONNECTIONS, DRAIN, HEAD_TIME},
};

/// Answers until the server stops.
pub(crate) async fn serve(socket: Socket, app: &App, router: Router) {
    let connections = Connections::new("admin connections", ADMIN_CONNECTIONS).drain(DRAIN);
    let stop = app.stop.cancelled();
    let connect = |stream, uid, stopping| {
        if uid != app.config.admin_uid {
            tracing::warn!(uid, "someone else than root called the admin socket");
            return None;
        }
        Some(Http::new(HEAD_TIME).route(stream, router.clone(), Actor::Uid { uid }, stopping))
    };
    connections.serve(socket, stop, connect).await;
}
