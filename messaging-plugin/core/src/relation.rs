//! Relations between events: edits, reactions, threads and references (specification, client-server API, "Forming
//! relationships between events", "Event replacements", "Threading").

use std::collections::BTreeSet;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, UserId, events::relation::RelationType,
};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{Error, event::Event};

/// Most references that are bundled with an event.
pub const REFERENCES_MAX: usize = 100;

/// What an event says about another. It is readable in encrypted events, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// How it relates.
    pub kind: RelationType,
    /// The other event.
    pub event_id: OwnedEventId,
    /// The reaction, of an annotation.
    pub key: Option<String>,
}

impl Relation {
    /// Reads `m.relates_to`. Returns `None` for a malformed relation and for a plain reply (`m.in_reply_to`).
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        Self::of_content(&serde_json::from_str(event.content.get()).ok()?)
    }

    /// The same of a content that is not sent yet.
    #[must_use]
    pub fn of_content(content: &CanonicalJsonObject) -> Option<Self> {
        let relation = content.get("m.relates_to")?.as_object()?;
        let kind = RelationType::from(relation.get("rel_type")?.as_str()?);
        let event_id = relation.get("event_id")?.as_str()?.try_into().ok()?;
        let key = relation.get("key").and_then(CanonicalJsonValue::as_str).map(str::to_owned);
        Some(Self { kind, event_id, key })
    }
}

/// Checks a relation before the event is sent. `target` is the event that it names, if that is in the room, and
/// `has_reacted` says whether the sender's same reaction to it is there already.
///
/// # Errors
///
/// [`Error::DuplicateAnnotation`] for the same reaction again; [`Error::InvalidParam`] for a thread that starts at an
/// event which has a relation itself. A target that is not known is allowed: a client may be ahead of what it may read.
pub fn check(relation: &Relation, target: Option<&Event>, has_reacted: bool) -> Result<(), Error> {
    if relation.kind == RelationType::Annotation && has_reacted {
        return Err(Error::DuplicateAnnotation);
    }
    if relation.kind == RelationType::Thread && target.and_then(Relation::of).is_some() {
        return Err(Error::InvalidParam(
            "a thread starts at an event without a relation".to_owned(),
        ));
    }
    Ok(())
}

/// Whether `edit` replaces the content of `target`: of the same sender, type and room, no state, and not an edit of an
/// edit ("Validity of replacement events"). Whether it has `m.new_content` is not seen in an encrypted event.
#[must_use]
pub fn is_edit(edit: &Event, target: &Event) -> bool {
    let is_replacement = |event: &Event| {
        Relation::of(event).filter(|relation| relation.kind == RelationType::Replacement)
    };
    is_replacement(edit).is_some_and(|relation| relation.event_id == target.event_id)
        && edit.sender == target.sender
        && edit.kind == target.kind
        && edit.room_id == target.room_id
        && !edit.is_state()
        && !target.is_state()
        && is_replacement(target).is_none()
}

/// The edit that is shown: the last one in the room's order, which no clock changes.
#[must_use]
pub fn latest_edit<'a>(
    target: &Event,
    related: impl IntoIterator<Item = &'a Event>,
) -> Option<&'a Event> {
    related.into_iter().filter(|edit| is_edit(edit, target)).max_by_key(|edit| edit.depth)
}

/// What is bundled about a thread with its first event.
#[derive(Clone, Debug)]
pub struct ThreadSummary {
    /// The latest event, in the format for clients.
    pub latest: Box<RawValue>,
    /// How many events it has, the first one not counted.
    pub count: u64,
    /// Whether the reader wrote in it, the first event included.
    pub has_participated: bool,
}

/// Whether the reader takes part in a thread.
#[must_use]
pub fn has_participated<'a>(
    root: &Event,
    senders: impl IntoIterator<Item = &'a UserId>,
    reader: &UserId,
) -> bool {
    root.sender == reader || senders.into_iter().any(|sender| sender == reader)
}

/// `m.relations` of an event, or nothing. `edit` and the thread's latest event are in the format for clients; events of
/// people whom the reader ignores, and those that it may not read, are left out by the caller.
///
/// # Errors
///
/// [`Error::BadJson`] if it cannot be written as JSON.
pub fn bundle(
    edit: Option<&RawValue>,
    thread: Option<&ThreadSummary>,
    references: &BTreeSet<OwnedEventId>,
) -> Result<Option<Box<RawValue>>, Error> {
    let failed = |_| Error::BadJson("the relations cannot be written as JSON".to_owned());
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).map_err(failed);
    let mut bundle = Map::new();
    if let Some(edit) = edit {
        bundle.insert("m.replace".to_owned(), value(edit)?);
    }
    if let Some(thread) = thread {
        let summary = json!({
            "latest_event": value(&thread.latest)?,
            "count": thread.count,
            "current_user_participated": thread.has_participated,
        });
        bundle.insert("m.thread".to_owned(), summary);
    }
    if !references.is_empty() {
        let chunk: Vec<Value> = references
            .iter()
            .take(REFERENCES_MAX)
            .map(|event_id| json!({ "event_id": event_id }))
            .collect();
        bundle.insert("m.reference".to_owned(), json!({ "chunk": chunk }));
    }
    if bundle.is_empty() {
        return Ok(None);
    }
    serde_json::value::to_raw_value(&bundle).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests;
