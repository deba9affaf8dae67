//! A person leaves: by the admin, who removes the person from the network, or by an app's "deactivate account", after which the
//! person can begin anew.

use std::sync::Arc;

use axum::{Json, extract::State, http::Method};
use mesh_identity::User;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::column;
use telmeet_core::person::display_name;

use super::devices;
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    keys,
    matrix::{self, Route, raw},
    personal, rooms,
    session::{Session, Visitor},
};

pub(super) fn routes() -> Vec<Route> {
    let paths = ["/_matrix/client/r0/account/deactivate", "/_matrix/client/v3/account/deactivate"];
    paths.into_iter().flat_map(|path| raw(Method::POST, path, deactivate)).collect()
}

/// Removes a person who is not in the network any more. What the person wrote stays. The user id is not given to anybody
/// else; the same person would have it again.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn remove_person(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    forget(tx, user).await?;
    let now = column::sql(tx.now().get().into());
    let query = "UPDATE people SET removed_at = $1 WHERE user_id = $2";
    sqlx::query(query).bind(now).bind(user.to_string()).execute(tx.connection()).await?;
    Ok(())
}

/// Signs all apps of a person out, leaves every room, and deletes what is the person's alone.
async fn forget(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    devices::remove_every(tx, user).await?;
    keys::forget_person(tx, user).await?;
    personal::forget_person(tx, user).await?;
    rooms::leave_all(tx, user).await?;
    let query = "UPDATE people SET visited_at = NULL, avatar = NULL WHERE user_id = $1";
    sqlx::query(query).bind(user.to_string()).execute(tx.connection()).await?;
    Ok(())
}

/// An app's "deactivate account". No second proof is asked for: the mesh says who is calling.
#[derive(Deserialize)]
struct Deactivation {
    /// Whether what the person wrote and uploaded is deleted, too.
    #[serde(default)]
    erase: bool,
}

/// Deletes what the homeserver has of a person (specification, client-server API, "Account deactivation"). Who the person is,
/// the mesh decides: the next sign-in begins anew, with the same user id.
async fn deactivate(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    visitor: Visitor,
    matrix::Json(Deactivation { erase }): matrix::Json<Deactivation>,
) -> Result<Json<Value>, Error> {
    let (user, person) = (session.user, visitor.person()?.clone());
    if erase {
        // First, so that no message of the person is a room's last event, which is not deleted as a whole.
        let leaving = user.clone();
        let left = homeserver
            .write(move |tx| Box::pin(async move { rooms::leave_all(tx, &leaving).await }));
        left.await?;
        rooms::erase(&homeserver, &user).await?;
    }
    homeserver.write(move |tx| Box::pin(begin_anew(tx, user, person))).await?;
    Ok(Json(json!({ "id_server_unbind_result": "no-support" })))
}

async fn begin_anew(tx: &mut Transaction, user: OwnedUserId, person: User) -> Result<(), Error> {
    forget(tx, &user).await?;
    let query = "UPDATE people SET display_name = $1 WHERE user_id = $2";
    let query = sqlx::query(query).bind(display_name(&person.login)).bind(user.to_string());
    query.execute(tx.connection()).await?;
    Ok(())
}
