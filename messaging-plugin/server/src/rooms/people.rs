//! The network's people, as rooms need them.

use std::collections::BTreeSet;

use ruma::{OwnedUserId, UserId, events::ignored_user_list::IgnoredUserListEventContent};
use sqlx::{AnyConnection, Row as _};
use telmeet_core::create::Profile;

use crate::{error::Error, vault::Vault};

/// The account data with the people whom a person ignores.
const IGNORED: &str = "m.ignored_user_list";

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
    let query =
        "SELECT content_sealed FROM account_data WHERE user_id = $1 AND room_id = '' AND kind = $2";
    let query = sqlx::query_scalar::<_, Vec<u8>>(query).bind(user.as_str()).bind(IGNORED);
    let Some(sealed) = query.fetch_optional(connection).await? else {
        return Ok(BTreeSet::new());
    };
    let row = [user.as_str(), "", IGNORED].join("\0");
    let content = vault.open("account_data", "content_sealed", row.as_bytes(), &sealed)?;
    let list: Option<IgnoredUserListEventContent> = serde_json::from_slice(&content).ok();
    Ok(list.map(|list| list.ignored_users.into_keys().collect()).unwrap_or_default())
}
