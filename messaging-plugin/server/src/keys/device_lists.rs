//! Whose devices or identity changed, and with whom a person began or ceased to share a room (specification,
//! client-server API, "Tracking the device list for a user").
//!
//! A change is kept for each person with the position of the last one. Whether two people share a room, and since when,
//! follows from their memberships: `joined_at` is the position of the join that began the present or last stay.

use std::collections::BTreeSet;

use ruma::{OwnedUserId, UserId, api::client::sync::sync_events::DeviceLists};
use sqlx::{AnyConnection, Row as _};
use store::column;
use telmeet_core::token::{Position, Since};

use super::rows::damaged;
use crate::{error::Error, homeserver::Transaction};

/// Who reads a change that everybody reads.
const EVERYBODY: &str = "";

/// People who share a room with `$1`.
const SHARING: &str = "SELECT DISTINCT b.user_id FROM memberships a JOIN memberships b ON b.room_id = a.room_id \
     WHERE a.user_id = $1 AND a.membership = 'join' AND b.membership = 'join'";

/// Notes that the keys of a person's devices or identity changed, for all who share a room with the person, and for the
/// person's own devices.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn changed(transaction: &mut Transaction, user: &UserId) -> Result<(), Error> {
    record(transaction, user, EVERYBODY).await?;
    transaction.touch(user);
    for other in users(transaction.connection(), SHARING, user).await? {
        transaction.touch(&other);
    }
    Ok(())
}

/// Notes that `viewer` signed the identity of a person. Nobody else sees such signatures.
pub(super) async fn changed_for(
    transaction: &mut Transaction,
    user: &UserId,
    viewer: &UserId,
) -> Result<(), Error> {
    record(transaction, user, viewer.as_str()).await?;
    transaction.touch(viewer);
    Ok(())
}

async fn record(transaction: &mut Transaction, user: &UserId, viewer: &str) -> Result<(), Error> {
    let position = column::sql(transaction.position());
    let query = "INSERT INTO device_list_changes (user_id, viewer, position) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id, viewer) DO UPDATE SET position = excluded.position";
    let query = sqlx::query(query).bind(user.as_str()).bind(viewer.to_owned()).bind(position);
    query.execute(transaction.connection()).await?;
    Ok(())
}

/// What a person's devices are told after `since`. Without a position that is everybody with whom the person shares a
/// room: an app that has none forgets what it knew, or asks again after the database was restored.
pub(super) async fn since(
    connection: &mut AnyConnection,
    user: &UserId,
    since: Since,
) -> Result<DeviceLists, Error> {
    let mut lists = DeviceLists::new();
    let after = match since {
        Since::After(position) => position,
        Since::Start => {
            let mut changed = users(connection, SHARING, user).await?;
            changed.insert(user.to_owned());
            lists.changed = changed.into_iter().collect();
            return Ok(lists);
        }
    };
    let mut changed = keys_changed(&mut *connection, user, after).await?;
    let query = "SELECT DISTINCT b.user_id, \
         CASE WHEN EXISTS (SELECT 1 FROM memberships x JOIN memberships y ON y.room_id = x.room_id \
           WHERE x.user_id = $1 AND y.user_id = b.user_id AND x.membership = 'join' AND y.membership = 'join') \
           THEN 'yes' ELSE 'no' END AS is_shared, \
         CASE WHEN EXISTS (SELECT 1 FROM memberships x JOIN memberships y ON y.room_id = x.room_id \
           WHERE x.user_id = $1 AND y.user_id = b.user_id AND x.membership = 'join' AND y.membership = 'join' \
           AND x.joined_at <= $2 AND y.joined_at <= $2) THEN 'yes' ELSE 'no' END AS was_shared \
         FROM memberships m \
         JOIN memberships a ON a.room_id = m.room_id AND a.user_id = $1 \
         JOIN memberships b ON b.room_id = m.room_id AND b.user_id <> $1 \
         WHERE m.position > $2 AND (m.user_id = $1 OR m.user_id = b.user_id) \
         AND a.joined_at > 0 AND b.joined_at > 0 \
         AND (a.membership = 'join' OR a.position > $2) AND (b.membership = 'join' OR b.position > $2)";
    let query = sqlx::query(query).bind(user.as_str()).bind(column::sql(after));
    for row in query.fetch_all(connection).await? {
        let other = parse(row.try_get("user_id")?)?;
        let is = |name: &str| Ok::<_, sqlx::Error>(row.try_get::<String, _>(name)? == "yes");
        match (is("is_shared")?, is("was_shared")?) {
            (true, false) => drop(changed.insert(other)),
            (true, true) => {}
            (false, _) => lists.left.push(other),
        }
    }
    lists.changed = changed.into_iter().collect();
    Ok(lists)
}

/// The person and those who share a room with the person, as far as their keys changed after a position.
async fn keys_changed(
    connection: &mut AnyConnection,
    user: &UserId,
    after: Position,
) -> Result<BTreeSet<OwnedUserId>, Error> {
    let query = "SELECT DISTINCT c.user_id FROM device_list_changes c \
         WHERE c.position > $2 AND c.viewer IN ('', $1) AND (c.user_id = $1 OR c.viewer = $1 OR EXISTS \
         (SELECT 1 FROM memberships a JOIN memberships b ON b.room_id = a.room_id WHERE a.user_id = $1 \
         AND b.user_id = c.user_id AND a.membership = 'join' AND b.membership = 'join'))";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str()).bind(column::sql(after));
    query.fetch_all(connection).await?.into_iter().map(parse).collect()
}

/// Those with whom a person shares a room, and the person.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn sharing(
    connection: &mut AnyConnection,
    user: &UserId,
) -> Result<BTreeSet<OwnedUserId>, Error> {
    users(connection, SHARING, user).await
}

async fn users(
    connection: &mut AnyConnection,
    query: &'static str,
    user: &UserId,
) -> Result<BTreeSet<OwnedUserId>, Error> {
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str());
    query.fetch_all(connection).await?.into_iter().map(parse).collect()
}

fn parse(user: String) -> Result<OwnedUserId, Error> {
    UserId::parse(user).map_err(|_| damaged("user_id"))
}
