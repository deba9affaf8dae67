//! Account data: what a person's apps store for each other (specification, client-server API, "Client Config"), for the
//! person or for one of the person's rooms.
//!
//! Every function fails with [`Error::Database`] if the database does.

use std::collections::BTreeSet;

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::ignored_user_list::IgnoredUserListEventContent,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::{AnyConnection, Row as _};
use store::{DatabaseError, column};
use telmeet_core::token::Position;

use crate::{error::Error, homeserver::Transaction, vault::Vault};

/// Largest content, in bytes.
pub(crate) const CONTENT_MAX: usize = 256 << 10;
/// Most entries of a person, in all rooms.
pub(crate) const ENTRIES_MAX: u64 = 10_000;
/// Longest type, in bytes.
const KIND_MAX: usize = 255;
/// The type of the list of ignored people.
const IGNORED: &str = "m.ignored_user_list";
/// The type of push rules.
pub(crate) const PUSH_RULES: &str = "m.push_rules";
/// Where the content is sealed.
const CELL: (&str, &str) = ("account_data", "content_sealed");

/// Account data of a person.
#[derive(Debug)]
pub(crate) struct AccountData {
    /// The room; none for the person.
    pub(crate) room: Option<OwnedRoomId>,
    /// The type.
    pub(crate) kind: String,
    /// The content.
    pub(crate) content: Box<RawValue>,
    /// Where it changed last.
    pub(crate) position: Position,
}

impl AccountData {
    /// As an event of a sync.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] if it cannot be written as JSON.
    pub(crate) fn event(&self) -> Result<Box<RawValue>, Error> {
        #[derive(Serialize)]
        struct Event<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            content: &'a RawValue,
        }
        let event = Event { kind: &self.kind, content: &self.content };
        to_raw_value(&event).map_err(|_| Error::bad_json("the event cannot be written as JSON"))
    }
}

/// The content of one entry.
pub(crate) async fn get(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
) -> Result<Option<Box<RawValue>>, Error> {
    let room = room.map_or("", RoomId::as_str);
    let query =
        "SELECT content_sealed FROM account_data WHERE user_id = $1 AND room_id = $2 AND kind = $3";
    let query = sqlx::query_scalar::<_, Vec<u8>>(query).bind(user.as_str()).bind(room).bind(kind);
    let sealed = query.fetch_optional(connection).await?;
    sealed.map(|sealed| open(vault, (user.as_str(), room, kind), &sealed)).transpose()
}

/// The entries that changed at positions above `after` and up to `upto`, in that order.
pub(crate) async fn changes(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
    (after, upto): (Position, Position),
) -> Result<Vec<AccountData>, Error> {
    let query = "SELECT room_id, kind, content_sealed, position FROM account_data WHERE user_id = $1 AND position > $2 \
         AND position <= $3 ORDER BY position";
    let query =
        sqlx::query(query).bind(user.as_str()).bind(column::sql(after)).bind(column::sql(upto));
    let mut entries = Vec::new();
    for row in query.fetch_all(connection).await? {
        let (room, kind): (String, String) = (row.try_get("room_id")?, row.try_get("kind")?);
        let sealed: Vec<u8> = row.try_get("content_sealed")?;
        let content = open(vault, (user.as_str(), &room, &kind), &sealed)?;
        let room = if room.is_empty() { None } else { Some(room) };
        let room =
            room.map(RoomId::parse).transpose().map_err(|_| DatabaseError::Row("room_id"))?;
        entries.push(AccountData {
            room,
            kind,
            content,
            position: column::number(&row, "position")?,
        });
    }
    Ok(entries)
}

/// Stores an entry, which the person's syncs then show.
///
/// # Errors
///
/// [`Error::Core`] if the type or the content is too long, the content is no object, or the person has too many entries.
pub(crate) async fn set(
    transaction: &mut Transaction,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
    content: &RawValue,
) -> Result<(), Error> {
    let room = room.map_or("", RoomId::as_str);
    check(kind, content)?;
    check_count(transaction.connection(), user).await?;
    let position = transaction.position();
    let row = row_key(user.as_str(), room, kind);
    let sealed = transaction.vault().seal(CELL.0, CELL.1, &row, content.get().as_bytes())?;
    let query = "INSERT INTO account_data (user_id, room_id, kind, content_sealed, position) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (user_id, room_id, kind) DO UPDATE SET content_sealed = excluded.content_sealed, \
         position = excluded.position";
    sqlx::query(query)
        .bind(user.as_str())
        .bind(room)
        .bind(kind)
        .bind(sealed)
        .bind(column::sql(position))
        .execute(transaction.connection())
        .await?;
    transaction.touch(user);
    if [IGNORED, PUSH_RULES].contains(&kind) {
        transaction.rules_changed(user);
    }
    Ok(())
}

/// The people whom a person ignores.
pub(crate) async fn ignored(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
) -> Result<BTreeSet<OwnedUserId>, Error> {
    let content = get(connection, vault, user, None, IGNORED).await?;
    let list = content.and_then(|content| serde_json::from_str(content.get()).ok());
    let users =
        list.map(|list: IgnoredUserListEventContent| list.ignored_users.into_keys().collect());
    Ok(users.unwrap_or_default())
}

fn check(kind: &str, content: &RawValue) -> Result<(), Error> {
    if kind.len() > KIND_MAX {
        return Err(telmeet_core::Error::TooLarge { what: "the type", max: "255 bytes" }.into());
    }
    if content.get().len() > CONTENT_MAX {
        return Err(telmeet_core::Error::TooLarge { what: "account data", max: "256 KiB" }.into());
    }
    if !content.get().starts_with('{') {
        return Err(Error::bad_json("account data is a JSON object"));
    }
    Ok(())
}

async fn check_count(connection: &mut AnyConnection, user: &UserId) -> Result<(), Error> {
    let query = "SELECT COUNT(*) FROM account_data WHERE user_id = $1";
    let query = sqlx::query_scalar::<_, i64>(query).bind(user.as_str());
    let count = column::unsigned(query.fetch_one(connection).await?, "count")?;
    if count >= ENTRIES_MAX {
        return Err(
            telmeet_core::Error::TooLarge { what: "account data", max: "10,000 entries" }.into()
        );
    }
    Ok(())
}

fn open(
    vault: &Vault,
    (user, room, kind): (&str, &str, &str),
    sealed: &[u8],
) -> Result<Box<RawValue>, Error> {
    let content = vault.open(CELL.0, CELL.1, &row_key(user, room, kind), sealed)?;
    let content =
        String::from_utf8(content).ok().and_then(|content| RawValue::from_string(content).ok());
    Ok(content.ok_or(DatabaseError::Row(CELL.1))?)
}

/// The three columns that make a row unique; none has a zero byte.
fn row_key(user: &str, room: &str, kind: &str) -> Vec<u8> {
    [user, room, kind].join("\0").into_bytes()
}
