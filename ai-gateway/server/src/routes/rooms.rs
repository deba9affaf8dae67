//! Rooms, for the participant: `docs/protocols/plugin.md`.
//!
//! The participant has a socket of its own. It sends no identity: the socket's only caller is its identity.

use std::{sync::Arc, time::Duration};

use ai_gateway_api::{endpoints::ROOM_SETTINGS, rooms::Settings};
use axum::{
    Json,
    extract::{Request, State},
    http::header,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
};
use chassis::{
    accept::Connections,
    endpoint::{self, Served},
    http::Http,
    unix::Socket,
};
use mesh_listener::Refusal;
use telmeet_api::plugin::HOST;

use crate::{App, Error};

/// Connections at a time: one for each reply in progress, and some to be refused with a reason.
const CONNECTIONS: usize = 32;
/// Timeout of a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// Timeout of a request and its reply, which waits in the queue first.
const WHOLE: Duration = Duration::from_secs(30 * 60);
/// Time for replies to end at shutdown.
const DRAIN: Duration = Duration::from_secs(3);

/// Endpoints of this socket.
pub(super) fn endpoints() -> Vec<Served<Arc<App>>> {
    vec![endpoint::serve(&ROOM_SETTINGS, settings)]
}

/// Serves the participant, whose uid this is, until `stop` completes.
pub(crate) async fn serve(
    socket: Socket,
    participant: u32,
    app: &Arc<App>,
    stop: impl Future<Output = ()>,
) {
    let router = endpoint::router(endpoints())
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::Method)
        .layer(from_fn(check_host))
        .with_state(Arc::clone(app));
    let connect = |stream, uid, stopping| {
        if uid != participant {
            tracing::warn!(uid, "only the participant may use this socket: connection refused");
            return None;
        }
        Some(Http::new(HEAD).one_request(WHOLE).route(stream, router.clone(), (), stopping))
    };
    let connections = Connections::new("connections of the participant", CONNECTIONS).drain(DRAIN);
    connections.serve(socket, stop, connect).await;
}

/// Refuses a request to another name.
async fn check_host(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    if hosts.next().is_some_and(|host| host == HOST) && hosts.next().is_none() {
        return next.run(request).await;
    }
    Error::Listener(Refusal::Host).into_response()
}

/// Which messages are answered.
async fn settings(State(app): State<Arc<App>>) -> Json<Settings> {
    Json(app.rooms.policy().settings.clone())
}
