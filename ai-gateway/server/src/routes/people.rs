//! `/maru/v1/people`: the admin deletes all that the gateway keeps of a person, on the superuser's socket only.

use std::{sync::Arc, time::SystemTime};

use ai_gateway_api::{endpoints::FORGET_PERSON, people::Forgotten};
use axum::{
    Json,
    extract::{Path, State},
};
use chassis::endpoint::{Served, serve};
use mesh_identity::Person;

use crate::{App, Error};

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<Arc<App>>; 1] {
    [serve(&FORGET_PERSON, forget)]
}

/// Deletes what is kept. Conversations first: if their database is closed, nothing is deleted. Repeating it is safe.
async fn forget(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
) -> Result<Json<Forgotten>, Error> {
    let person: Person = person.parse().map_err(|_| Error::NotFound)?;
    let conversations = app.sessions.forget(&person).await?;
    let (state, whose) = (Arc::clone(&app), person.clone());
    let deleted = tokio::task::spawn_blocking(move || -> Result<Forgotten, Error> {
        let files = state.workspace.forget(&whose).map_err(Error::Workspace)?;
        let device_keys = state.devices.forget(&whose)?;
        let usage_days = state.usage.forget_person(&whose, SystemTime::now())?;
        Ok(Forgotten { conversations, device_keys, files, usage_days })
    });
    let deleted = deleted.await.map_err(|_| Error::Busy)??;
    tracing::info!(%person, "what was kept of a person is deleted");
    Ok(Json(deleted))
}
