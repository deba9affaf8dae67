//! `/users`.

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{Actor, CreateUser, RenameUser, RenamedUser, User, endpoints};
use coordinator_core::{
    model,
    name::{self, NameError},
    time::to_rfc3339,
};
use messages::message;

use super::{error::Error, read::read};
use crate::{
    app::App,
    clock,
    hub::{HubError, Snapshot},
};

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 4] {
    [
        serve(&endpoints::LIST_USERS, list),
        serve(&endpoints::CREATE_USER, create),
        serve(&endpoints::RENAME_USER, rename),
        serve(&endpoints::REMOVE_USER, remove),
    ]
}

async fn list(State(app): State<App>) -> Json<Vec<User>> {
    let snapshot = app.hub.snapshot();
    Json(snapshot.loaded.users.iter().map(|user| shown(user, &snapshot)).collect())
}

async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<(StatusCode, Json<User>), Error> {
    let CreateUser { name } = read(request).await?;
    name::check_user(&name)?;
    let mut change = app.store.change(actor).await?;
    if change.user(&name).await?.is_some() {
        return Err(NameError::Taken.into());
    }
    let user = change.insert_user(&name, clock::now()).await?;
    change.note("user.create", &name, "");
    app.commit(change).await?;
    Ok((StatusCode::CREATED, Json(shown(&user, &app.hub.snapshot()))))
}

/// Renames a user. The policy names users by login name and is not changed; the answer says whether it contains the old or
/// the new name.
async fn rename(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<RenamedUser>, Error> {
    let RenameUser { name: new } = read(request).await?;
    name::check_user(&new)?;
    let mut change = app.store.change(actor).await?;
    let user = change.user(&name).await?.ok_or(Error::NotFound("user"))?;
    if new != name && change.user(&new).await?.is_some() {
        return Err(NameError::Taken.into());
    }
    let stored = change.policy().await?;
    let (policy, _) = acl::Policy::parse_stored(&stored).map_err(HubError::Policy)?;
    change.rename_user(user.id, &new).await?;
    change.note("user.rename", &name, &format!("now {new}"));
    app.commit(change).await?;
    let is_other = new != name;
    Ok(Json(RenamedUser {
        policy_names_old: is_other && policy.names_user(&name),
        policy_names_new: is_other && policy.names_user(&new),
        user: shown(&model::User { name: new, ..user }, &app.hub.snapshot()),
    }))
}

async fn remove(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    let mut change = app.store.change(actor).await?;
    let user = change.user(&name).await?.ok_or(Error::NotFound("user"))?;
    if !change.delete_user(&user).await? {
        return Err(Error::State(message!("problem-state-user-has-devices")));
    }
    change.note("user.remove", &name, "");
    app.commit(change).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(user: &model::User, snapshot: &Snapshot) -> User {
    let devices =
        snapshot.loaded.nodes.iter().filter(|node| node.owner.user() == Some(user.id)).count();
    User {
        id: user.id,
        name: user.name.clone(),
        created: to_rfc3339(user.created),
        devices: u64::try_from(devices).unwrap_or(u64::MAX),
    }
}
