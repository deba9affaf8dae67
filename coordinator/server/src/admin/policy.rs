//! `/policy`.

use axum::{
    Extension, Json,
    extract::{Request, State},
};
use chassis::endpoint::{Endpoint, get, post, put};
use coordinator_api::{Actor, Policy, PolicyChecked};
use coordinator_core::network;

use super::{Error, read};
use crate::{app::App, clock};

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Endpoint<App>; 3] {
    [get("/policy", show), put("/policy", set), post("/policy/check", check)]
}

async fn show(State(app): State<App>) -> Json<Policy> {
    Json(Policy { policy: app.hub.snapshot().loaded.policy.clone() })
}

async fn set(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<Json<Policy>, Error> {
    let policy: Policy = read(request).await?;
    usable(&app, &policy.policy)?;
    let mut change = app.store.change(actor).await?;
    change.set_policy(&policy.policy).await?;
    change.commit().await?;
    tracing::info!("the policy was replaced");
    app.hub.refresh().await?;
    Ok(Json(policy))
}

async fn check(State(app): State<App>, request: Request) -> Result<Json<PolicyChecked>, Error> {
    let policy: Policy = read(request).await?;
    usable(&app, &policy.policy)?;
    Ok(Json(PolicyChecked { ok: true }))
}

/// Reads the policy and runs its own tests on the network as it is.
fn usable(app: &App, text: &str) -> Result<(), Error> {
    let policy = acl::Policy::parse(text).map_err(Error::Policy)?;
    let snapshot = app.hub.snapshot();
    let loaded = &snapshot.loaded;
    let network = network::for_policy(&loaded.users, &loaded.nodes, &policy, clock::now());
    policy.check(&network).map(drop).map_err(Error::Policy)
}
