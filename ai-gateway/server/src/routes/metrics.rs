//! The superuser's socket: `/metrics`, counters for Prometheus, `/maru/v1/usage`, counts by person and day, and what the
//! admin asks ([`super::apps`]).
//!
//! Counters and counts hold nothing that people wrote. But who reads them before and after a sealed request sees how many tokens it
//! and its reply took, which the padding hides: so no listener of the mesh has them, nor telmeet's.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use ai_gateway_api::usage;
use axum::{Json, extract::State, http::header, response::IntoResponse};
use chassis::{
    accept::Connections,
    endpoint::{self, Endpoint, get},
    http::Http,
    unix::Socket,
};

use crate::{App, Error};

/// The one who may read.
const SUPERUSER: u32 = 0;
/// Readers at once.
const READERS: usize = 16;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);
/// How long a request may take, its answer included.
const WHOLE: Duration = Duration::from_secs(30);

/// Endpoints of this socket.
pub(super) fn endpoints() -> Vec<Endpoint<Arc<App>>> {
    let own = [get("/metrics", metrics), get(usage::PATH, usage)];
    own.into_iter().chain(super::apps::endpoints()).collect()
}

/// Serves the superuser until `stop` completes. It is no mesh service: HTTP begins at the first byte.
pub async fn serve(socket: Socket, app: &Arc<App>, stop: impl Future<Output = ()>) {
    let router = endpoint::router(endpoints())
        .fallback(async || Error::NotFound)
        .with_state(Arc::clone(app));
    let connect = |stream, uid, stopping| {
        if uid != SUPERUSER {
            tracing::warn!(uid, "this socket is root's: refused");
            return None;
        }
        Some(Http::new(HEAD).one_request(WHOLE).route(stream, router.clone(), (), stopping))
    };
    Connections::new("connections of the superuser", READERS).serve(socket, stop, connect).await;
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (
        [(header::CONTENT_TYPE, content_type)],
        app.metrics.render(&app.models, &app.lines, &app.sessions),
    )
}

async fn usage(State(app): State<Arc<App>>) -> Json<usage::Report> {
    Json(app.usage.report(SystemTime::now()))
}
