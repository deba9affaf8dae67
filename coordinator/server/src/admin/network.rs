//! `/network` and `/health`.

use axum::{Json, extract::State};
use chassis::endpoint::{Served, serve};
use coordinator_api::{Health, Network, endpoints};

use super::error::Error;
use crate::app::App;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 2] {
    [serve(&endpoints::NETWORK, network), serve(&endpoints::HEALTH, health)]
}

async fn network(State(app): State<App>) -> Json<Network> {
    Json(Network {
        network: app.config.settings.network.clone(),
        server_url: app.config.settings.server_url(),
        noise_public_key: app.noise.public().to_string(),
        version: VERSION.to_owned(),
    })
}

async fn health(State(app): State<App>) -> Result<Json<Health>, Error> {
    app.store.revision().await?;
    Ok(Json(Health { status: "ok".to_owned(), version: VERSION.to_owned() }))
}
