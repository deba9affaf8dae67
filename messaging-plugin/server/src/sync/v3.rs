//! `GET /sync` (specification, client-server API, "Syncing").

mod lazy;
mod left;
mod room;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State, response::IntoResponse};
use ruma::{
    OneTimeKeyAlgorithm, OwnedRoomId, RoomId, UInt,
    api::client::{
        filter::FilterDefinition,
        sync::sync_events::{
            DeviceLists,
            v3::{
                Filter, GlobalAccountData, InviteState, KnockState, Presence, Request, Rooms,
                ToDevice,
            },
        },
    },
    events::{AnyGlobalAccountDataEvent, AnyRoomAccountDataEvent, room::member::MembershipState},
    serde::Raw,
};
use serde::Serialize;
use telmeet_core::{
    filter,
    token::{Position, Since},
};

use self::room::RoomUpdate;
use super::{
    encryption,
    long_poll::LongPoll,
    reader::{Reader, raw},
    room_positions::PersonRoom,
    state,
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    keys::sync as keys,
    matrix::{Route, Ruma, route},
    personal::{filters, presence, typing},
    session::Session,
};

/// The endpoint.
pub(crate) fn routes() -> Vec<Route> {
    route::<Request, _, _>(sync)
}

/// The response. `ruma`'s leaves out all rooms if the only news is a room on which the person knocked.
#[derive(Debug, Serialize)]
struct SyncBody {
    next_batch: String,
    rooms: Rooms,
    presence: Presence,
    account_data: GlobalAccountData,
    to_device: ToDevice,
    device_lists: DeviceLists,
    device_one_time_keys_count: BTreeMap<OneTimeKeyAlgorithm, UInt>,
    /// Present even if it is empty: apps then upload a new fallback key.
    device_unused_fallback_key_types: Vec<OneTimeKeyAlgorithm>,
}

impl SyncBody {
    fn is_empty(&self) -> bool {
        self.rooms.is_empty()
            && self.rooms.knock.is_empty()
            && self.presence.is_empty()
            && self.account_data.is_empty()
            && self.to_device.is_empty()
            && self.device_lists.is_empty()
    }
}

async fn sync(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<Request>,
) -> Result<impl IntoResponse, Error> {
    let definition = definition(&homeserver, &session, request.filter).await?;
    let device = (session.user.clone(), session.device.clone());
    homeserver.presence.synced(&device, &request.set_presence);
    let mut poll = LongPoll::start(&homeserver, &device, request.timeout)?.with_presence();
    let since = request.since;
    let received = homeserver.clock().read_acknowledged(since.as_deref());
    encryption::acknowledge(&homeserver, &session, received).await?;
    let (typing_seen, presence_seen) = homeserver.syncs.with(&device, |device| {
        // The app did not get the response to its last request: what it showed is sent again.
        if since.is_none() || (device.since == since && device.next_batch != since) {
            device.members = filter::SentMembers::default();
            device.typing = 0;
        }
        // It follows no response that showed who is there.
        if since.is_none() || device.next_batch != since {
            device.presence = 0;
        }
        device.since.clone_from(&since);
        (since.as_ref().map(|_| device.typing), device.presence)
    });
    loop {
        poll.read();
        let typing_now = typing::lock(&homeserver).latest_change();
        let presence_now = homeserver.presence.latest_change();
        let position = match homeserver.clock().read_sync(since.as_deref()) {
            Since::Start => None,
            Since::After(position) => Some(position),
        };
        let (reader, rooms) = Reader::start(&homeserver, &session, position).await?;
        let mut batch = Batch {
            reader,
            filter: &definition,
            since: position,
            received,
            typing_seen,
            presence_seen,
            is_full: request.full_state,
        };
        let body = batch.read(&rooms).await?;
        drop(batch);
        let joined = rooms.iter().filter(|room| room.membership == MembershipState::Join);
        let joined = joined.map(|room| &*room.room_id);
        let is_due = position.is_none() || request.full_state || !body.is_empty();
        if is_due || !poll.changed(joined).await {
            homeserver.syncs.with(&device, |device| {
                device.next_batch = Some(body.next_batch.clone());
                device.typing = typing_now;
                device.presence = presence_now;
            });
            return Ok(Json(body));
        }
    }
}

/// The filter of a request: stored, or in the query.
async fn definition(
    homeserver: &Homeserver,
    session: &Session,
    filter: Option<Filter>,
) -> Result<FilterDefinition, Error> {
    match filter {
        None => Ok(FilterDefinition::default()),
        Some(Filter::FilterDefinition(definition)) => {
            let bytes = store::column::to_json(&definition, "filter")?;
            Ok(filter::parse(bytes.as_bytes())?)
        }
        Some(Filter::FilterId(id)) => {
            let mut connection = homeserver.pool().acquire().await?;
            filters::read(&mut connection, &session.user, &id).await
        }
        Some(_) => Err(Error::invalid("`filter` is the id of a filter, or a filter")),
    }
}

