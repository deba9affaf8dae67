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
    read::{self, Direction, READ_MAX},
    stored::StoredEvent,
};
use crate::{error::Error, vault::Vault};

/// The events to which an event refers, and those that refer to it.
#[derive(Clone, Debug, Default)]
pub struct Related {
    /// The state event that it replaced.
    pub replaced: Option<StoredEvent>,
    /// Its redaction.
    pub redaction: Option<StoredEvent>,
    /// Later events that relate to it, the latest first.
    pub later: Vec<StoredEvent>,
}

/// From how many bytes on no further later events are read.
const LATER_BYTES: usize = 4 << 20;

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

impl Related {
    /// Most later events that are read, to count a thread.
    pub const LATER_MAX: usize = 1_000;

    /// Whether later events that relate to an event are shown with it.
    #[must_use]
    pub fn has_later(stored: &StoredEvent) -> bool {
        !stored.event.is_state() && stored.redacted_by.is_none()
    }
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
        let related = related(connection, vault, stored, audience.upto).await?;
        written.push(write(stored, &related, audience)?);
    }
    Ok(written)
}

/// Reads what [`write()`] shows with an event.
pub async fn related(
    connection: &mut AnyConnection,
    vault: &Vault,
    stored: &StoredEvent,
    upto: Position,
) -> Result<Related, Error> {
    let mut related = Related::default();
    if let Some(position) = stored.replaces {
        related.replaced = read::at(connection, vault, position).await?;
    }
    if let Some(position) = stored.redacted_by {
        related.redaction = read::at(connection, vault, position).await?;
    }
    if Related::has_later(stored) {
        let ids = (&*stored.event.room_id, &*stored.event.event_id);
        let (mut upto, mut bytes, order) = (upto, 0, Direction::Backward);
        while related.later.len() < Related::LATER_MAX && bytes < LATER_BYTES {
            let places = (stored.position, upto);
            let page = read::related(connection, vault, ids, places, READ_MAX, order).await?;
            let is_last = page.len() < READ_MAX;
            bytes += page.iter().map(|later| later.event.content.get().len()).sum::<usize>();
            upto = page.last().map_or(0, |last| last.position.saturating_sub(1));
            related.later.extend(page);
            if is_last {
                break;
            }
        }
    }
    Ok(related)
}

/// An event in the format for clients, with what it replaced, its redaction, and its bundled relations.
pub fn write(
    stored: &StoredEvent,
    related: &Related,
    audience: Audience<'_>,
) -> Result<Box<RawValue>, Error> {
    let mut additions = own_additions(stored, audience);
    if let Some(replaced) = &related.replaced {
        let content = RawValue::from_string(replaced.event.content.get().to_owned());
        additions.prev_content = content.ok();
        additions.replaces_state = Some(replaced.event.event_id.clone());
    }
    if let Some(redaction) = &related.redaction {
        additions.redacted_because = Some(plain(redaction, audience)?);
    }
    additions.relations = relations(stored, &related.later, audience)?;
    let Audience { reader, format, now, .. } = audience;
    Ok(client_event::write(&stored.event, format, &additions, Some(reader), now)?)
}

fn relations(
    stored: &StoredEvent,
    related: &[StoredEvent],
    audience: Audience<'_>,
) -> Result<Option<Box<RawValue>>, Error> {
    if related.is_empty() {
        return Ok(None);
    }
    let target = &stored.event;
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
