//! The AI follows telmeet's sync.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    device::SyncedKeys,
    homeserver::{CallError, segment},
    participant::{Error, Participant, settle},
};

/// How long a sync waits for something new.
const WAIT: Duration = Duration::from_secs(30);
/// Events of a room in one sync.
const TIMELINE: usize = 30;

/// What a sync says about rooms.
#[derive(Debug, Deserialize)]
struct Synced {
    next_batch: String,
    #[serde(default)]
    rooms: SyncedRooms,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SyncedRooms {
    join: BTreeMap<OwnedRoomId, Joined>,
    invite: BTreeMap<OwnedRoomId, Invited>,
    leave: BTreeMap<OwnedRoomId, serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Joined {
    timeline: Events,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Invited {
    invite_state: Events,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Events {
    events: Vec<Box<RawValue>>,
}

impl Participant {
    /// Follows telmeet's sync until it fails.
    ///
    /// # Errors
    ///
    /// See [`Error`]. What was not handled comes again.
    pub async fn follow(self: &Arc<Self>) -> Result<Infallible, Error> {
        let mut since = self.ledger.since().await?;
        let mut limit = TIMELINE;
        loop {
            let filter = json!({
                "presence": { "types": [] },
                "account_data": { "types": [] },
                "room": {
                    "timeline": { "limit": limit },
                    "state": { "types": [], "lazy_load_members": true },
                    "ephemeral": { "types": [] },
                    "account_data": { "types": [] },
                },
            });
            let mut query = format!("filter={}", segment(&filter.to_string()));
            if let Some(since) = &since {
                query.push_str(&format!("&since={}", segment(since)));
            }
            let wait = if since.is_some() { WAIT } else { Duration::ZERO };
            let body = match self.homeserver.sync(&query, wait).await {
                // Members wrote much at once: the last event of each room then.
                Err(CallError::TooLarge) if limit > 1 => {
                    tracing::warn!("a sync is too large: the AI skips messages");
                    limit = 1;
                    continue;
                }
                body => body?,
            };
            limit = TIMELINE;
            let keys: SyncedKeys =
                serde_json::from_slice(&body).map_err(|_| CallError::Malformed)?;
            let synced: Synced = serde_json::from_slice(&body).map_err(|_| CallError::Malformed)?;
            drop(body);
            self.device.receive(keys).await?;
            self.read_again().await?;
            self.take(synced.rooms, since.is_none()).await?;
            if since.as_ref() != Some(&synced.next_batch) {
                self.ledger.set_since(&synced.next_batch).await?;
                since = Some(synced.next_batch);
            }
        }
    }

    /// Takes what happened in rooms. Of the first sync of a device only the invitations: what its rooms have was before it.
    async fn take(self: &Arc<Self>, rooms: SyncedRooms, is_first: bool) -> Result<(), Error> {
        for room in rooms.leave.keys() {
            self.rooms.forget(room);
        }
        for (room, invited) in &rooms.invite {
            settle(room, self.handle_invitation(room, &invited.invite_state.events).await)?;
        }
        for (room, joined) in &rooms.join {
            let events = &joined.timeline.events;
            let first = if is_first { events.len() } else { self.first_seen(events) };
            for event in &events[first..] {
                settle(room, self.handle_event(room, event).await)?;
            }
        }
        Ok(())
    }

    /// The first event that the AI sees of a room's timeline: after its joining. In a direct chat people write right after they
    /// invited, so it sees from its invitation on.
    fn first_seen(&self, events: &[Box<RawValue>]) -> usize {
        let (mut first, mut is_invited) = (0, false);
        for (at, event) in events.iter().enumerate() {
            if !event.get().contains("m.room.member") {
                continue;
            }
            let Ok(event) = serde_json::from_str::<Value>(event.get()) else { continue };
            if event["type"] != "m.room.member" || event["state_key"] != self.me.as_str() {
                continue;
            }
            let content = &event["content"];
            let is_join = content["membership"] == "join";
            // Every change of the AI's name is a join, too.
            let was_joined = event["unsigned"]["prev_content"]["membership"] == "join";
            if !(is_join && (is_invited || was_joined)) {
                first = at;
            }
            is_invited = content["membership"] == "invite" && content["is_direct"] == true;
        }
        first
    }
}
