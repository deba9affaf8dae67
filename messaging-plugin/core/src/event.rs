//! An event of room version 11, built here and never signed, since there is no federation.

use std::sync::Arc;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, Int, MilliSecondsSinceUnixEpoch,
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UInt, UserId,
    canonical_json::redact_content_in_place,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
    signatures::{add_content_hash_to_event, reference_hash},
    state_res::{self, auth_types_for_event},
    uint,
};
use serde_json::value::RawValue;

use crate::{Error, json::EVENT_MAX};

/// The rules of the one room version that is offered.
pub const RULES: RoomVersionRules = RoomVersionRules::V11;

/// Longest type and state key, in bytes (specification, client-server API, "Size limits").
pub const KEY_MAX: usize = 255;

/// What somebody wants to send into a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The sender.
    pub sender: OwnedUserId,
    /// The type.
    pub kind: TimelineEventType,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content, from [`crate::json::content`].
    pub content: CanonicalJsonObject,
    /// When the server received it.
    pub time: MilliSecondsSinceUnixEpoch,
}

/// The last event of a room: the predecessor of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its place in the room; 1 for `m.room.create`.
    pub depth: UInt,
}

/// An event with its id.
#[derive(Clone, Debug)]
pub struct Event {
    /// The id: `$` and the reference hash.
    pub event_id: OwnedEventId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// The sender.
    pub sender: OwnedUserId,
    /// The type.
    pub kind: TimelineEventType,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content as canonical JSON.
    pub content: Arc<RawValue>,
    /// When the server received it.
    pub time: MilliSecondsSinceUnixEpoch,
    /// Its place in the room; 1 for `m.room.create`.
    pub depth: UInt,
    /// The predecessor; none for `m.room.create`.
    pub previous: Option<OwnedEventId>,
    /// The state events that authorise it.
    pub auth_events: Vec<OwnedEventId>,
    /// The event that it redacts.
    pub redacts: Option<OwnedEventId>,
}

impl Event {
    /// Makes an event that follows `previous`. `state` gives the ids of the room's current state.
    ///
    /// It is not authorised yet: see [`crate::authorise`].
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if it exceeds a limit of the specification (client-server API, "Size limits");
    /// [`Error::BadJson`] if the content is not what its type needs.
    pub fn build(
        draft: Draft,
        previous: Option<&Head>,
        state: impl Fn(&StateEventType, &str) -> Option<OwnedEventId>,
    ) -> Result<Self, Error> {
        check_keys(&draft)?;
        let content = raw(&draft.content)?;
        let auth_events = auth_types(&draft, &content)?
            .into_iter()
            .filter_map(|(kind, key)| state(&kind, &key))
            .collect();
        let redacts = redacted_event(&draft)?;
        let mut event = Self {
            event_id: EventId::parse("$unknown").map_err(|_| hash_failed())?,
            room_id: draft.room_id,
            sender: draft.sender,
            kind: draft.kind,
            state_key: draft.state_key,
            content,
            time: draft.time,
            depth: previous.map_or(uint!(1), |head| head.depth.saturating_add(uint!(1))),
            previous: previous.map(|head| head.event_id.clone()),
            auth_events,
            redacts,
        };
        let mut pdu = event.without_hashes(draft.content);
        add_content_hash_to_event(&mut pdu).map_err(|_| too_large())?;
        if serde_json::to_vec(&pdu).map_err(|_| hash_failed())?.len() > EVENT_MAX {
            return Err(too_large());
        }
        let hash = reference_hash(&pdu, &RULES).map_err(|_| hash_failed())?;
        event.event_id = EventId::parse(format!("${hash}")).map_err(|_| hash_failed())?;
        Ok(event)
    }

