//! Writes events for clients, with what the server adds.

use std::collections::BTreeSet;

use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId, UserId, events::relation::RelationType};
use serde_json::value::RawValue;
use sqlx::AnyConnection;
use telmeet_core::{
    client_event::{self, Additions, Format, Reader},
    relation::{self, REFERENCES_MAX, Relation, ThreadSummary},
    token::Position,
    visibility::Access,
};

use super::{
    read::{self, Direction},
    stored::StoredEvent,
};
use crate::{error::Error, vault::Vault};

/// Most events of a thread that are read to count it.
const THREAD_MAX: usize = 1_000;

/// For whom, and up to which position, events are written.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// The reader.
    pub reader: Reader<'a>,
    /// What the reader was in the room, and when.
    pub access: &'a Access,
    /// Which fields events have.
    pub format: Format,
    /// Later edits, reactions and redactions are not known yet.
    pub upto: Position,
    /// The time.
    pub now: MilliSecondsSinceUnixEpoch,
}

/// Events in the format for clients, each with what it replaced, its redaction, and its bundled relations.
pub async fn render(
    connection: &mut AnyConnection,
    vault: &Vault,
    events: &[StoredEvent],
    audience: Audience<'_>,
) -> Result<Vec<Box<RawValue>>, Error> {
    let mut written = Vec::with_capacity(events.len());
    for stored in events {
        let additions = additions(connection, vault, stored, audience).await?;
        let Audience { reader, format, now, .. } = audience;
        written.push(client_event::write(&stored.event, format, &additions, Some(reader), now)?);
    }
    Ok(written)
}

async fn additions(
    connection: &mut AnyConnection,
    vault: &Vault,
    stored: &StoredEvent,
    audience: Audience<'_>,
) -> Result<Additions, Error> {
    let mut additions = own_additions(stored, audience);
    if let Some(position) = stored.replaces
        && let Some(replaced) = read::at(connection, vault, position).await?
    {
        let content = RawValue::from_string(replaced.event.content.get().to_owned());
        additions.prev_content = content.ok();
        additions.replaces_state = Some(replaced.event.event_id.clone());
    }
    if let Some(position) = stored.redacted_by
        && let Some(redaction) = read::at(connection, vault, position).await?
    {
        additions.redacted_because = Some(plain(&redaction, audience)?);
    }
    if !stored.event.is_state() && stored.redacted_by.is_none() {
        additions.relations = relations(connection, vault, stored, audience).await?;
    }
    Ok(additions)
}

async fn relations(
    connection: &mut AnyConnection,
    vault: &Vault,
    stored: &StoredEvent,
    audience: Audience<'_>,
) -> Result<Option<Box<RawValue>>, Error> {
    let target = &stored.event;
    let ids = (&*target.room_id, &*target.event_id);
    let places = (stored.position, audience.upto);
    let order = Direction::Backward;
    let related = read::related(connection, vault, ids, places, THREAD_MAX, order).await?;
    if related.is_empty() {
        return Ok(None);
    }
    let edit = relation::latest_edit(target, related.iter().map(|stored| &*stored.event));
    let edit = edit.and_then(|edit| related.iter().find(|it| it.event.event_id == edit.event_id));
    let edit = edit.map(|edit| plain(edit, audience)).transpose()?;
    let is = |stored: &&StoredEvent, kind: RelationType| {
        Relation::of(&stored.event).is_some_and(|relation| relation.kind == kind)
    };
    let thread: Vec<&StoredEvent> =
        related.iter().filter(|stored| is(stored, RelationType::Thread)).collect();
    let thread = match thread.first() {
        Some(latest) => Some(ThreadSummary {
            latest: plain(latest, audience)?,
            count: thread.len() as u64,
            has_participated: participates(stored, &thread, audience.reader.user),
        }),
        None => None,
    };
    let references: BTreeSet<OwnedEventId> = related
        .iter()
        .filter(|stored| is(stored, RelationType::Reference))
        .take(REFERENCES_MAX)
        .map(|stored| stored.event.event_id.clone())
        .collect();
    Ok(relation::bundle(edit.as_deref(), thread.as_ref(), &references)?)
}

fn participates(root: &StoredEvent, thread: &[&StoredEvent], reader: &UserId) -> bool {
    let senders = thread.iter().map(|stored| &*stored.event.sender);
    relation::has_participated(&root.event, senders, reader)
}

/// The event alone.
fn plain(stored: &StoredEvent, audience: Audience<'_>) -> Result<Box<RawValue>, Error> {
    let (additions, Audience { reader, now, .. }) = (own_additions(stored, audience), audience);
    Ok(client_event::write(&stored.event, Format::Full, &additions, Some(reader), now)?)
}

/// What is added without reading other events.
fn own_additions(stored: &StoredEvent, audience: Audience<'_>) -> Additions {
    Additions {
        transaction: stored.sent_by.clone(),
        membership: Some(audience.access.membership(stored.sequence)),
        ..Additions::default()
    }
}
