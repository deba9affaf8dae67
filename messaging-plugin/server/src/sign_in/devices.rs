//! Apps that signed in: `devices`, `logout`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use mesh_identity::User;
use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, UserId,
    api::client::{
        device::{delete_device, delete_devices, get_device, get_devices, update_device},
        session::{logout, logout_all},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use store::column;
use telmeet_core::person::display_name;

use super::{
    people,
    tokens::{Change, SignedIn},
};
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    keys,
    matrix::{self, Route, Ruma, route},
    random,
    session::{Session, token_hash},
};

/// Most apps of a person; the least recently used is signed out.
pub const DEVICES_MAX: u64 = 64;

/// Longest id that an app chooses for itself.
const ID_MAX: usize = 64;

/// Letters of the ids that the server makes.
const LETTERS: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

pub(super) fn routes() -> Vec<Route> {
    [
        route::<get_devices::v3::Request, _, _>(list),
        route::<get_device::v3::Request, _, _>(show),
        route::<update_device::v3::Request, _, _>(rename),
        route::<delete_device::v3::Request, _, _>(remove_one),
        route::<delete_devices::v3::Request, _, _>(remove_several),
        route::<logout::v3::Request, _, _>(sign_out),
        route::<logout_all::v3::Request, _, _>(sign_out_all),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An app that signs in.
#[derive(Debug)]
pub struct NewDevice {
    /// The person.
    pub person: User,
    /// Stable id of the node.
    pub node: String,
    /// The app's id, if it has one. One that is known gets another token.
    pub device: Option<OwnedDeviceId>,
    /// Its name, unless it is known.
    pub name: Option<String>,
}

/// An app that is signed in now.
#[derive(Debug)]
pub struct Opened {
    /// The person.
    pub user: OwnedUserId,
    /// The app.
    pub device: OwnedDeviceId,
    /// Its access token.
    pub token: String,
}

/// Signs an app in.
///
/// # Errors
///
/// [`Error::Core`] if its id is malformed; [`Error::Database`].
pub async fn open(homeserver: &Homeserver, new: NewDevice) -> Result<Opened, Error> {
    let device = match new.device {
        Some(id) => checked(id)?,
        None => made()?,
    };
    let token = random::secret()?;
    let (network, hash) = (homeserver.network.clone(), token_hash(&token));
    homeserver
        .write(move |tx| {
            Box::pin(async move {
                let user = people::enter(tx, &network, &new.person).await?;
                let now = tx.now().get().into();
                let app = SignedIn::new(user.clone(), device.clone(), new.node, new.person, now);
                let name = new.name.as_deref().and_then(display_name);
                insert(tx, hash, &app, name, now).await?;
                tx.sessions().push(Change::Opened(hash, Arc::new(app)));
                remove_least_used(tx, &user).await?;
                tx.touch(&user);
                Ok(Opened { user, device, token })
            })
        })
        .await
}

/// An id that an app chose.
fn checked(id: OwnedDeviceId) -> Result<OwnedDeviceId, Error> {
    let text = id.as_str();
    let is_good = (1..=ID_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if is_good {
        Ok(id)
    } else {
        Err(Error::invalid("device_id is 1 to 64 letters, digits and signs"))
    }
}

fn made() -> Result<OwnedDeviceId, Error> {
    let letters =
        random::bytes::<10>()?.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    Ok(letters.iter().collect::<String>().into())
}

async fn insert(
    tx: &mut Transaction,
    hash: [u8; 32],
    app: &SignedIn,
    name: Option<String>,
    now: u64,
) -> Result<(), Error> {
    let query = "INSERT INTO devices (user_id, device_id, token_hash, node, display_name, created_at, seen_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (user_id, device_id) DO UPDATE SET \
         token_hash = excluded.token_hash, node = excluded.node, seen_at = excluded.seen_at";
    sqlx::query(query)
        .bind(app.user.to_string())
        .bind(app.device.to_string())
        .bind(hash.to_vec())
        .bind(app.node.clone())
        .bind(name)
        .bind(column::sql(now))
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn remove_least_used(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    let query = "SELECT device_id FROM devices WHERE user_id = $1 ORDER BY seen_at DESC, created_at DESC \
         LIMIT 64 OFFSET $2";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.to_string());
    let devices = query.bind(column::sql(DEVICES_MAX)).fetch_all(tx.connection()).await?;
    for device in devices {
        remove(tx, user, device.as_str().into()).await?;
    }
    Ok(())
}

/// Removes an app with all that belongs to it alone. Its requests end after the commit.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn remove(tx: &mut Transaction, user: &UserId, device: &DeviceId) -> Result<(), Error> {
    for query in [
        "DELETE FROM pushers WHERE user_id = $1 AND device_id = $2",
        "DELETE FROM transactions WHERE user_id = $1 AND device_id = $2",
    ] {
        delete(tx, query, user, device).await?;
    }
    keys::forget_device(tx, user, device).await?;
    let app = "DELETE FROM devices WHERE user_id = $1 AND device_id = $2";
    if delete(tx, app, user, device).await? {
        tx.sessions().push(Change::Closed(user.to_owned(), device.to_owned()));
        tx.touch(user);
    }
    Ok(())
}

/// Runs a query for an app. Returns whether there was something to delete.
async fn delete(
    tx: &mut Transaction,
    query: &'static str,
    user: &UserId,
    device: &DeviceId,
) -> Result<bool, Error> {
    let query = sqlx::query(query).bind(user.to_string()).bind(device.to_string());
    Ok(query.execute(tx.connection()).await?.rows_affected() > 0)
}

/// Removes apps of a person. Those that the person does not have are no error.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn remove_all(
    homeserver: &Homeserver,
    user: OwnedUserId,
    devices: Vec<OwnedDeviceId>,
) -> Result<(), Error> {
    homeserver
        .write(move |tx| {
            Box::pin(async move {
                for device in &devices {
                    remove(tx, &user, device).await?;
                }
                Ok(())
            })
        })
        .await
}

/// Removes all apps of a person.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn remove_every(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    for row in rows(tx.connection(), user).await? {
        let device: String = row.try_get("device_id")?;
        remove(tx, user, device.as_str().into()).await?;
    }
    Ok(())
}

