//! The current state of a room: its latest state event for each type and state key.

use std::sync::Arc;

use ruma::{
    EventEncryptionAlgorithm, OwnedEventId, OwnedRoomAliasId, OwnedUserId, UInt, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::{
            history_visibility::HistoryVisibility,
            join_rules::{JoinRule, RoomJoinRulesEventContent},
            member::MembershipState,
            power_levels::{RoomPowerLevels, RoomPowerLevelsEventContent},
        },
    },
    room::RoomType,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Error,
    event::{Event, RULES},
};

/// Most state events of a room, members included.
pub const ENTRIES_MAX: usize = 20_000;

/// Most bytes of contents and state keys in a room's state.
pub const BYTES_MAX: usize = 4 << 20;

/// Most members that name a room without a name (specification, client-server API, "Syncing", `m.heroes`).
const HEROES_MAX: usize = 5;

/// The current state of a room.
///
/// A clone shares the events, so a reader may hold one while the room goes on.
#[derive(Clone, Debug, Default)]
pub struct RoomState {
    /// Sorted by type and state key. Ten thousand rooms are kept, so there is no tree for each.
    events: Vec<(StateEventType, Arc<Event>)>,
    bytes: usize,
    joined: usize,
    invited: usize,
    gone: usize,
    /// The members, in the order in which they name the room.
    order: Vec<HeroRank>,
}

/// Where a member stands among those that name the room: behind those that did not leave, and behind older members.
type HeroRank = (bool, UInt, Arc<Event>);

/// The memberships that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberCount {
    Joined,
    Invited,
}

impl RoomState {
    /// The state event of a type and state key.
    #[must_use]
    pub fn get(&self, kind: &StateEventType, key: &str) -> Option<&Arc<Event>> {
        self.find(kind, key).ok().map(|index| &self.events[index].1)
    }

    /// The id of the state event of a type and state key, for [`Event::build`].
    #[must_use]
    pub fn id(&self, kind: &StateEventType, key: &str) -> Option<OwnedEventId> {
        self.get(kind, key).map(|event| event.event_id.clone())
    }

