//! The task that pushes: it asks a person's push rules about events, and publishes ids and counts to the topics of the
//! person's pushers (specification, client-server API, "Push Notifications", `event_id_only`).
//!
//! As with Synapse, the app that is open right now is pushed, too, and the count is that of rooms with something unread.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Weak},
};

use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    api::client::push::{Pusher, PusherKind},
    events::room::member::MembershipState,
};
use serde_json::{Value, json};
use sqlx::Row as _;
use store::column;
use telmeet_core::{event::Event, unread as rules};

use super::{address, pending::News, topics::PersonId};
use crate::{
    error::Error,
    homeserver::Homeserver,
    session::Session,
    sync::{reader::Reader, unread},
};

/// Most rooms whose unread events are counted for a person when its first message is pushed.
const ROOMS_MAX: usize = 200;

/// Starts the task, which ends with the homeserver.
pub(crate) fn start(homeserver: &Arc<Homeserver>) {
    homeserver.push.spawn(run(Arc::downgrade(homeserver), Arc::clone(&homeserver.push.pending)));
}

async fn run(homeserver: Weak<Homeserver>, pending: Arc<super::pending::Pending>) {
    let mut notifier = Notifier::default();
    loop {
        let (user, room, news) = pending.next().await;
        let Some(homeserver) = homeserver.upgrade() else {
            return;
        };
        if let Err(error) = notifier.push(&homeserver, user, &room, news).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot push");
        }
    }
}

/// A pusher whose messages go to a topic of its person.
#[derive(Debug)]
struct Target {
    person: PersonId,
    topic: String,
    pusher: Pusher,
}

/// What people's apps show as unread.
#[derive(Debug, Default)]
struct Notifier {
    people: HashMap<OwnedUserId, Badge>,
}

/// How many rooms of a person are unread.
#[derive(Debug, Default)]
struct Badge {
    rooms: BTreeSet<OwnedRoomId>,
    /// The count that was published last.
    published: Option<usize>,
}

impl Notifier {
    /// Pushes what is new in a room to one person's apps.
    async fn push(
        &mut self,
        homeserver: &Homeserver,
        user: OwnedUserId,
        room: &RoomId,
        news: News,
    ) -> Result<(), Error> {
        let targets = targets(homeserver, &user).await?;
        if targets.is_empty() {
            self.people.remove(&user);
            return Ok(());
        }
        let session = Session { user, device: String::new().into(), node: String::new() };
        let (mut reader, rooms) = Reader::start(homeserver, &session, None).await?;
        let mut notified = Vec::new();
        for (event, state) in &news.events {
            if is_notified(&mut reader, event, state).await? {
                notified.push(event);
            }
        }
        let badge = self.people.entry(session.user.clone()).or_default();
        let is_first = badge.published.is_none();
        let counted = rooms.iter().filter(|it| it.last > it.own_receipts);
        let counted = counted.filter(|it| is_first || news.is_read && it.room_id == room);
        if news.is_read {
            badge.rooms.remove(room);
        }
        for counted in counted.take(ROOMS_MAX) {
            if counted.membership == MembershipState::Join
                && let Some(current) = reader.room(&counted.room_id).await?
                && unread::count(&mut reader, counted, &current.state).await?.total().notifications
                    > 0
            {
                badge.rooms.insert(counted.room_id.clone());
            }
        }
        if !notified.is_empty() && !news.is_read {
            badge.rooms.insert(room.to_owned());
        }
        let count = badge.rooms.len();
        for event in &notified {
            publish(homeserver, &targets, Some(event), count);
        }
        if notified.is_empty() && news.is_read && badge.published != Some(count) {
            publish(homeserver, &targets, None, count);
        }
        badge.published = Some(count);
        Ok(())
    }
}

/// Whether the person's push rules notify of an event, which nobody sent whom the person ignores.
async fn is_notified(
    reader: &mut Reader<'_>,
    event: &Event,
    state: &telmeet_core::state::RoomState,
) -> Result<bool, Error> {
    if reader.ignored.contains(&event.sender) {
        return Ok(false);
    }
    let rules = reader.rules().await?;
    let user = &reader.session.user;
    Ok(rules::evaluate(&rules, event, state, user, &unread::name(state, user))?.is_notified)
}

/// The person's pushers.
async fn targets(homeserver: &Homeserver, user: &UserId) -> Result<Vec<Target>, Error> {
    let query = "SELECT u.data, p.mesh_user FROM pushers u JOIN people p ON p.user_id = u.user_id WHERE u.user_id = $1";
    let rows = sqlx::query(query).bind(user.as_str()).fetch_all(homeserver.pool()).await?;
    let mut targets = Vec::new();
    for row in rows {
        let pusher: Pusher = column::from_json(&row.try_get::<String, _>("data")?, "data")?;
        let person = column::number(&row, "mesh_user")?;
        if let Some(topic) = address::topic(&pusher.ids.pushkey, &homeserver.network) {
            targets.push(Target { person, topic, pusher });
        }
    }
    Ok(targets)
}

/// Publishes a notification to each topic.
fn publish(homeserver: &Homeserver, targets: &[Target], event: Option<&Event>, unread: usize) {
    let now = homeserver.now().as_secs().into();
    for Target { person, topic, pusher } in targets {
        let text = notification(pusher, event, unread).to_string();
        // Another person's pusher may have come first, on the same phone.
        let published = homeserver.push.topics.bind(*person, topic);
        if published.is_ok() {
            drop(homeserver.push.topics.publish(*person, topic, &text, now));
        }
    }
}

/// A notification (specification, push gateway API): ids and counts alone, whatever format the pusher has.
fn notification(pusher: &Pusher, event: Option<&Event>, unread: usize) -> Value {
    let mut data = match &pusher.kind {
        PusherKind::Http(data) => serde_json::to_value(data).unwrap_or_default(),
        PusherKind::Email(_) | _ => Value::Null,
    };
    if let Some(data) = data.as_object_mut() {
        data.remove("url");
    }
    let device = json!({"app_id": pusher.ids.app_id, "pushkey": pusher.ids.pushkey, "data": data});
    let mut notification =
        json!({"prio": "high", "counts": {"unread": unread}, "devices": [device]});
    if let Some(event) = event {
        notification["event_id"] = event.event_id.as_str().into();
        notification["room_id"] = event.room_id.as_str().into();
    }
    json!({ "notification": notification })
}