    /// The head of a room whose last event this is.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { event_id: self.event_id.clone(), depth: self.depth }
    }

    /// Whether this is a state event.
    #[must_use]
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// The type of a state event.
    #[must_use]
    pub fn state_type(&self) -> StateEventType {
        self.kind.to_string().into()
    }

    /// The event as a part of a room's state, which needs neither predecessor nor authorising events: of ten thousand
    /// rooms they take more memory than the contents, which are shared.
    #[must_use]
    pub fn without_references(&self) -> Self {
        Self { previous: None, auth_events: Vec::new(), ..self.clone() }
    }

    /// The event without what a redaction removes (specification, room version 11, "Redactions"). It keeps its id.
    ///
    /// # Errors
    ///
    /// [`Error::BadJson`] if the stored content is not an object.
    pub fn redact(&self) -> Result<Self, Error> {
        let mut content = crate::json::content(self.content.get().as_bytes())?;
        redact_content_in_place(&mut content, &RULES.redaction, self.kind.to_string());
        Ok(Self { content: raw(&content)?, ..self.clone() })
    }

    /// The event in the format of the federation API, which ids and limits are defined on, without `hashes`.
    fn without_hashes(&self, content: CanonicalJsonObject) -> CanonicalJsonObject {
        let ids = |ids: &[OwnedEventId]| {
            CanonicalJsonValue::Array(ids.iter().map(|id| id.as_str().into()).collect())
        };
        let mut pdu = CanonicalJsonObject::from([
            ("auth_events".to_owned(), ids(&self.auth_events)),
            ("content".to_owned(), content.into()),
            ("depth".to_owned(), Int::from(self.depth).into()),
            ("origin_server_ts".to_owned(), Int::from(self.time.get()).into()),
            ("prev_events".to_owned(), ids(self.previous.as_slice())),
            ("room_id".to_owned(), self.room_id.as_str().into()),
            ("sender".to_owned(), self.sender.as_str().into()),
            ("type".to_owned(), self.kind.to_string().into()),
        ]);
        if let Some(key) = &self.state_key {
            pdu.insert("state_key".to_owned(), key.as_str().into());
        }
        pdu
    }
}

/// Checks the lengths of type and state key. Those of ids are checked by their types.
fn check_keys(draft: &Draft) -> Result<(), Error> {
    let kind = draft.kind.to_string();
    if kind.is_empty() {
        return Err(Error::InvalidParam("the type of an event is not empty".to_owned()));
    }
    if kind.len() > KEY_MAX {
        return Err(Error::TooLarge { what: "the type", max: "255 bytes" });
    }
    if draft.state_key.as_ref().is_some_and(|key| key.len() > KEY_MAX) {
        return Err(Error::TooLarge { what: "the state key", max: "255 bytes" });
    }
    Ok(())
}

/// Which state authorises a draft (specification, server-server API, "Auth events selection").
fn auth_types(draft: &Draft, content: &RawValue) -> Result<Vec<(StateEventType, String)>, Error> {
    let key = draft.state_key.as_deref();
    auth_types_for_event(&draft.kind, &draft.sender, key, content, &RULES.authorization)
        .map_err(Error::BadJson)
}

/// The event that a redaction names in its content.
fn redacted_event(draft: &Draft) -> Result<Option<OwnedEventId>, Error> {
    if draft.kind != TimelineEventType::RoomRedaction {
        return Ok(None);
    }
    let id = draft.content.get("redacts").and_then(CanonicalJsonValue::as_str);
    id.and_then(|id| EventId::parse(id).ok())
        .map(Some)
        .ok_or_else(|| Error::BadJson("`redacts` is the id of an event".to_owned()))
}

/// The object as text.
fn raw(content: &CanonicalJsonObject) -> Result<Arc<RawValue>, Error> {
    serde_json::value::to_raw_value(content).map(Arc::from).map_err(|_| hash_failed())
}

fn too_large() -> Error {
    Error::TooLarge { what: "the event", max: "65,536 bytes" }
}

/// Canonical JSON is always written and hashed; this is for the types of the library.
fn hash_failed() -> Error {
    Error::BadJson("the event cannot be written as canonical JSON".to_owned())
}

impl state_res::Event for Event {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        Some(&self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.time
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.previous.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
