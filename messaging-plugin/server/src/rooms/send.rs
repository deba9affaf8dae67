//! Messages, state and redactions that clients send (specification, client-server API, "Sending events to a room").

use std::sync::Arc;

use axum::{extract::State, http::Method};
use futures_util::FutureExt as _;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, OwnedEventId, OwnedTransactionId, RoomId,
    UserId,
    api::client::{message::send_message_event, redact::redact_event, state::send_state_event},
    events::{StateEventType, TimelineEventType, relation::RelationType},
};
use telmeet_core::{
    authorise,
    event::{Draft, Event},
    json,
    relation::{self, Relation},
    token::Position,
};

use super::{
    aliases, list,
    member::{self, Change},
    view::{hidden, is_joined},
};
use crate::{
    error::Error,
    events::{self, Direction, READ_MAX, StoredEvent},
    homeserver::{Homeserver, Room, SentBy, Transaction},
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// Longest transaction id, in bytes.
const TRANSACTION_ID_MAX: usize = 255;

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<send_message_event::v3::Request, _, _>(send),
        route::<redact_event::v3::Request, _, _>(redact),
        list::state_routes::<send_state_event::v3::Request, _, _>(Method::PUT, set_state),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn send(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<send_message_event::v3::Request>,
) -> Result<Reply<send_message_event::v3::Response>, Error> {
    let content = json::content(request.body.json().get().as_bytes())?;
    let kind = request.event_type.to_string().into();
    let event_id = post(&hs, session, &request.room_id, kind, content, request.txn_id).await?;
    Ok(Reply(send_message_event::v3::Response::new(event_id)))
}

async fn redact(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<redact_event::v3::Request>,
) -> Result<Reply<redact_event::v3::Response>, Error> {
    let mut content = CanonicalJsonObject::new();
    content.insert("redacts".to_owned(), request.event_id.as_str().into());
    if let Some(reason) = request.reason {
        content.insert("reason".to_owned(), reason.into());
    }
    let kind = TimelineEventType::RoomRedaction;
    let event_id = post(&hs, session, &request.room_id, kind, content, request.txn_id).await?;
    Ok(Reply(redact_event::v3::Response::new(event_id)))
}

/// Sends an event without a state key, once for each transaction id, whatever a repeated request says.
async fn post(
    hs: &Homeserver,
    session: Session,
    room_id: &RoomId,
    kind: TimelineEventType,
    content: CanonicalJsonObject,
    transaction: OwnedTransactionId,
) -> Result<OwnedEventId, Error> {
    if transaction.as_str().len() > TRANSACTION_ID_MAX {
        return Err(Error::invalid("a transaction id has at most 255 bytes"));
    }
    let sent_by = SentBy { device: session.device, id: transaction };
    let (room, user) = (room_id.to_owned(), session.user.clone());
    hs.write(move |tx| {
        async move {
            let time = tx.now();
            let draft = Draft { room_id: room, sender: user, kind, state_key: None, content, time };
            send_once(tx, draft, &sent_by).await
        }
        .boxed()
    })
    .await
}

async fn send_once(
    tx: &mut Transaction,
    draft: Draft,
    sent_by: &SentBy,
) -> Result<OwnedEventId, Error> {
    let room = tx.room(&draft.room_id).await?.filter(|room| is_joined(room, &draft.sender));
    let room = room.ok_or_else(hidden)?;
    let request = (draft.sender.clone(), draft.room_id.clone(), draft.kind.clone());
    let refusal = match prepare(tx, draft, &room).await {
        Ok((event, redacts)) => {
            if let Some(position) = tx.append_once(&room, &event, sent_by).await? {
                if let Some(target) = redacts {
                    destroy(tx, &target, position).await?;
                }
                return Ok(event.event_id.clone());
            }
            Error::NotFound("the event that this request sent is gone")
        }
        Err(refusal) => refusal,
    };
    // What is refused, or was sent, now may be a repetition.
    let (sender, room_id, kind) = request;
    let sent = events::sent(tx.connection(), &sender, (&room_id, &kind), sent_by).await;
    sent?.ok_or(refusal)
}

/// Makes an event and checks whether it may be sent. Returns the event that it redacts, too, unless that was redacted
/// before. Nothing changes.
async fn prepare(
    tx: &mut Transaction,
    draft: Draft,
    room: &Room,
) -> Result<(Arc<Event>, Option<StoredEvent>), Error> {
    let redacts = if draft.kind == TimelineEventType::RoomRedaction {
        Some(redaction_target(tx, &draft, room).await?).filter(|it| it.redacted_by.is_none())
    } else {
        check_relation(tx, &draft).await?;
        None
    };
    let (_, event) = tx.build(draft).await?;
    Ok((event, redacts))
}

/// Refuses a relation that makes no sense: the same reaction again, a thread inside of a thread.
async fn check_relation(tx: &mut Transaction, draft: &Draft) -> Result<(), Error> {
    let Some(relation) = Relation::of_content(&draft.content) else { return Ok(()) };
    let vault = tx.vault();
    let target = events::by_id(tx.connection(), &vault, &draft.room_id, &relation.event_id).await?;
    let has_reacted = relation.kind == RelationType::Annotation
        && has_reacted(tx, &draft.sender, &draft.room_id, &relation).await?;
    let target = target.as_ref().map(|stored| &*stored.event);
    Ok(relation::check(&relation, target, has_reacted)?)
}

async fn has_reacted(
    tx: &mut Transaction,
    sender: &UserId,
    room: &RoomId,
    relation: &Relation,
) -> Result<bool, Error> {
    let query = "SELECT COUNT(*) FROM events WHERE relates_to = $1 AND relation = 'm.annotation' AND relation_key = $2 \
         AND room_id = $3 AND sender = $4";
    let query = sqlx::query_scalar::<_, i64>(query)
        .bind(relation.event_id.as_str())
        .bind(relation.key.clone().unwrap_or_default())
        .bind(room.as_str())
        .bind(sender.as_str());
    Ok(query.fetch_one(tx.connection()).await? > 0)
}

/// The event that a redaction names, which its sender may redact.
async fn redaction_target(
    tx: &mut Transaction,
    draft: &Draft,
    room: &Room,
) -> Result<StoredEvent, Error> {
    let target = draft.content.get("redacts").and_then(CanonicalJsonValue::as_str);
    let target = target.and_then(|id| EventId::parse(id).ok());
    let target = target.ok_or_else(|| Error::bad_json("`redacts` is the id of an event"))?;
    let vault = tx.vault();
    let target = events::by_id(tx.connection(), &vault, &draft.room_id, &target).await?;
    let target = target.ok_or(Error::NotFound("the room has no such event"))?;
    authorise::check_redaction(&draft.sender, &target.event.sender, &room.state)?;
    Ok(target)
}

/// Destroys the content of an event and of its edits.
async fn destroy(
    tx: &mut Transaction,
    target: &StoredEvent,
    redacted_by: Position,
) -> Result<(), Error> {
    let vault = tx.vault();
    let ids = (&*target.event.room_id, &*target.event.event_id);
    let mut after = target.position;
    loop {
        let range = (after, redacted_by);
        let order = Direction::Forward;
        let related = events::related(tx.connection(), &vault, ids, range, READ_MAX, order).await?;
        for stored in related.iter().filter(|it| relation::is_edit(&it.event, &target.event)) {
            tx.redact(&stored.event, Some(redacted_by)).await?;
        }
        match related.last() {
            Some(last) if related.len() == READ_MAX => after = last.position,
            Some(_) | None => break,
        }
    }
    tx.redact(&target.event, Some(redacted_by)).await
}

async fn set_state(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<send_state_event::v3::Request>,
) -> Result<Reply<send_state_event::v3::Response>, Error> {
    let content = json::content(request.body.json().get().as_bytes())?;
    let kind = TimelineEventType::from(request.event_type.to_string());
    let (room_id, sender, key) = (request.room_id, session.user, request.state_key);
    let event_id = hs
        .write(move |tx| {
            async move {
                if kind == TimelineEventType::RoomMember {
                    let target = UserId::parse(key);
                    let target = target.map_err(|_| Error::invalid("this is not a user id"))?;
                    return member::set(tx, Change { room_id, sender, target, content }).await;
                }
                let time = tx.now();
                let state_key = Some(key);
                send_state(tx, Draft { room_id, sender, kind, state_key, content, time }).await
            }
            .boxed()
        })
        .await?;
    Ok(Reply(send_state_event::v3::Response::new(event_id)))
}

/// Sends a state event. The same content of the same sender again is the same event.
async fn send_state(tx: &mut Transaction, draft: Draft) -> Result<OwnedEventId, Error> {
    let room = tx.room(&draft.room_id).await?.filter(|room| is_joined(room, &draft.sender));
    let room = room.ok_or_else(hidden)?;
    let kind = StateEventType::from(draft.kind.to_string());
    let current = room.state.get(&kind, draft.state_key.as_deref().unwrap_or_default());
    if let Some(current) = current
        && current.sender == draft.sender
        && json::content(current.content.get().as_bytes())? == draft.content
    {
        return Ok(current.event_id.clone());
    }
    if kind == StateEventType::RoomCanonicalAlias {
        aliases::check_canonical(tx, &room, &draft.room_id, &draft.content).await?;
    }
    Ok(tx.append(draft, None).await?.event_id.clone())
}
