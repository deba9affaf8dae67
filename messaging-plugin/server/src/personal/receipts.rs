//! Read receipts and read markers (specification, client-server API, "Receipts", "Fully read markers").

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, RoomId, UserId,
    api::client::{
        read_marker::set_read_marker,
        receipt::create_receipt::{self, v3::ReceiptType},
    },
    events::{receipt::ReceiptThread, room::member::MembershipState},
};
use serde_json::{Map, Value, json, value::to_raw_value};
use sqlx::{AnyConnection, Row as _};
use store::column;
use telmeet_core::{
    token::Position,
    unread::{Receipts, THREADS_MAX},
};

use super::account_data;
use crate::{
    error::Error,
    events::{self, StoredEvent},
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Route, Ruma, route},
    session::Session,
    sync::recent::Receipt,
};

/// Most receipts of a room in one sync.
const SHOWN_MAX: i64 = 5_000;
/// The type of read markers, which are account data of rooms.
const MARKER: &str = "m.fully_read";

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    let create = route::<create_receipt::v3::Request, _, _>(create);
    create.into_iter().chain(route::<set_read_marker::v3::Request, _, _>(set_markers)).collect()
}

/// How far a person has read in a room.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn read_up_to(
    connection: &mut AnyConnection,
    room: &RoomId,
    user: &UserId,
    upto: Position,
) -> Result<Receipts, Error> {
    let query = "SELECT thread, event_position FROM receipts WHERE room_id = $1 AND user_id = $2 AND position <= $3";
    let query = sqlx::query(query).bind(room.as_str()).bind(user.as_str()).bind(column::sql(upto));
    let mut receipts = Receipts::default();
    for row in query.fetch_all(connection).await? {
        let thread: String = row.try_get("thread")?;
        let thread = Some(thread).filter(|thread| !thread.is_empty());
        if let Ok(thread) = ReceiptThread::try_from(thread) {
            receipts.read(&thread, column::number(&row, "event_position")?);
        }
    }
    Ok(receipts)
}

/// The `m.receipt` event with the receipts that changed in a room at positions above `after` and up to `upto`, if there
/// are any. Private receipts are shown to their person only.
///
/// An event has one receipt of a person in it: the one without a thread if there are several.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn changes(
    connection: &mut AnyConnection,
    room: &RoomId,
    reader: &UserId,
    (after, upto): (Position, Position),
) -> Result<Option<Value>, Error> {
    let query = "SELECT user_id, kind, thread, event_id, time FROM receipts WHERE room_id = $1 AND position > $2 \
         AND position <= $3 AND (kind = 'm.read' OR user_id = $4) ORDER BY thread DESC LIMIT $5";
    let rows = sqlx::query(query)
        .bind(room.as_str())
        .bind(column::sql(after))
        .bind(column::sql(upto))
        .bind(reader.as_str())
        .bind(SHOWN_MAX)
        .fetch_all(connection)
        .await?;
    let mut content = Map::new();
    for row in &rows {
        let text = |column: &str| row.try_get::<String, _>(column);
        let mut receipt = json!({ "ts": column::number(row, "time")? });
        let thread = text("thread")?;
        if !thread.is_empty() {
            receipt["thread_id"] = thread.into();
        }
        let event = content.entry(text("event_id")?).or_insert_with(|| json!({}));
        event[text("kind")?][text("user_id")?] = receipt;
    }
    Ok((!content.is_empty()).then(|| json!({ "type": "m.receipt", "content": content })))
}

async fn create(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<create_receipt::v3::Request>,
) -> Result<Reply<create_receipt::v3::Response>, Error> {
    let mark = match request.receipt_type {
        ReceiptType::Read => ReadMark::Public(request.thread),
        ReceiptType::ReadPrivate => ReadMark::Private(request.thread),
        ReceiptType::FullyRead => ReadMark::FullyRead,
        ReceiptType::_Custom(_) | _ => {
            return Err(Error::invalid("this type of receipt is not known"));
        }
    };
    store(&homeserver, session, request.room_id, vec![(mark, request.event_id)]).await?;
    Ok(Reply(create_receipt::v3::Response::new()))
}

async fn set_markers(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_read_marker::v3::Request>,
) -> Result<Reply<set_read_marker::v3::Response>, Error> {
    let marks = [
        (ReadMark::Public(ReceiptThread::Unthreaded), request.read_receipt),
        (ReadMark::Private(ReceiptThread::Unthreaded), request.private_read_receipt),
        (ReadMark::FullyRead, request.fully_read),
    ];
    let marks = marks.into_iter().filter_map(|(mark, event)| Some((mark, event?))).collect();
    store(&homeserver, session, request.room_id, marks).await?;
    Ok(Reply(set_read_marker::v3::Response::new()))
}

/// What a person says about how far it has read.
#[derive(Debug)]
enum ReadMark {
    /// To all members.
    Public(ReceiptThread),
    /// To the person's own apps, and for the counts of what is unread.
    Private(ReceiptThread),
    /// Where the person's apps continue.
    FullyRead,
}

