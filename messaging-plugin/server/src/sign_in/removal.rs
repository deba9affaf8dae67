//! A person leaves for good.

use ruma::UserId;
use store::column;

use super::devices;
use crate::{error::Error, homeserver::Transaction, keys, personal, rooms};

/// Removes a person from the rooms: signs all apps out, leaves every room, and deletes what is the person's alone. What the
/// person wrote stays. The user id is not given to anybody else; the same person would have it again.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn remove_person(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    devices::remove_every(tx, user).await?;
    keys::forget_person(tx, user).await?;
    personal::forget_person(tx, user).await?;
    rooms::leave_all(tx, user).await?;
    let now = column::sql(tx.now().get().into());
    let query =
        "UPDATE people SET removed_at = $1, visited_at = NULL, avatar = NULL WHERE user_id = $2";
    sqlx::query(query).bind(now).bind(user.to_string()).execute(tx.connection()).await?;
    Ok(())
}
