//! What is to be pushed: events that were committed, and rooms that were read, for people whose apps have a pusher.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId, events::room::member::MembershipState};
use telmeet_core::{event::Event, state::RoomState};
use tokio::sync::Notify;

/// Most events of a room that wait for one person. A flood in one room displaces only that room's older events.
const EVENTS_MAX: usize = 16;

/// What is new in a room for one person.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Events of others, each with the room's state after it.
    pub(crate) events: VecDeque<(Arc<Event>, Arc<RoomState>)>,
    /// Whether the person read or left the room.
    pub(crate) is_read: bool,
}

/// What is to be pushed. While the task is behind, each person's room waits for its turn.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// People who have, or had, a pusher.
    people: HashSet<OwnedUserId>,
    rooms: BTreeMap<(OwnedUserId, OwnedRoomId), News>,
    /// Whose turn was last.
    last: Option<(OwnedUserId, OwnedRoomId)>,
}

impl Pending {
    /// From now on this person's events are pushed.
    pub(crate) fn has_pusher(&self, user: OwnedUserId) {
        self.waiting().people.insert(user);
    }

    /// Queues a committed event for the members who may be notified of it, and whom it invites; for its sender, and whoever
    /// it removes, the count of what is unread changes.
    pub(crate) fn stored(&self, event: &Arc<Event>, state: &Arc<RoomState>) {
        let mut waiting = self.waiting();
        let Waiting { people, rooms, .. } = &mut *waiting;
        let target = event.state_key.as_deref();
        for user in &*people {
            let is_target = target == Some(user.as_str());
            let membership = state.membership(user);
            if membership != MembershipState::Join && !is_target {
                continue;
            }
            let news = rooms.entry((user.clone(), event.room_id.clone())).or_default();
            let is_in = [MembershipState::Join, MembershipState::Invite].contains(&membership);
            if event.sender == *user || !is_in {
                news.is_read = true;
                continue;
            }
            news.events.push_back((Arc::clone(event), Arc::clone(state)));
            if news.events.len() > EVENTS_MAX {
                news.events.pop_front();
            }
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Queues that a person read in a room.
    pub(crate) fn read(&self, user: &UserId, room: &RoomId) {
        let mut waiting = self.waiting();
        if waiting.people.contains(user) {
            let key = (user.to_owned(), room.to_owned());
            waiting.rooms.entry(key).or_default().is_read = true;
            drop(waiting);
            self.changed.notify_one();
        }
    }

    /// Waits for the next room of a person. In turns, so that nobody's flood delays others.
    pub(crate) async fn next(&self) -> (OwnedUserId, OwnedRoomId, News) {
        loop {
            let changed = self.changed.notified();
            if let Some(((user, room), news)) = self.waiting().next() {
                return (user, room, news);
            }
            changed.await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn next(&mut self) -> Option<((OwnedUserId, OwnedRoomId), News)> {
        let after = self.last.take().and_then(|last| {
            let after = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
            self.rooms.range(after).next().map(|(key, _)| key.clone())
        });
        let key = after.or_else(|| self.rooms.keys().next().cloned())?;
        let news = self.rooms.remove(&key)?;
        self.last = Some(key.clone());
        Some((key, news))
    }
}

#[cfg(test)]
mod tests {
    use ruma::{
        MilliSecondsSinceUnixEpoch, api::client::room::create_room::v3::Request, owned_room_id,
        owned_user_id, uint,
    };
    use telmeet_core::{
        create::{self, Context, Profile},
        event::Draft,
    };

    use super::*;

    /// A room that Kim made, with an event of Min's.
    fn flood(pending: &Pending, room_id: &OwnedRoomId, count: usize) {
        let (creator, time) =
            (owned_user_id!("@kim:maru.test"), MilliSecondsSinceUnixEpoch(uint!(1)));
        let context = Context { room_id: room_id.clone(), creator, time };
        let creation =
            create::create(&Request::new(), &context, |_| Some(Profile::default())).unwrap();
        let mut state = RoomState::default();
        for event in &creation.events {
            state.apply(event).unwrap();
        }
        let head = creation.events.last().unwrap().head();
        for _ in 0..count {
            let draft = Draft {
                room_id: room_id.clone(),
                sender: owned_user_id!("@min:maru.test"),
                kind: "m.room.message".into(),
                state_key: None,
                content: ruma::CanonicalJsonObject::new(),
                time,
            };
            let event = Event::build(draft, Some(&head), |kind, key| state.id(kind, key)).unwrap();
            pending.stored(&Arc::new(event), &Arc::new(state.clone()));
        }
    }

    #[tokio::test]
    async fn a_flood_displaces_only_its_own_rooms_events_and_takes_turns() {
        let (loud, quiet) = (owned_room_id!("!a:maru.test"), owned_room_id!("!b:maru.test"));
        let pending = Pending::default();
        flood(&pending, &loud, 1);
        assert!(pending.waiting().next().is_none(), "nobody has a pusher");
        pending.has_pusher(owned_user_id!("@kim:maru.test"));
        flood(&pending, &loud, EVENTS_MAX + 1);
        flood(&pending, &quiet, 1);
        let (_, room, news) = pending.next().await;
        assert_eq!((room, news.events.len(), news.is_read), (loud.clone(), EVENTS_MAX, false));
        flood(&pending, &loud, 1);
        assert_eq!(pending.next().await.1, quiet, "its turn");
        assert_eq!(pending.next().await.1, loud);
        let kim = owned_user_id!("@kim:maru.test");
        pending.read(&kim, &loud);
        pending.read(&owned_user_id!("@min:maru.test"), &loud);
        let (user, _, news) = pending.next().await;
        assert!(user == kim && news.events.is_empty() && news.is_read);
        assert!(pending.waiting().next().is_none());
    }
}
