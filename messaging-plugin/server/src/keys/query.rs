//! `/keys/query` and `/keys/changes`: the keys of people, and whose have changed.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    OwnedDeviceId, UserId,
    api::client::keys::{get_key_changes, get_keys::v3},
    serde::Raw,
};
use sqlx::AnyConnection;

use super::{
    device_lists,
    rows::{self, damaged},
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Ruma},
    session::Session,
};

/// Most people of one request.
const PEOPLE_MAX: usize = 2_000;

/// Somebody without devices, an unknown person and one of another network have an empty entry: apps forget the devices
/// that are not in it.
pub(super) async fn query(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Reply<v3::Response>, Error> {
    if request.device_keys.len() > PEOPLE_MAX {
        return Err(Error::invalid(format!("keys of at most {PEOPLE_MAX} people are read")));
    }
    let mut connection = homeserver.pool().acquire().await?;
    let mut response = v3::Response::new();
    for (user, devices) in &request.device_keys {
        add(&mut connection, &mut response, (user, devices), &session.user).await?;
    }
    Ok(Reply(response))
}

/// Adds the keys of a person. `devices` is empty for all of them.
async fn add(
    connection: &mut AnyConnection,
    response: &mut v3::Response,
    (user, devices): (&UserId, &[OwnedDeviceId]),
    viewer: &UserId,
) -> Result<(), Error> {
    let mut signatures = rows::signatures(&mut *connection, user, viewer).await?;
    let known = response.device_keys.entry(user.to_owned()).or_default();
    for (device, keys, name) in rows::devices(&mut *connection, user).await? {
        if devices.is_empty() || devices.contains(&device) {
            let added = signatures.remove(device.as_str()).unwrap_or_default();
            known.insert(device, raw(keys.to_json(added, name.as_deref()))?);
        }
    }
    let identity = rows::identity(connection, user).await?;
    if let Some(key) = identity.master {
        let added = signatures.remove(key.public()).unwrap_or_default();
        response.master_keys.insert(user.to_owned(), raw(key.to_json(added))?);
    }
    if let Some(key) = identity.self_signing {
        response.self_signing_keys.insert(user.to_owned(), raw(key.to_json(Vec::new()))?);
    }
    if let Some(key) = identity.user_signing.filter(|_| user == viewer) {
        response.user_signing_keys.insert(user.to_owned(), raw(key.to_json(Vec::new()))?);
    }
    Ok(())
}

fn raw<T>(json: String) -> Result<Raw<T>, Error> {
    Raw::from_json_string(json).map_err(|_| damaged("keys"))
}

/// `to` is not read: what happened after it is named, too, and named again in the sync that follows.
pub(super) async fn changes(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_key_changes::v3::Request>,
) -> Result<Reply<get_key_changes::v3::Response>, Error> {
    let since = homeserver.clock().read_sync(Some(&request.from));
    let mut connection = homeserver.pool().acquire().await?;
    let lists = device_lists::since(&mut connection, &session.user, since).await?;
    Ok(Reply(get_key_changes::v3::Response::new(lists.changed, lists.left)))
}
