//! `/records`: extra DNS names.

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{Actor, Record, SetRecord, endpoints};
use coordinator_core::{
    model,
    name::{self, NameError},
};

use super::{error::Error, read::read};
use crate::app::App;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 3] {
    [
        serve(&endpoints::LIST_RECORDS, list),
        serve(&endpoints::SET_RECORD, set),
        serve(&endpoints::REMOVE_RECORD, remove),
    ]
}

async fn list(State(app): State<App>) -> Json<Vec<Record>> {
    let snapshot = app.hub.snapshot();
    let shown = |record: &model::Record| Record { name: record.name.clone(), device: record.node };
    Json(snapshot.loaded.records.iter().map(shown).collect())
}

/// Points a name at a device. Names that devices may not take, such as `chat`, are allowed here.
async fn set(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Record>, Error> {
    let SetRecord { device } = read(request).await?;
    if !name::is_label(&name) {
        return Err(name::not_a_label(&name).into());
    }
    let mut change = app.store.change(actor).await?;
    change.node(device).await?.ok_or(Error::NotFound("device"))?;
    if app.hub.snapshot().loaded.nodes.iter().any(|node| node.name == name) {
        return Err(NameError::Taken.into());
    }
    change.set_record(&model::Record { name: name.clone(), node: device }).await?;
    change.note("record.set", &name, &format!("device {device}"));
    app.commit(change).await?;
    Ok(Json(Record { name, device }))
}

async fn remove(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    let mut change = app.store.change(actor).await?;
    if !change.delete_record(&name).await? {
        return Err(Error::NotFound("record"));
    }
    change.note("record.remove", &name, "");
    app.commit(change).await?;
    Ok(StatusCode::NO_CONTENT)
}