    /// All state events.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.events.iter().map(|(_, event)| event)
    }

    /// All state events of a type, by state key.
    pub fn of_type(&self, kind: &StateEventType) -> impl Iterator<Item = (&str, &Arc<Event>)> {
        let first = self.events.partition_point(|(other, _)| other < kind);
        let count = self.events[first..].partition_point(|(other, _)| other == kind);
        self.events[first..first + count].iter().map(|(_, event)| (key(event), event))
    }

    /// Makes an authorised event the current one, without its references. Returns the event that it replaces, whose
    /// content becomes `unsigned.prev_content`. An event without a state key changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the state would exceed [`ENTRIES_MAX`] or [`BYTES_MAX`]; it is unchanged then.
    pub fn apply(&mut self, event: &Event) -> Result<Option<Arc<Event>>, Error> {
        if event.state_key.is_none() {
            return Ok(None);
        }
        let kind = event.state_type();
        let event = Arc::new(event.without_references());
        let place = self.find(&kind, key(&event));
        let replaced = place.ok().map(|index| Arc::clone(&self.events[index].1));
        let bytes = self.bytes + size(&event) - replaced.as_deref().map_or(0, size);
        // Somebody can always leave a full room.
        let is_leaving = replaced.is_some()
            && event.kind == TimelineEventType::RoomMember
            && counted(&event).is_none();
        if place.is_err() && self.events.len() >= ENTRIES_MAX {
            return Err(Error::TooLarge { what: "the room's state", max: "20,000 events" });
        }
        if bytes > BYTES_MAX && bytes > self.bytes && !is_leaving {
            return Err(Error::TooLarge { what: "the room's state", max: "4 MiB" });
        }
        self.bytes = bytes;
        self.count(replaced.as_ref(), &event);
        match place {
            Ok(index) => self.events[index].1 = event,
            Err(index) => self.events.insert(index, (kind, event)),
        }
        Ok(replaced)
    }

    /// Puts the redacted form of an event in the place of the event, if it is part of the state.
    pub fn redact(&mut self, redacted: &Event) {
        if !redacted.is_state() {
            return;
        }
        let Ok(index) = self.find(&redacted.state_type(), key(redacted)) else { return };
        let current = Arc::clone(&self.events[index].1);
        if current.event_id == redacted.event_id {
            let redacted = Arc::new(redacted.without_references());
            self.bytes = self.bytes - size(&current) + size(&redacted);
            self.count(Some(&current), &redacted);
            self.events[index].1 = redacted;
        }
    }

    /// Bytes of contents and state keys.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The membership of a user; `leave` if there is none.
    #[must_use]
    pub fn membership(&self, user: &UserId) -> MembershipState {
        self.get(&StateEventType::RoomMember, user.as_str())
            .map_or(MembershipState::Leave, |event| membership(event))
    }

    /// How many members are joined.
    #[must_use]
    pub fn joined_count(&self) -> usize {
        self.joined
    }

    /// How many users are invited.
    #[must_use]
    pub fn invited_count(&self) -> usize {
        self.invited
    }

    /// The users with a membership, in no order that means something.
    pub fn members(&self) -> impl Iterator<Item = (OwnedUserId, MembershipState)> {
        self.of_type(&StateEventType::RoomMember)
            .filter_map(|(key, event)| Some((UserId::parse(key).ok()?, membership(event))))
    }

    /// The members that name a room without a name to `reader`: the first five that are joined or invited, or else
    /// those that left (specification, client-server API, "Syncing", `m.heroes`).
    #[must_use]
    pub fn heroes(&self, reader: &UserId) -> Vec<OwnedUserId> {
        let is_empty = self.is_empty_for(reader);
        self.order
            .iter()
            .take_while(|(is_gone, ..)| !is_gone || is_empty)
            .map(|(.., event)| key(event))
            .filter(|user| *user != reader.as_str())
            .filter_map(|user| UserId::parse(user).ok())
            .take(HEROES_MAX)
            .collect()
    }

    /// Whether no member other than `reader` is joined or invited.
    fn is_empty_for(&self, reader: &UserId) -> bool {
        let is_counted =
            matches!(self.membership(reader), MembershipState::Join | MembershipState::Invite);
        self.joined + self.invited == usize::from(is_counted)
    }

    /// The name of `m.room.name`, unless it is empty.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.text(&StateEventType::RoomName, "name")
    }

    /// The topic, unless it is empty.
    #[must_use]
    pub fn topic(&self) -> Option<String> {
        self.text(&StateEventType::RoomTopic, "topic")
    }

    /// The address of the room's avatar.
    #[must_use]
    pub fn avatar(&self) -> Option<String> {
        self.text(&StateEventType::RoomAvatar, "url")
    }

    /// The alias that the room calls its main one.
    #[must_use]
    pub fn canonical_alias(&self) -> Option<OwnedRoomAliasId> {
        self.text(&StateEventType::RoomCanonicalAlias, "alias")?.try_into().ok()
    }

    /// The type of the room, such as a space.
    #[must_use]
    pub fn room_type(&self) -> Option<RoomType> {
        self.text(&StateEventType::RoomCreate, "type").map(RoomType::from)
    }

    /// The algorithm that encrypts messages.
    #[must_use]
    pub fn encryption(&self) -> Option<EventEncryptionAlgorithm> {
        self.text(&StateEventType::RoomEncryption, "algorithm").map(Into::into)
    }

    /// Whether messages are to be encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encryption().is_some()
    }

    /// The join rule; `invite` if there is none that can be read.
    #[must_use]
    pub fn join_rule(&self) -> JoinRule {
        self.content::<RoomJoinRulesEventContent>(&StateEventType::RoomJoinRules)
            .map_or(JoinRule::Invite, |content| content.join_rule)
    }

    /// Who may read events that are sent now (specification, client-server API, "Room History Visibility"): `shared`
    /// without an event, `joined` if it says something unknown.
    #[must_use]
    pub fn history_visibility(&self) -> HistoryVisibility {
        self.get(&StateEventType::RoomHistoryVisibility, "")
            .map_or(HistoryVisibility::Shared, |event| history_visibility(event))
    }

    /// The power levels, with the defaults of the specification.
    #[must_use]
    pub fn power_levels(&self) -> RoomPowerLevels {
        let content = self.content::<RoomPowerLevelsEventContent>(&StateEventType::RoomPowerLevels);
        let creator = self.get(&StateEventType::RoomCreate, "").map(|event| event.sender.clone());
        RoomPowerLevels::new(content.into(), &RULES.authorization, creator)
    }

    /// The content of the state event with an empty key, if it can be read.
    fn content<T: for<'a> Deserialize<'a>>(&self, kind: &StateEventType) -> Option<T> {
        serde_json::from_str(self.get(kind, "")?.content.get()).ok()
    }

    /// A text in the content of the state event with an empty key, unless it is empty.
    fn text(&self, kind: &StateEventType, field: &str) -> Option<String> {
        text(self.get(kind, "")?, field).filter(|text| !text.is_empty())
    }

    /// Where the state event of a type and state key is, or would be.
    fn find(&self, kind: &StateEventType, wanted: &str) -> Result<usize, usize> {
        self.events
            .binary_search_by(|(other, event)| other.cmp(kind).then_with(|| key(event).cmp(wanted)))
    }

    /// Counts a member event and no longer the one that it replaces.
    fn count(&mut self, replaced: Option<&Arc<Event>>, event: &Arc<Event>) {
        if event.kind != TimelineEventType::RoomMember {
            return;
        }
        if let Some(replaced) = replaced {
            *self.counter(replaced) -= 1;
            let place = self.place(replaced);
            place.ok().map(|index| self.order.remove(index));
        }
        *self.counter(event) += 1;
        if let Err(index) = self.place(event) {
            self.order.insert(index, (counted(event).is_none(), event.depth, Arc::clone(event)));
        }
    }

    /// The count of which a member event is a part.
    fn counter(&mut self, event: &Event) -> &mut usize {
        match counted(event) {
            Some(MemberCount::Joined) => &mut self.joined,
            Some(MemberCount::Invited) => &mut self.invited,
            None => &mut self.gone,
        }
    }

    /// Where a member event is in the order, or would be.
    fn place(&self, event: &Event) -> Result<usize, usize> {
        let wanted = (counted(event).is_none(), event.depth, &event.event_id);
        self.order.binary_search_by(|(is_gone, depth, other)| {
            (*is_gone, *depth, &other.event_id).cmp(&wanted)
        })
    }
}