/// One read of everything after a position.
struct Batch<'a> {
    reader: Reader<'a>,
    filter: &'a FilterDefinition,
    since: Option<Position>,
    /// Up to where the client has messages between devices.
    received: Since,
    typing_seen: Option<u64>,
    presence_seen: u64,
    /// Whether the whole state of each room is wanted.
    is_full: bool,
}

/// Account data of rooms.
type RoomData = BTreeMap<OwnedRoomId, Vec<Raw<AnyRoomAccountDataEvent>>>;

impl Batch<'_> {
    async fn read(&mut self, rooms: &[PersonRoom]) -> Result<SyncBody, Error> {
        let (account_data, mut of_rooms) = self.account_data().await?;
        let mut shown = Rooms::new();
        for room in
            rooms.iter().filter(|room| filter::matches_room(&self.filter.room, &room.room_id))
        {
            let id = &room.room_id;
            let data = of_rooms.remove(id).unwrap_or_default();
            if room.membership == MembershipState::Join {
                let typing = self.typing(id);
                let is_full = self.is_full;
                let shown_room = RoomUpdate { room, account_data: data, typing, is_full };
                if let Some(joined) =
                    room::joined(&mut self.reader, self.filter, self.since, shown_room).await?
                {
                    shown.join.insert(id.clone(), joined);
                }
            } else if self.since.is_some_and(|since| room.position <= since) {
                // It was shown already.
            } else if [MembershipState::Leave, MembershipState::Ban].contains(&room.membership) {
                let left = left::read(&mut self.reader, self.filter, self.since, room).await?;
                shown.leave.extend(left.map(|left| (id.clone(), left)));
            } else {
                self.invited(room, &mut shown).await?;
            }
        }
        let presence = self.presence(rooms).await?;
        let (clock, latest) = (self.reader.clock, self.reader.latest());
        let (reader, limit) = (&mut self.reader, keys::MESSAGES_MAX);
        let messages = encryption::to_device(reader, self.received, limit).await?;
        let next_batch = if messages.upto < latest {
            clock.partial_sync_token(latest, messages.upto)
        } else {
            clock.sync_token(latest)
        };
        let since = self.since.map_or(Since::Start, Since::After);
        let mut to_device = ToDevice::new();
        to_device.events = messages.events.into_iter().map(Raw::from_json).collect();
        let device_lists = encryption::device_lists(reader, since).await?;
        let device_keys = encryption::device_keys(reader).await?;
        Ok(SyncBody {
            next_batch,
            rooms: shown,
            presence,
            account_data,
            to_device,
            device_lists,
            device_one_time_keys_count: device_keys.one_time,
            device_unused_fallback_key_types: device_keys.fallback,
        })
    }

    /// Shows an invitation or a knock.
    async fn invited(&mut self, room: &PersonRoom, shown: &mut Rooms) -> Result<(), Error> {
        let Some(current) = self.reader.room(&room.room_id).await? else {
            return Ok(());
        };
        let user = &self.reader.session.user;
        if state::is_ignored_invitation(&current.state, user, &self.reader.ignored) {
            return Ok(());
        }
        let events = state::stripped(&current.state, user)?;
        if room.membership == MembershipState::Knock {
            let mut knock_state = KnockState::new();
            knock_state.events = events;
            shown.knock.insert(room.room_id.clone(), knock_state.into());
        } else {
            shown.invite.insert(room.room_id.clone(), InviteState::from(events).into());
        }
        Ok(())
    }

    /// Account data of the person and of rooms that the client wants.
    async fn account_data(&mut self) -> Result<(GlobalAccountData, RoomData), Error> {
        let mut global = GlobalAccountData::new();
        let mut of_rooms = RoomData::new();
        for data in self.reader.account_data(self.since).await? {
            let wanted = &self.filter.room.account_data;
            match &data.room {
                None if filter::matches_data(&self.filter.account_data, &data.kind, None) => {
                    global.events.push(Raw::<AnyGlobalAccountDataEvent>::from_json(data.event()?));
                }
                Some(room) if filter::matches_room_data(wanted, &data.kind, room) => {
                    of_rooms.entry(room.clone()).or_default().push(Raw::from_json(data.event()?));
                }
                _ => {}
            }
        }
        Ok((global, of_rooms))
    }

    /// Who is there, of those with whom the person shares a room: who changed, or everybody if the person entered a room.
    async fn presence(&mut self, rooms: &[PersonRoom]) -> Result<Presence, Error> {
        let is_new = |room: &PersonRoom| self.since.is_some_and(|since| since < room.joined_at);
        let seen = if rooms.iter().any(is_new) { 0 } else { self.presence_seen };
        let news = presence::news(&mut self.reader, seen, &self.filter.presence).await?;
        let mut presence = Presence::new();
        presence.events = news.iter().map(raw).collect::<Result<_, _>>()?;
        Ok(presence)
    }

    /// The `m.typing` event of a room, if it changed.
    fn typing(&self, room: &RoomId) -> Option<serde_json::Value> {
        if !filter::matches_room_data(&self.filter.room.ephemeral, "m.typing", room) {
            return None;
        }
        typing::news(self.reader.homeserver, room, self.typing_seen, &self.reader.ignored)
    }
}
