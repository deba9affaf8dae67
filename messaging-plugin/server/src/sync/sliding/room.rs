//! A room in a response of sliding sync.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma::{
    UInt, UserId,
    api::client::sync::sync_events::v5::response::{Hero, Room as ShownRoom},
    events::{
        StateEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};
use telmeet_core::{
    event::Event,
    sliding::{self, RoomPlan, Timeline as Part},
    state::RoomState,
    token::Position,
};

use super::super::{
    reader::Reader,
    room_positions::PersonRoom,
    state,
    timeline::{self, Range, Timeline},
    unread,
};
use crate::error::Error;

/// Reads what a plan names of a room.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], [`Error::Core`].
pub(crate) async fn read(
    reader: &mut Reader<'_>,
    plan: &RoomPlan,
    room: &PersonRoom,
) -> Result<Option<ShownRoom>, Error> {
    let Some(current) = reader.room(&room.room_id).await? else { return Ok(None) };
    let state = &*current.state;
    let user = &reader.session.user;
    let mut shown = ShownRoom::new();
    if [MembershipState::Invite, MembershipState::Knock].contains(&room.membership) {
        shown.initial = (plan.timeline == Part::Initial).then_some(true);
        shown.invite_state = Some(state::stripped(state, user)?);
        shown.bump_stamp = Some(UInt::new_saturating(room.position));
        names(&mut shown, state, user);
        return Ok(Some(shown));
    }
    let is_joined = room.membership == MembershipState::Join;
    let since = match plan.timeline {
        Part::Initial => None,
        Part::Expanded(since) | Part::Since(since) => Some(since),
    };
    let range = Range {
        after: if let Part::Since(since) = plan.timeline { since } else { 0 },
        upto: if is_joined { reader.latest() } else { room.position },
        limit: plan.limit,
        filter: None,
    };
    let timeline = timeline::read(reader, &room.room_id, range).await?;
    shown.initial = since.is_none().then_some(true);
    shown.timeline = reader.render(&timeline.events, &timeline.access).await?;
    shown.limited = timeline.is_limited;
    shown.prev_batch = Some(reader.clock.page_token(timeline.before));
    let is_live = |position: Position| since.is_some_and(|since| position > since);
    let live = timeline.events.iter().filter(|stored| is_live(stored.position)).count();
    shown.num_live = Some(UInt::new_saturating(live as u64));
    if !is_joined {
        let own = state.get(&StateEventType::RoomMember, user.as_str());
        shown.required_state = reader.render_state(own)?;
        return Ok(Some(shown));
    }
    let required = required_state(reader, plan, state, since, &timeline).await?;
    shown.required_state = reader.render_state(&required)?;
    shown.bump_stamp = Some(UInt::new_saturating(room.bumped));
    shown.unread_notifications = unread::counts(unread::count(reader, room, state).await?.total());
    names(&mut shown, state, user);
    Ok(Some(shown))
}

/// The wanted state: what changed, what is wanted for the first time, and the members whose events are in the timeline.
async fn required_state(
    reader: &mut Reader<'_>,
    plan: &RoomPlan,
    state: &RoomState,
    since: Option<Position>,
    timeline: &Timeline,
) -> Result<Vec<Arc<Event>>, Error> {
    let senders: BTreeSet<&UserId> = timeline.senders().map(|sender| &**sender).collect();
    let choose = sliding::Reader { user: &reader.session.user, senders: &senders };
    let mut chosen: BTreeMap<(StateEventType, String), Arc<Event>> = BTreeMap::new();
    let mut add = |event: &Arc<Event>| {
        let key = (event.state_type(), event.state_key.clone().unwrap_or_default());
        chosen.insert(key, Arc::clone(event));
    };
    let wants = |event: &Event| {
        let key = event.state_key.as_deref().unwrap_or_default();
        plan.required.matches(&event.state_type(), key, choose)
    };
    let Some(since) = since else {
        state.iter().filter(|event| wants(event)).for_each(&mut add);
        return Ok(chosen.into_values().collect());
    };
    for (kind, key) in state::changed_keys(reader, &plan.room_id, since).await? {
        state.get(&kind, &key).into_iter().filter(|event| wants(event)).for_each(&mut add);
    }
    for sender in &senders {
        let member = state.get(&StateEventType::RoomMember, sender.as_str());
        member.into_iter().filter(|event| wants(event)).for_each(&mut add);
    }
    if !plan.added.is_empty() {
        let is_added = |event: &&Arc<Event>| {
            let key = event.state_key.as_deref().unwrap_or_default();
            plan.added.matches(&event.state_type(), key, choose)
        };
        state.iter().filter(is_added).for_each(&mut add);
    }
    Ok(chosen.into_values().collect())
}

/// What names the room, and how many members it has.
fn names(shown: &mut ShownRoom, state: &RoomState, user: &UserId) {
    shown.name = state.name();
    if let Some(avatar) = state.avatar() {
        shown.avatar = ruma::JsOption::Some(avatar.into());
    }
    shown.joined_count = Some(UInt::new_saturating(state.joined_count() as u64));
    shown.invited_count = Some(UInt::new_saturating(state.invited_count() as u64));
    if shown.name.is_none() {
        shown.heroes =
            Some(state.heroes(user).into_iter().map(|hero| describe(hero, state)).collect());
    }
}

/// A member, as the room shows them.
fn describe(user: ruma::OwnedUserId, state: &RoomState) -> Hero {
    let member = state.get(&StateEventType::RoomMember, user.as_str());
    let content = member
        .and_then(|event| serde_json::from_str::<RoomMemberEventContent>(event.content.get()).ok());
    let mut hero = Hero::new(user);
    if let Some(content) = content {
        hero.name = content.displayname;
        hero.avatar = content.avatar_url;
    }
    hero
}
