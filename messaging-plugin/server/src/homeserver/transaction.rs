//! A write transaction: several jobs, each with its own savepoint.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};
use sqlx::AnyConnection;
use store::{WriteTransaction, column};
pub use telmeet_core::client_event::Transaction as SentBy;
use telmeet_core::{
    authorise,
    create::Creation,
    event::{Draft, Event},
    state::{self, RoomState},
    token::Position,
};

use super::{directory::Rooms, room::Room};
use crate::{
    error::Error,
    events::{self, StoredEvent},
    media::links,
    sign_in::tokens::Change,
    sync::recent::{Receipt, RoomChange},
    vault::Vault,
};

/// A write transaction. What it changes is seen by others after its commit.
#[derive(Debug)]
pub struct Transaction {
    write: WriteTransaction,
    vault: Vault,
    committed: Arc<Rooms>,
    now: MilliSecondsSinceUnixEpoch,
    staged: Staged,
}

/// What is published after the commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Staged {
    /// The last position that was given out.
    pub(super) position: Position,
    /// Rooms that were changed.
    pub(super) rooms: BTreeMap<OwnedRoomId, Arc<Room>>,
    /// People whose syncs have something new.
    pub(super) touched: BTreeSet<OwnedUserId>,
    /// People of whom something changed that is not in [`Self::changes`].
    pub(super) changed: BTreeSet<OwnedUserId>,
    /// The rooms whose members' syncs have something new, each with its state.
    touched_rooms: BTreeMap<OwnedRoomId, TouchedRoom>,
    /// What changed in rooms.
    pub(super) changes: Vec<RoomChange>,
    /// Apps that signed in or are signed out.
    pub(super) sessions: Vec<Change>,
    /// Events, each with the room's state after it.
    pub(super) events: Vec<(Arc<Event>, Arc<RoomState>)>,
    /// People whose push rules, or whose list of ignored people, changed.
    pub(super) rules: BTreeSet<OwnedUserId>,
    /// Rooms in which somebody read.
    pub(super) reads: Vec<(OwnedUserId, OwnedRoomId)>,
    /// Files that no upload has any more.
    pub(super) unused_files: Vec<String>,
}

/// A room whose members' syncs have something new.
#[derive(Clone, Debug)]
struct TouchedRoom {
    state: Arc<RoomState>,
    /// Whether more changed than that there is an event or a receipt.
    is_changed: bool,
}

impl Staged {
    /// Notes the members of the rooms that were touched.
    pub(super) fn add_members(&mut self) {
        let sees = |membership: &MembershipState| {
            [MembershipState::Join, MembershipState::Invite, MembershipState::Knock]
                .contains(membership)
        };
        for room in self.touched_rooms.values() {
            let members = room.state.members().filter(|(_, membership)| sees(membership));
            for (user, _) in members {
                if room.is_changed {
                    self.changed.insert(user.clone());
                }
                self.touched.insert(user);
            }
        }
    }
}

