//! The superuser's socket: `/metrics`, counters for Prometheus, `/maru/v1/usage`, counts by person and day, and what the
//! admin asks ([`super::apps`]).
//!
//! Counters and counts hold nothing that people wrote. But who reads them before and after a sealed request sees how many tokens it
//! and its reply took, which the padding hides: so no listener of the mesh has them, nor telmeet's.

use std::{sync::Arc, time::SystemTime};

use ai_gateway_api::{
    endpoints::{LIST_PROVIDERS, METRICS, USAGE},
    providers::ProviderNode,
    usage,
};
use axum::{Json, extract::State, response::Response};
use chassis::{
    endpoint::{self, Served},
    superuser,
    unix::Socket,
};

use crate::{App, Error};

/// Endpoints of this socket.
pub(super) fn endpoints() -> Vec<Served<Arc<App>>> {
    let own = [
        endpoint::serve(&METRICS, metrics),
        endpoint::serve(&USAGE, usage),
        endpoint::serve(&LIST_PROVIDERS, providers),
    ];
    own.into_iter().chain(super::apps::endpoints()).collect()
}

/// Serves the superuser until `stop` completes. It is no mesh service: HTTP begins at the first byte.
pub(crate) async fn serve(socket: Socket, app: &Arc<App>, stop: impl Future<Output = ()>) {
    let router = endpoint::router(endpoints())
        .fallback(async || Error::NotFound)
        .with_state(Arc::clone(app));
    superuser::serve(socket, router, stop).await;
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    superuser::counters(app.counters())
}

async fn usage(State(app): State<Arc<App>>) -> Json<usage::Report> {
    Json(app.usage.report(SystemTime::now()))
}

/// Asks every server how it is, and lists them.
async fn providers(State(app): State<Arc<App>>) -> Json<Vec<ProviderNode>> {
    Json(app.models.examine().await)
}
