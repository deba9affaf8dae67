//! Members that an app loads lazily (specification, client-server API, "Lazy-loading room members").

use std::sync::Arc;

use ruma::{OwnedUserId, api::client::filter::FilterDefinition, events::TimelineEventType};
use telmeet_core::{event::Event, state::RoomState};

use super::super::{reader::Reader, room_positions::PersonRoom, timeline::Timeline};

/// The state events that are sent. If the app loads members lazily, of a new room only the members that the timeline and
/// the room's name need, and later those of new senders.
pub(crate) fn apply(
    reader: &Reader<'_>,
    wanted: &FilterDefinition,
    current: &RoomState,
    mut events: Vec<Arc<Event>>,
    (room, is_new): (&PersonRoom, bool),
    timeline: &Timeline,
) -> Vec<Arc<Event>> {
    let options = &wanted.room.state.lazy_load_options;
    if options.is_disabled() {
        return events;
    }
    let user = &reader.session.user;
    let mut members: Vec<OwnedUserId> = timeline.senders().cloned().collect();
    if is_new {
        events.retain(|event| event.kind != TimelineEventType::RoomMember);
        members.push(user.clone());
        if current.name().is_none() {
            members.extend(current.heroes(user));
        }
    }
    let device = (user.clone(), reader.session.device.clone());
    let members = reader.homeserver.syncs.with(&device, |device| {
        if is_new {
            device.members.forget(&room.room_id);
        }
        let members = members.iter().map(|member| &**member);
        device.members.add(options, &room.room_id, members, current)
    });
    for member in members {
        let is_there = events.iter().any(|event| event.event_id == member.event_id);
        if !is_there && !timeline.has(&member.event_id) {
            events.push(member);
        }
    }
    events
}