impl Transaction {
    pub(super) fn new(
        write: WriteTransaction,
        vault: Vault,
        committed: Arc<Rooms>,
        position: Position,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Self {
        let staged = Staged { position, ..Staged::default() };
        Self { write, vault, committed, now, staged }
    }

    /// For queries.
    pub fn connection(&mut self) -> &mut AnyConnection {
        self.write.connection()
    }

    /// Seals and opens values.
    #[must_use]
    pub fn vault(&self) -> Vault {
        self.vault.clone()
    }

    /// The time of this transaction.
    #[must_use]
    pub fn now(&self) -> MilliSecondsSinceUnixEpoch {
        self.now
    }

    /// The next position of the one order.
    pub fn position(&mut self) -> Position {
        self.staged.position += 1;
        self.staged.position
    }

    /// What changes in the access tokens after the commit.
    pub fn sessions(&mut self) -> &mut Vec<Change> {
        &mut self.staged.sessions
    }

    /// Wakes this person's syncs after the commit, which read everything of the person's anew.
    pub fn touch(&mut self, user: &UserId) {
        self.staged.touched.insert(user.to_owned());
        self.change(user);
    }

    /// Makes this person's next syncs read everything of the person's anew, without waking them.
    pub fn change(&mut self, user: &UserId) {
        self.staged.changed.insert(user.to_owned());
    }

    /// Notes that a person's push rules, or whom the person ignores, change.
    pub fn rules_changed(&mut self, user: &UserId) {
        self.staged.rules.insert(user.to_owned());
    }

    /// Notes that a person read in a room: the syncs of the person, and of the members if they see it, are woken after the
    /// commit.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub(crate) async fn read(&mut self, receipt: Receipt) -> Result<(), Error> {
        if receipt.is_public
            && let Some(room) = self.room(&receipt.room_id).await?
        {
            self.touch_room(&receipt.room_id, &room.state, false);
        }
        self.staged.touched.insert(receipt.user.clone());
        self.staged.reads.push((receipt.user.clone(), receipt.room_id.clone()));
        self.staged.changes.push(RoomChange::Read(receipt));
        Ok(())
    }

    /// Wakes the syncs of all who see the room after the commit: joined, invited and knocking people. `is_changed` says
    /// whether these read everything of theirs anew.
    fn touch_room(&mut self, id: &RoomId, state: &Arc<RoomState>, is_changed: bool) {
        let before = self.staged.touched_rooms.get(id).is_some_and(|room| room.is_changed);
        let room = TouchedRoom { state: Arc::clone(state), is_changed: is_changed || before };
        self.staged.touched_rooms.insert(id.to_owned(), room);
    }

