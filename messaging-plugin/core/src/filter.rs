//! Which events a client asks for (specification, client-server API, "Filtering").
//!
//! Filters are ruma's types; here they are bounded when they are read, and applied. `event_fields` is not applied,
//! since it only saves bytes, and events have the format for clients, whatever `event_format` says.

use std::{collections::HashMap, sync::Arc};

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UInt, UserId,
    api::client::filter::{
        Filter, FilterDefinition, LazyLoadOptions, RoomEventFilter, RoomFilter, UrlFilter,
    },
    events::StateEventType,
};
use serde_json::Value;

use crate::{Error, event::Event, state::RoomState};

/// Largest filter, in bytes of JSON.
pub const FILTER_MAX: usize = 65_536;

/// Most types, rooms and senders that a filter names, all lists together.
pub const ENTRIES_MAX: usize = 1_000;

/// Longest pattern of an event type, in bytes: types are not longer.
pub const PATTERN_MAX: usize = crate::event::KEY_MAX;

/// Events in a timeline or page, unless the client asks for another number.
pub const LIMIT_DEFAULT: usize = 20;

/// Most events in a timeline or page.
pub const LIMIT_MAX: usize = 500;

/// Most members that are remembered as sent, over all rooms of a device. Beyond that they are sent again.
pub const SENT_MEMBERS_MAX: usize = 50_000;

/// Reads the filter of a sync: JSON that a client stored or wrote into the query.
///
/// # Errors
///
/// [`Error::TooLarge`] beyond [`FILTER_MAX`], [`ENTRIES_MAX`] or [`PATTERN_MAX`]; [`Error::BadJson`] if it is not a
/// filter.
pub fn parse(bytes: &[u8]) -> Result<FilterDefinition, Error> {
    let filter: FilterDefinition = read(bytes)?;
    let room = &filter.room;
    let mut entries = 0;
    for part in [&room.account_data, &room.timeline, &room.ephemeral, &room.state] {
        entries += check(part)?;
    }
    for part in [&filter.presence, &filter.account_data] {
        entries += check_types(part.types.as_deref(), &part.not_types)?;
        entries += part.senders.as_ref().map_or(0, Vec::len) + part.not_senders.len();
    }
    entries += room.rooms.as_ref().map_or(0, Vec::len) + room.not_rooms.len();
    entries += filter.event_fields.as_ref().map_or(0, Vec::len);
    bounded(entries)?;
    Ok(filter)
}

/// Checks the filter of `/messages`, `/context` or a search.
///
/// # Errors
///
/// As [`parse`].
pub fn check_events(filter: &RoomEventFilter) -> Result<(), Error> {
    bounded(check(filter)?)
}

/// How many events a timeline or page has at most.
#[must_use]
pub fn limit(requested: Option<UInt>) -> usize {
    let requested = requested.map(|limit| usize::try_from(u64::from(limit)).unwrap_or(LIMIT_MAX));
    requested.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX)
}

/// Whether a filter asks for an event.
#[must_use]
pub fn matches(filter: &RoomEventFilter, event: &Event) -> bool {
    let has_url = || {
        serde_json::from_str::<Value>(event.content.get())
            .is_ok_and(|content| content.get("url").is_some_and(Value::is_string))
    };
    matches_type(filter.types.as_deref(), &filter.not_types, &event.kind.to_string())
        && matches_sender(filter.senders.as_deref(), &filter.not_senders, &event.sender)
        && matches_id(filter.rooms.as_deref(), &filter.not_rooms, &event.room_id)
        && filter
            .url_filter
            .as_ref()
            .is_none_or(|wanted| (*wanted == UrlFilter::EventsWithUrl) == has_url())
}

/// Whether a filter asks for data of a room, such as account data or receipts, which have no sender.
#[must_use]
pub fn matches_room_data(filter: &RoomEventFilter, kind: &str, room: &RoomId) -> bool {
    matches_type(filter.types.as_deref(), &filter.not_types, kind)
        && matches_id(filter.rooms.as_deref(), &filter.not_rooms, room)
}

/// Whether a filter asks for data outside rooms: account data (without a sender) or presence.
#[must_use]
pub fn matches_data(filter: &Filter, kind: &str, sender: Option<&UserId>) -> bool {
    matches_type(filter.types.as_deref(), &filter.not_types, kind)
        && sender.is_none_or(|sender| {
            matches_sender(filter.senders.as_deref(), &filter.not_senders, sender)
        })
}