/// Rows of a person's apps.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn rows(connection: &mut AnyConnection, user: &UserId) -> Result<Vec<AnyRow>, Error> {
    let query = "SELECT device_id, display_name FROM devices WHERE user_id = $1 ORDER BY created_at, device_id";
    Ok(sqlx::query(query).bind(user.to_string()).fetch_all(connection).await?)
}

async fn list(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "devices": devices(&homeserver, &session.user).await? })))
}

async fn show(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let devices = devices(&homeserver, &session.user).await?;
    let found = devices.into_iter().find(|device| device["device_id"] == *id);
    found.map(Json).ok_or(Error::NotFound("there is no such device"))
}

async fn devices(homeserver: &Homeserver, user: &UserId) -> Result<Vec<Value>, Error> {
    let mut connection = homeserver.pool().acquire().await?;
    let rows = rows(&mut connection, user).await?;
    let mut devices = Vec::with_capacity(rows.len());
    for row in rows {
        let id: String = row.try_get("device_id")?;
        let name: Option<String> = row.try_get("display_name")?;
        let mut device = json!({ "device_id": id });
        if let Some(name) = name {
            device["display_name"] = name.into();
        }
        if let Some(seen) = homeserver.sign_in.tokens.last_seen(user, &id) {
            device["last_seen_ts"] = seen.into();
        }
        devices.push(device);
    }
    Ok(devices)
}

async fn rename(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<update_device::v3::Request>,
) -> Result<Json<Value>, Error> {
    homeserver
        .write(move |tx| {
            Box::pin(async move {
                let name = request.display_name.as_deref().map(display_name);
                // Without a name there is nothing to change, but the device must exist.
                let query = "UPDATE devices SET display_name = CASE WHEN $1 = 1 THEN $2 ELSE display_name END \
                     WHERE user_id = $3 AND device_id = $4";
                let query = sqlx::query(query)
                    .bind(i64::from(name.is_some()))
                    .bind(name.flatten())
                    .bind(session.user.to_string())
                    .bind(request.device_id.to_string());
                if query.execute(tx.connection()).await?.rows_affected() == 0 {
                    return Err(Error::NotFound("there is no such device"));
                }
                Ok(Json(json!({})))
            })
        })
        .await
}

/// A device that the person does not have is removed already.
async fn remove_one(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    remove_all(&homeserver, session.user, vec![id.into()]).await?;
    Ok(Json(json!({})))
}

/// Apps to remove. No second proof is asked for: the mesh says who is calling.
#[derive(Deserialize)]
struct Removal {
    devices: Vec<OwnedDeviceId>,
}

async fn remove_several(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    matrix::Json(removal): matrix::Json<Removal>,
) -> Result<Json<Value>, Error> {
    if removal.devices.len() as u64 > DEVICES_MAX {
        return Err(Error::invalid("these are more devices than a person can have"));
    }
    remove_all(&homeserver, session.user, removal.devices).await?;
    Ok(Json(json!({})))
}

async fn sign_out(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
) -> Result<Json<Value>, Error> {
    remove_all(&homeserver, session.user, vec![session.device]).await?;
    Ok(Json(json!({})))
}

async fn sign_out_all(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
) -> Result<Json<Value>, Error> {
    let write =
        homeserver.write(move |tx| Box::pin(async move { remove_every(tx, &session.user).await }));
    write.await?;
    Ok(Json(json!({})))
}