/// The state key; empty for an event without one.
fn key(event: &Event) -> &str {
    event.state_key.as_deref().unwrap_or_default()
}

/// The membership that a member event gives to its state key; `leave` if it has none.
#[must_use]
pub fn membership(event: &Event) -> MembershipState {
    text(event, "membership").map_or(MembershipState::Leave, MembershipState::from)
}

/// The visibility that an `m.room.history_visibility` event gives to the events after it.
#[must_use]
pub fn history_visibility(event: &Event) -> HistoryVisibility {
    const KNOWN: [HistoryVisibility; 3] =
        [HistoryVisibility::Invited, HistoryVisibility::Shared, HistoryVisibility::WorldReadable];
    text(event, "history_visibility")
        .map(HistoryVisibility::from)
        .filter(|visibility| KNOWN.contains(visibility))
        .unwrap_or(HistoryVisibility::Joined)
}

/// How an event is counted.
fn counted(event: &Event) -> Option<MemberCount> {
    if event.kind != TimelineEventType::RoomMember {
        return None;
    }
    let membership = membership(event);
    if membership == MembershipState::Join {
        Some(MemberCount::Joined)
    } else if membership == MembershipState::Invite {
        Some(MemberCount::Invited)
    } else {
        None
    }
}

/// A text in an event's content.
fn text(event: &Event, field: &str) -> Option<String> {
    let content: Value = serde_json::from_str(event.content.get()).ok()?;
    content.get(field)?.as_str().map(str::to_owned)
}

/// What an event takes of [`BYTES_MAX`].
fn size(event: &Event) -> usize {
    event.content.get().len() + event.state_key.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests;