    /// A room as it is in this transaction.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub async fn room(&mut self, id: &RoomId) -> Result<Option<Arc<Room>>, Error> {
        if let Some(room) = self.staged.rooms.get(id).cloned().or_else(|| self.committed.get(id)) {
            return Ok(Some(room));
        }
        let room = Room::load(self.write.connection(), &self.vault, id).await?.map(Arc::new);
        if let Some(room) = &room {
            self.staged.rooms.insert(id.to_owned(), Arc::clone(room));
        }
        Ok(room)
    }

    /// Sends an event into a room: builds it, checks the authorization rules, applies it to the state, and stores it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such room; [`Error::Core`] if the event is too large, malformed or not
    /// allowed; [`Error::Database`].
    pub async fn append(
        &mut self,
        draft: Draft,
        sent_by: Option<&SentBy>,
    ) -> Result<Arc<Event>, Error> {
        let (room, event) = self.build(draft).await?;
        self.store(&event, Some(&room), sent_by).await?;
        Ok(event)
    }

    /// Stores an event that [`Self::build`] made, for a request that may be repeated. Returns its position. Nothing changes if
    /// the device sent an event of this type into the room with this transaction id before ([`events::sent`]).
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn append_once(
        &mut self,
        room: &Room,
        event: &Arc<Event>,
        sent_by: &SentBy,
    ) -> Result<Option<Position>, Error> {
        if !self.remember(event, sent_by).await? {
            return Ok(None);
        }
        self.store(event, Some(room), Some(sent_by)).await?;
        Ok(Some(self.staged.position))
    }

    /// Builds an event and checks the authorization rules. Nothing changes.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub async fn build(&mut self, draft: Draft) -> Result<(Arc<Room>, Arc<Event>), Error> {
        let room = self.room(&draft.room_id).await?;
        let room = room.ok_or(Error::NotFound("there is no such room"))?;
        let event = Event::build(draft, Some(&room.head), |kind, key| room.state.id(kind, key))?;
        authorise::check(&event, &room.state)?;
        Ok((room, Arc::new(event)))
    }

    /// Stores a new room with its first events.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Seal`], [`Error::Core`].
    pub async fn create(&mut self, creation: &Creation) -> Result<(), Error> {
        let Some(first) = creation.events.first() else {
            return Ok(());
        };
        let query =
            "INSERT INTO rooms (room_id, creator, is_listed, created_at) VALUES ($1, $2, $3, $4)";
        sqlx::query(query)
            .bind(first.room_id.as_str())
            .bind(first.sender.as_str())
            .bind(i64::from(creation.is_listed))
            .bind(column::sql(first.time.get().into()))
            .execute(self.connection())
            .await?;
        let mut room = None;
        for event in &creation.events {
            room = Some(self.store(event, room.as_deref(), None).await?);
        }
        Ok(())
    }

    /// Stores an authorised event and returns the room after it.
    async fn store(
        &mut self,
        event: &Arc<Event>,
        room: Option<&Room>,
        sent_by: Option<&SentBy>,
    ) -> Result<Arc<Room>, Error> {
        let position = self.position();
        let mut next = Room {
            state: room.map(|room| Arc::clone(&room.state)).unwrap_or_default(),
            head: event.head(),
            sequence: event.depth.into(),
        };
        let replaces = self.replaced(event).await?;
        if event.is_state() {
            Arc::make_mut(&mut next.state).apply(event)?;
            self.set_state(event, position).await?;
        }
        let vault = self.vault.clone();
        events::insert(self.connection(), &vault, event, position, replaces, sent_by).await?;
        links::add(self.connection(), event).await?;
        if event.kind == TimelineEventType::RoomMember {
            self.set_membership(event, position).await?;
        }
        // Those whom this event removes see it, too.
        if let Some(target) = event.state_key.as_deref().and_then(|key| UserId::parse(key).ok()) {
            self.touch(&target);
        }
        self.touch_room(&event.room_id, &next.state, event.is_state());
        let stored = StoredEvent {
            event: Arc::clone(event),
            position,
            sequence: next.sequence,
            sent_by: sent_by.cloned(),
            redacted_by: None,
            replaces,
        };
        self.staged.changes.push(RoomChange::Sent(Arc::new(stored)));
        self.staged.events.push((Arc::clone(event), Arc::clone(&next.state)));
        let next = Arc::new(next);
        self.staged.rooms.insert(event.room_id.clone(), Arc::clone(&next));
        Ok(next)
    }

    /// The position of the state event that this one replaces.
    async fn replaced(&mut self, event: &Event) -> Result<Option<Position>, Error> {
        let Some(key) = &event.state_key else {
            return Ok(None);
        };
        let query =
            "SELECT position FROM room_state WHERE room_id = $1 AND kind = $2 AND state_key = $3";
        let query = sqlx::query_scalar::<_, i64>(query)
            .bind(event.room_id.as_str())
            .bind(event.kind.to_string())
            .bind(key.clone());
        let position = query.fetch_optional(self.connection()).await?;
        Ok(column::optional_unsigned(position, "position")?)
    }

    async fn set_state(&mut self, event: &Event, position: Position) -> Result<(), Error> {
        let query = "INSERT INTO room_state (room_id, kind, state_key, position) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (room_id, kind, state_key) DO UPDATE SET position = excluded.position";
        sqlx::query(query)
            .bind(event.room_id.as_str())
            .bind(event.kind.to_string())
            .bind(event.state_key.clone().unwrap_or_default())
            .bind(column::sql(position))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Somebody who enters a room again has not forgotten it any more.
    async fn set_membership(&mut self, event: &Event, position: Position) -> Result<(), Error> {
        let query = "INSERT INTO memberships (user_id, room_id, membership, position, joined_at, is_forgotten) \
             VALUES ($1, $2, $3, $4, CASE WHEN $3 = 'join' THEN $4 ELSE 0 END, 0) \
             ON CONFLICT (user_id, room_id) DO UPDATE SET membership = excluded.membership, \
             position = excluded.position, joined_at = CASE WHEN memberships.membership <> 'join' \
             AND excluded.membership = 'join' THEN excluded.position ELSE memberships.joined_at END, \
             is_forgotten = CASE WHEN excluded.membership IN ('leave', 'ban') THEN memberships.is_forgotten ELSE 0 END";
        sqlx::query(query)
            .bind(event.state_key.clone().unwrap_or_default())
            .bind(event.room_id.as_str())
            .bind(state::membership(event).to_string())
            .bind(column::sql(position))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Remembers the request that sends an event; false if it was made before.
    async fn remember(&mut self, event: &Event, sent_by: &SentBy) -> Result<bool, Error> {
        let now = column::sql(self.now.get().into());
        let query = "INSERT INTO transactions (user_id, device_id, room_id, kind, transaction_id, event_id, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(query)
            .bind(event.sender.as_str())
            .bind(sent_by.device.as_str())
            .bind(event.room_id.as_str())
            .bind(event.kind.to_string())
            .bind(sent_by.id.as_str())
            .bind(event.event_id.as_str())
            .bind(now)
            .execute(self.connection())
            .await?;
        Ok(inserted.rows_affected() > 0)
    }

    /// Replaces the content of a redacted event, in the database and in the room's state, and deletes the files that only
    /// it named. `redacted_by` is the position of the redaction, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Seal`], [`Error::Core`].
    pub async fn redact(
        &mut self,
        target: &Event,
        redacted_by: Option<Position>,
    ) -> Result<(), Error> {
        let redacted = target.redact()?;
        let vault = self.vault.clone();
        events::redact(self.connection(), &vault, &redacted, redacted_by).await?;
        let change = RoomChange::Redacted(Arc::new(redacted.clone()), redacted_by);
        self.staged.changes.push(change);
        self.delete_files(target.event_id.as_str()).await?;
        if let Some(room) = self.room(&target.room_id).await? {
            let mut room = Room::clone(&room);
            Arc::make_mut(&mut room.state).redact(&redacted);
            self.staged.rooms.insert(target.room_id.clone(), Arc::new(room));
        }
        Ok(())
    }

    /// Deletes an event that is no state, with the files that only it named.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn delete(&mut self, event_id: &EventId) -> Result<(), Error> {
        self.delete_files(event_id.as_str()).await?;
        self.staged.changes.push(RoomChange::Deleted(event_id.to_owned()));
        let query = "DELETE FROM events WHERE event_id = $1 AND state_key IS NULL";
        sqlx::query(query).bind(event_id.as_str()).execute(self.connection()).await?;
        Ok(())
    }

    /// Deletes the uploads of a person.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn delete_uploads(&mut self, user: &UserId) -> Result<(), Error> {
        let unused = links::delete_for_person(self.connection(), user).await?;
        self.staged.unused_files.extend(unused);
        Ok(())
    }

    async fn delete_files(&mut self, event_id: &str) -> Result<(), Error> {
        let unused = links::delete_for_event(self.connection(), event_id).await?;
        self.staged.unused_files.extend(unused);
        Ok(())
    }

    /// Begins a job: what it writes can be undone.
    pub(super) async fn begin(&mut self) -> Result<Staged, Error> {
        sqlx::query("SAVEPOINT job").execute(self.connection()).await?;
        Ok(self.staged.clone())
    }

    /// Ends a job: keeps what it wrote, or undoes it and restores `before`. Begins the next one if there is one.
    pub(super) async fn end(
        &mut self,
        before: Staged,
        is_kept: bool,
        has_next: bool,
    ) -> Result<Staged, Error> {
        if !is_kept {
            sqlx::query("ROLLBACK TO SAVEPOINT job").execute(self.connection()).await?;
            self.staged = before.clone();
            return Ok(before);
        }
        if !has_next {
            return Ok(before);
        }
        sqlx::raw_sql("RELEASE SAVEPOINT job; SAVEPOINT job").execute(self.connection()).await?;
        Ok(self.staged.clone())
    }

    /// Commits. Returns what is to be published.
    pub(super) async fn commit(mut self) -> Result<Staged, Error> {
        let position = column::sql(self.staged.position);
        let query = sqlx::query("UPDATE homeserver SET position = $1 WHERE id = 1").bind(position);
        query.execute(self.connection()).await?;
        self.write.commit().await?;
        Ok(self.staged)
    }
}