/// Whether a filter asks for a room.
#[must_use]
pub fn matches_room(filter: &RoomFilter, room: &RoomId) -> bool {
    matches_id(filter.rooms.as_deref(), &filter.not_rooms, room)
}

/// The member events that a device already has, where it asked to load members lazily. In memory: after a restart they
/// are sent again.
#[derive(Clone, Debug, Default)]
pub struct SentMembers {
    rooms: HashMap<OwnedRoomId, HashMap<OwnedUserId, OwnedEventId>>,
    count: usize,
}

impl SentMembers {
    /// The member events that go with a timeline: those of its senders that the device does not have, or all of them if
    /// it asked for redundant ones. Without lazy loading there are none: the whole state is sent.
    pub fn add<'a>(
        &mut self,
        options: &LazyLoadOptions,
        room: &RoomId,
        senders: impl IntoIterator<Item = &'a UserId>,
        state: &RoomState,
    ) -> Vec<Arc<Event>> {
        let LazyLoadOptions::Enabled { include_redundant_members } = options else {
            return Vec::new();
        };
        let mut members: Vec<Arc<Event>> = Vec::new();
        for sender in senders {
            let Some(event) = state.get(&StateEventType::RoomMember, sender.as_str()) else {
                continue;
            };
            let is_listed = members.iter().any(|member| member.event_id == event.event_id);
            let is_new = self.remember(room, sender, &event.event_id);
            if !is_listed && (is_new || *include_redundant_members) {
                members.push(Arc::clone(event));
            }
        }
        members
    }

    /// Forgets what was sent of a room, whose state is sent anew.
    pub fn forget(&mut self, room: &RoomId) {
        self.count -= self.rooms.remove(room).map_or(0, |members| members.len());
    }

    /// Remembers a member event as sent. Whether it was not.
    fn remember(&mut self, room: &RoomId, user: &UserId, event: &OwnedEventId) -> bool {
        if self.count >= SENT_MEMBERS_MAX {
            *self = Self::default();
        }
        let members = self.rooms.entry(room.to_owned()).or_default();
        let before = members.insert(user.to_owned(), event.clone());
        self.count += usize::from(before.is_none());
        before.as_ref() != Some(event)
    }
}

fn read<T: for<'a> serde::Deserialize<'a>>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > FILTER_MAX {
        return Err(Error::TooLarge { what: "the filter", max: "65,536 bytes" });
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Error::BadJson(format!("this is not a filter: {error}")))
}

fn bounded(entries: usize) -> Result<(), Error> {
    if entries > ENTRIES_MAX {
        return Err(Error::TooLarge { what: "the filter", max: "1,000 types, rooms and senders" });
    }
    Ok(())
}

/// Checks a part of a filter. Returns how many entries it has.
fn check(filter: &RoomEventFilter) -> Result<usize, Error> {
    let types = check_types(filter.types.as_deref(), &filter.not_types)?;
    let senders = filter.senders.as_ref().map_or(0, Vec::len) + filter.not_senders.len();
    let rooms = filter.rooms.as_ref().map_or(0, Vec::len) + filter.not_rooms.len();
    Ok(types + senders + rooms)
}

fn check_types(types: Option<&[String]>, not_types: &[String]) -> Result<usize, Error> {
    let types = types.unwrap_or_default();
    if types.iter().chain(not_types).any(|pattern| pattern.len() > PATTERN_MAX) {
        return Err(Error::TooLarge { what: "a type of the filter", max: "255 bytes" });
    }
    Ok(types.len() + not_types.len())
}

fn matches_type(types: Option<&[String]>, not_types: &[String], kind: &str) -> bool {
    let is_any = |patterns: &[String]| patterns.iter().any(|pattern| is_match(pattern, kind));
    types.is_none_or(is_any) && !is_any(not_types)
}

fn matches_sender(
    senders: Option<&[OwnedUserId]>,
    not_senders: &[OwnedUserId],
    sender: &UserId,
) -> bool {
    senders.is_none_or(|senders| senders.iter().any(|one| one == sender))
        && !not_senders.iter().any(|one| one == sender)
}

fn matches_id(rooms: Option<&[OwnedRoomId]>, not_rooms: &[OwnedRoomId], room: &RoomId) -> bool {
    rooms.is_none_or(|rooms| rooms.iter().any(|one| one == room))
        && !not_rooms.iter().any(|one| one == room)
}

/// Whether a pattern, in which `*` stands for any text, is the whole of `text`. Takes at most the product of their
/// lengths.
fn is_match(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The first place leaves the most for the parts that follow.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
