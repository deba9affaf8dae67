//! `/network`, `/coordinators` and `/health`.

use axum::{Json, extract::State};
use chassis::endpoint::{Served, serve};
use coordinator_api::{Coordinator, Health, Network, endpoints};
use coordinator_core::time::to_rfc3339;

use super::error::Error;
use crate::app::App;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 3] {
    [
        serve(&endpoints::NETWORK, network),
        serve(&endpoints::LIST_COORDINATORS, coordinators),
        serve(&endpoints::HEALTH, health),
    ]
}

async fn network(State(app): State<App>) -> Json<Network> {
    Json(Network {
        network: app.config.settings.network.clone(),
        server_url: app.config.settings.server_url(),
        noise_public_key: app.noise.public().to_string(),
        version: VERSION.to_owned(),
    })
}

async fn coordinators(State(app): State<App>) -> Result<Json<Vec<Coordinator>>, Error> {
    if !app.store.is_shared() {
        let (name, version) = (::store::process_name(), VERSION.to_owned());
        return Ok(Json(vec![Coordinator { name, version, started: None, serving: true }]));
    }
    let all = app.store.replicas().await?.into_iter().map(|replica| Coordinator {
        name: replica.name,
        version: replica.version,
        started: Some(to_rfc3339(replica.started)),
        serving: replica.left > 0,
    });
    Ok(Json(all.collect()))
}

async fn health(State(app): State<App>) -> Result<Json<Health>, Error> {
    app.store.revision().await?;
    Ok(Json(Health { status: "ok".to_owned(), version: VERSION.to_owned() }))
}
