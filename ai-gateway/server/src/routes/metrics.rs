//! The superuser's socket: `/metrics` has counters for Prometheus, `/maru/v1/usage` counts by person and day;
//! [`super::apps`], [`super::people`], `/maru/v1/providers` and `/maru/v1/config` are for the admin.
//!
//! No counter contains text of a request or reply. But whoever reads the counters before and after a sealed request
//! learns the number of tokens of the request and its reply, which the padding hides. So neither the mesh's listener
//! nor telmeet's serves them.

use std::{sync::Arc, time::SystemTime};

use ai_gateway_api::{
    config::ConfigReport,
    endpoints::{CONFIG, LIST_PROVIDERS, METRICS, USAGE},
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
        endpoint::serve(&CONFIG, config),
    ];
    own.into_iter().chain(super::apps::endpoints()).chain(super::people::endpoints()).collect()
}

/// Serves the superuser until `stop` completes. The socket is not a mesh service: connections have no preface.
pub(crate) async fn serve(socket: Socket, app: &Arc<App>, stop: impl Future<Output = ()>) {
    let router = endpoint::router(endpoints())
        .fallback(async || Error::NotFound)
        .with_state(Arc::clone(app));
    superuser::serve(socket, router, stop).await;
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    superuser::counters(app.counters().await)
}

async fn usage(State(app): State<Arc<App>>) -> Json<usage::Report> {
    Json(app.usage.report(SystemTime::now()))
}

/// Checks every node of the providers, and lists them.
async fn providers(State(app): State<Arc<App>>) -> Json<Vec<ProviderNode>> {
    Json(app.models.examine().await)
}

/// How `openclaw.json` and the database of conversations stand.
async fn config(State(app): State<Arc<App>>) -> Json<ConfigReport> {
    Json(app.config_report())
}
