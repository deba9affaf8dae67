//! A person's room, and where it last changed.

use ruma::{
    OwnedRoomId,
    events::{TimelineEventType, room::member::MembershipState},
};
use telmeet_core::token::Position;

/// The types of events that move a room to the top of a list (MSC4186, "bump_stamp").
pub(super) const BUMPING: [&str; 7] = [
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "m.beacon_info",
];

/// A room that a person is or was in, or is invited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonRoom {
    /// The room.
    pub(crate) room_id: OwnedRoomId,
    /// The person's membership.
    pub(crate) membership: MembershipState,
    /// The position of the person's member event.
    pub(crate) position: Position,
    /// Whether the person left it and forgot it.
    pub(crate) is_forgotten: bool,
    /// The position of the join that began the person's present or last stay; 0 if there was none.
    pub(crate) joined_at: Position,
    /// The position of the last event.
    pub(crate) last: Position,
    /// The position of the last event that moves the room to the top of a list.
    pub(crate) bumped: Position,
    /// The position of the last receipt that the person sees.
    pub(crate) receipts: Position,
    /// The position of the person's own last receipt.
    pub(crate) own_receipts: Position,
}

/// Whether an event of this type moves its room to the top of a list.
pub(super) fn is_bumping(kind: &TimelineEventType) -> bool {
    BUMPING.contains(&kind.to_string().as_str())
}
