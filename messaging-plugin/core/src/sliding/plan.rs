//! What a response of sliding sync holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma::{
    OwnedRoomId, api::client::sync::sync_events::v5::request::ExtensionRoomConfig,
    events::room::member::MembershipState,
};

use super::required::RequiredState;
use crate::token::Position;

/// What a response holds of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomPlan {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The person's membership: of an invitation only stripped state is sent.
    pub membership: MembershipState,
    /// Which part of the timeline.
    pub timeline: Timeline,
    /// Most events of it.
    pub limit: usize,
    /// State that is sent where it changed since [`Timeline::Since`], or whole.
    pub required: Arc<RequiredState>,
    /// State that is sent although it did not change, since the client asks for it only now.
    pub added: RequiredState,
}

/// Which part of a room's timeline is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeline {
    /// The last events, and the whole required state (`initial`).
    Initial,
    /// The last events, since the client asks for more than before (`limited`, `unstable_expanded_timeline`).
    Expanded(Position),
    /// The events after this position.
    Since(Position),
}

/// A room that lists or subscriptions show, for the extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRoom {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Up to where receipts and account data of the room were sent; `None` if never.
    pub since: Option<Position>,
    pub(super) lists: BTreeSet<String>,
    pub(super) is_subscribed: bool,
}

/// What a response holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many rooms each list has.
    pub counts: BTreeMap<String, usize>,
    /// The rooms that are sent.
    pub rooms: Vec<RoomPlan>,
    /// The rooms that lists and subscriptions show, sent or not.
    pub shown: Vec<ShownRoom>,
    /// Up to where global account data was sent; `None` if never.
    pub since: Option<Position>,
    /// The number of the last change of who is typing that was sent; `None` if the connection starts.
    pub typing: Option<u64>,
    pub(super) position: Position,
    /// The response that the client had named.
    pub(super) base: u64,
    pub(super) records: BTreeMap<OwnedRoomId, Option<Record>>,
    pub(super) required: Vec<Arc<RequiredState>>,
}

impl Plan {
    /// The rooms that an extension with these settings covers (MSC3959, MSC3960): without settings every one, `*` all
    /// subscriptions.
    pub fn covered<'a>(
        &'a self,
        lists: Option<&'a [String]>,
        rooms: Option<&'a [ExtensionRoomConfig]>,
    ) -> impl Iterator<Item = &'a ShownRoom> {
        self.shown.iter().filter(move |shown| {
            let of_list =
                lists.is_none_or(|lists| lists.iter().any(|list| shown.lists.contains(list)));
            let of_room = rooms.is_none_or(|rooms| {
                rooms.iter().any(|room| match room {
                    ExtensionRoomConfig::Room(id) => *id == shown.room_id,
                    ExtensionRoomConfig::AllSubscribed | _ => true,
                })
            });
            (!shown.lists.is_empty() && of_list) || (shown.is_subscribed && of_room)
        })
    }
}

/// What a client has of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) up_to: Position,
    /// Whether it is more than the stripped state of an invitation.
    pub(super) is_joined: bool,
    pub(super) limit: usize,
    pub(super) required: Arc<RequiredState>,
}