/// Stores marks in one transaction.
async fn store(
    homeserver: &Homeserver,
    session: Session,
    room: OwnedRoomId,
    marks: Vec<(ReadMark, OwnedEventId)>,
) -> Result<(), Error> {
    homeserver
        .write(move |transaction| {
            async move {
                for (mark, event) in marks {
                    let event = find(transaction, &session.user, &room, &event).await?;
                    match mark {
                        ReadMark::Public(thread) => {
                            set(transaction, &session.user, "m.read", &thread, &event).await?
                        }
                        ReadMark::Private(thread) => {
                            set(transaction, &session.user, "m.read.private", &thread, &event)
                                .await?;
                        }
                        ReadMark::FullyRead => {
                            set_marker(transaction, &session.user, &event).await?
                        }
                    }
                }
                Ok(())
            }
            .boxed()
        })
        .await
}

/// An event that a member may read.
async fn find(
    transaction: &mut Transaction,
    user: &UserId,
    room_id: &RoomId,
    event: &EventId,
) -> Result<StoredEvent, Error> {
    let room = transaction.room(room_id).await?;
    let is_joined = room.is_some_and(|room| room.state.membership(user) == MembershipState::Join);
    if !is_joined {
        return Err(Error::forbidden("you are not in this room"));
    }
    let vault = transaction.vault();
    let access = events::access(transaction.connection(), &vault, room_id, user).await?;
    let event = events::by_id(transaction.connection(), &vault, room_id, event).await?;
    event
        .filter(|event| access.may_read(event.sequence))
        .ok_or(Error::NotFound("there is no such event"))
}

/// Stores a receipt, unless one of a later event is there.
async fn set(
    transaction: &mut Transaction,
    user: &UserId,
    kind: &str,
    thread: &ReceiptThread,
    event: &StoredEvent,
) -> Result<(), Error> {
    let room = &*event.event.room_id;
    let thread = thread.as_str().unwrap_or_default();
    if !is_main_or_event(thread) {
        return Err(Error::invalid("`thread_id` is `main` or the id of an event"));
    }
    let query = "SELECT event_position FROM receipts WHERE room_id = $1 AND user_id = $2 AND kind = $3 AND thread = $4";
    let query = sqlx::query_scalar::<_, i64>(query)
        .bind(room.as_str())
        .bind(user.as_str())
        .bind(kind)
        .bind(thread);
    let before = query.fetch_optional(transaction.connection()).await?;
    if before.is_some_and(|before| before >= column::sql(event.position)) {
        return Ok(());
    }
    let (position, time) = (transaction.position(), transaction.now());
    let query = "INSERT INTO receipts (room_id, user_id, kind, thread, event_id, event_position, time, position) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (room_id, user_id, kind, thread) DO UPDATE SET \
         event_id = excluded.event_id, event_position = excluded.event_position, time = excluded.time, \
         position = excluded.position";
    sqlx::query(query)
        .bind(room.as_str())
        .bind(user.as_str())
        .bind(kind)
        .bind(thread)
        .bind(event.event.event_id.as_str())
        .bind(column::sql(event.position))
        .bind(column::sql(time.get().into()))
        .bind(column::sql(position))
        .execute(transaction.connection())
        .await?;
    forget_threads(transaction.connection(), (room, user, kind), thread, event.position).await?;
    let (room_id, user) = (room.to_owned(), user.to_owned());
    transaction.read(Receipt { room_id, user, is_public: kind == "m.read", position }).await
}

/// Forgets receipts of threads that a receipt without a thread includes, and the oldest beyond the limit.
async fn forget_threads(
    connection: &mut AnyConnection,
    (room, user, kind): (&RoomId, &UserId, &str),
    thread: &str,
    position: Position,
) -> Result<(), Error> {
    let upto = if thread.is_empty() {
        column::sql(position)
    } else {
        let query = "SELECT event_position FROM receipts WHERE room_id = $1 AND user_id = $2 AND kind = $3 \
             AND thread <> '' ORDER BY event_position DESC LIMIT 1 OFFSET $4";
        let query = sqlx::query_scalar::<_, i64>(query)
            .bind(room.as_str())
            .bind(user.as_str())
            .bind(kind)
            .bind(column::sql(THREADS_MAX as u64));
        let Some(oldest) = query.fetch_optional(&mut *connection).await? else { return Ok(()) };
        oldest
    };
    let query = "DELETE FROM receipts WHERE room_id = $1 AND user_id = $2 AND kind = $3 AND thread <> '' \
         AND event_position <= $4";
    let query = sqlx::query(query).bind(room.as_str()).bind(user.as_str()).bind(kind).bind(upto);
    query.execute(connection).await?;
    Ok(())
}

/// Moves the read marker, unless it is at a later event.
async fn set_marker(
    transaction: &mut Transaction,
    user: &UserId,
    event: &StoredEvent,
) -> Result<(), Error> {
    let room = &*event.event.room_id;
    let vault = transaction.vault();
    let before =
        account_data::get(transaction.connection(), &vault, user, Some(room), MARKER).await?;
    let before = before.and_then(|content| serde_json::from_str::<Value>(content.get()).ok());
    let before = before.and_then(|content| EventId::parse(content["event_id"].as_str()?).ok());
    if let Some(before) = before
        && let Some(before) = events::by_id(transaction.connection(), &vault, room, &before).await?
        && before.position >= event.position
    {
        return Ok(());
    }
    let content = to_raw_value(&json!({ "event_id": event.event.event_id }));
    let content = content.map_err(|_| Error::bad_json("the marker cannot be written as JSON"))?;
    account_data::set(transaction, user, Some(room), MARKER, &content).await
}

fn is_main_or_event(thread: &str) -> bool {
    thread.is_empty() || thread == "main" || EventId::parse(thread).is_ok()
}
