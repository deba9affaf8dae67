//! Which rooms the lists and subscriptions of a request show.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma::{
    OwnedRoomId, RoomId, UInt,
    api::client::sync::sync_events::v5::{
        Request,
        request::{List, ListFilters},
    },
    directory::RoomTypeFilter,
    events::{StateEventType, room::member::MembershipState},
    room::RoomType,
};

use super::required::RequiredState;
use crate::{Error, token::Position};

/// Most lists of a request.
pub const LISTS_MAX: usize = 16;

/// Most ranges of a list.
pub const RANGES_MAX: usize = 16;

/// Most rooms that a request subscribes to.
pub const SUBSCRIPTIONS_MAX: usize = 128;

/// Most entries of one `required_state`. Element X sends 18.
pub const REQUIRED_MAX: usize = 64;

/// Most timeline events of a room; a higher `timeline_limit` means this.
pub const TIMELINE_MAX: usize = 100;

/// A room as its lists see it, for one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomEntry {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The person's membership.
    pub membership: MembershipState,
    /// The position of the last event that moves the room to the top (`bump_stamp`).
    pub bumped: Position,
    /// The position of the last change that the person is shown: an event, a count of unread events.
    pub changed: Position,
    /// Whether the person's `m.direct` account data names it.
    pub is_direct: bool,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// Its type.
    pub room_type: Option<RoomType>,
}

/// The rooms that a request shows.
#[derive(Debug, Default)]
pub(super) struct Windows<'a> {
    /// How many rooms each list has.
    pub(super) counts: BTreeMap<String, usize>,
    /// What is wanted of each room.
    pub(super) rooms: BTreeMap<&'a RoomId, RoomWindow>,
    /// The state that is wanted by each combination of lists and subscriptions.
    required: BTreeMap<Vec<usize>, Arc<RequiredState>>,
}

/// What is wanted of a room, by all lists and subscriptions that show it.
#[derive(Debug, Default)]
pub(super) struct RoomWindow {
    pub(super) limit: usize,
    pub(super) lists: BTreeSet<String>,
    pub(super) is_subscribed: bool,
    /// The lists and subscriptions, by their number.
    sources: Vec<usize>,
}

impl RoomWindow {
    fn add(&mut self, source: usize, limit: UInt) {
        let limit = usize::try_from(u64::from(limit)).unwrap_or(TIMELINE_MAX).min(TIMELINE_MAX);
        self.limit = self.limit.max(limit);
        self.sources.push(source);
    }
}

impl Windows<'_> {
    /// The state that is wanted of a room.
    pub(super) fn required(&self, shown: &RoomWindow) -> Arc<RequiredState> {
        self.required.get(&shown.sources).cloned().unwrap_or_default()
    }

    /// All states that are wanted.
    pub(super) fn all_required(&self) -> Vec<Arc<RequiredState>> {
        self.required.values().cloned().collect()
    }
}

/// Applies the lists and subscriptions of a request to a person's rooms. A subscription to another room shows nothing.
/// `known` is the wanted state of earlier requests: where it is the same, it is shared.
///
/// # Errors
///
/// [`Error::TooLarge`] beyond a limit; [`Error::InvalidParam`] for a range that ends before it starts.
pub(super) fn read_windows<'a>(
    request: &Request,
    rooms: &'a [RoomEntry],
    known: &[Arc<RequiredState>],
) -> Result<Windows<'a>, Error> {
    check(request)?;
    let mut sorted: Vec<&RoomEntry> = rooms.iter().filter(|entry| is_listed(entry)).collect();
    sorted.sort_by(|a, b| b.bumped.cmp(&a.bumped).then_with(|| a.room_id.cmp(&b.room_id)));
    let mut windows = Windows::default();
    let mut sources: Vec<&[(StateEventType, String)]> = Vec::new();
    for (name, list) in &request.lists {
        let matching: Vec<&RoomEntry> =
            sorted.iter().copied().filter(|entry| matches(list.filters.as_ref(), entry)).collect();
        for entry in in_ranges(list, &matching) {
            let shown = windows.rooms.entry(&entry.room_id).or_default();
            shown.add(sources.len(), list.room_details.timeline_limit);
            shown.lists.insert(name.clone());
        }
        sources.push(&list.room_details.required_state);
        windows.counts.insert(name.clone(), matching.len());
    }
    let by_id: BTreeMap<&OwnedRoomId, &RoomEntry> =
        sorted.iter().map(|entry| (&entry.room_id, *entry)).collect();
    for (room_id, subscription) in &request.room_subscriptions {
        let Some(entry) = by_id.get(room_id) else { continue };
        let shown = windows.rooms.entry(&entry.room_id).or_default();
        shown.add(sources.len(), subscription.timeline_limit);
        shown.is_subscribed = true;
        sources.push(&subscription.required_state);
    }
    for shown in windows.rooms.values() {
        windows.required.entry(shown.sources.clone()).or_insert_with(|| {
            let mut required = RequiredState::default();
            shown.sources.iter().for_each(|source| required.extend(sources[*source]));
            known
                .iter()
                .find(|known| ***known == required)
                .cloned()
                .unwrap_or_else(|| Arc::new(required))
        });
    }
    Ok(windows)
}

/// Whether lists have the room: not one that was left.
pub(super) fn is_listed(entry: &RoomEntry) -> bool {
    matches!(
        entry.membership,
        MembershipState::Join | MembershipState::Invite | MembershipState::Knock
    )
}

/// Checks the limits of a request.
fn check(request: &Request) -> Result<(), Error> {
    let large = |what, max| Err(Error::TooLarge { what, max });
    if request.lists.len() > LISTS_MAX {
        return large("lists", "16");
    }
    if request.room_subscriptions.len() > SUBSCRIPTIONS_MAX {
        return large("room_subscriptions", "128");
    }
    if request.lists.values().any(|list| list.ranges.len() > RANGES_MAX) {
        return large("ranges", "16");
    }
    let of_lists = request.lists.values().map(|list| &list.room_details.required_state);
    let of_rooms = request.room_subscriptions.values().map(|room| &room.required_state);
    if of_lists.chain(of_rooms).any(|required| required.len() > REQUIRED_MAX) {
        return large("required_state", "64 entries");
    }
    if request.lists.values().flat_map(|list| &list.ranges).any(|(first, last)| first > last) {
        return Err(Error::InvalidParam("a range ends before it starts".to_owned()));
    }
    Ok(())
}

/// The rooms in the ranges of a list, whose ends are included.
fn in_ranges<'a>(list: &List, matching: &[&'a RoomEntry]) -> Vec<&'a RoomEntry> {
    let is_in = |index: u64| {
        list.ranges
            .iter()
            .any(|(first, last)| (u64::from(*first)..=u64::from(*last)).contains(&index))
    };
    (0_u64..).zip(matching).filter(|(index, _)| is_in(*index)).map(|(_, entry)| *entry).collect()
}

fn matches(filters: Option<&ListFilters>, entry: &RoomEntry) -> bool {
    let Some(filters) = filters else { return true };
    let is_invite = entry.membership == MembershipState::Invite;
    let is_type =
        |wanted: &RoomTypeFilter| wanted.as_str() == entry.room_type.as_ref().map(RoomType::as_str);
    filters.is_dm.is_none_or(|wanted| wanted == entry.is_direct)
        && filters.is_encrypted.is_none_or(|wanted| wanted == entry.is_encrypted)
        && filters.is_invite.is_none_or(|wanted| wanted == is_invite)
        && (filters.room_types.is_empty() || filters.room_types.iter().any(is_type))
        && !filters.not_room_types.iter().any(is_type)
}
