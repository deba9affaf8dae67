//! What one sync reads with: a connection, a position up to which it shows everything, and who reads.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{MilliSecondsSinceUnixEpoch, OwnedUserId, RoomId, push::Ruleset, serde::Raw};
use serde_json::value::RawValue;
use sqlx::{Any, AnyConnection, pool::PoolConnection};
use telmeet_core::{
    client_event::{self, Additions, Format, Reader as EventReader},
    event::Event,
    token::{Clock, Position},
    visibility::Access,
};

use super::{
    cache::{Begun, Version},
    person_rooms,
    room_positions::PersonRoom,
};
use crate::{
    error::Error,
    events::{self, Audience, Direction, StoredEvent},
    homeserver::{Homeserver, Room},
    limits::answers::AnswerSize,
    personal::{account_data, push_rules},
    session::Session,
};

/// From how many bytes of timelines on each further room shows one event: the client asks for the others when it shows them.
const TIMELINES_LONG: usize = 4 << 20;

/// What one sync reads with. It does not outlive a wait, so that waiting syncs hold no connection.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// The homeserver.
    pub(crate) homeserver: &'a Homeserver,
    /// For queries, from the first one on.
    connection: Option<PoolConnection<Any>>,
    /// Who reads.
    pub(crate) session: &'a Session,
    /// Its latest position is the one up to which this sync shows everything.
    pub(crate) clock: Clock,
    /// Whom the person ignores.
    pub(crate) ignored: Arc<BTreeSet<OwnedUserId>>,
    /// Of what is stored in memory, before it was read.
    pub(crate) version: Version,
    now: MilliSecondsSinceUnixEpoch,
    /// Bytes of the timelines so far.
    timelines: usize,
    size: AnswerSize,
}

impl<'a> Reader<'a> {
    /// Begins to read what changed since a position. Returns the person's rooms, too, in the order of their ids.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub(crate) async fn start(
        homeserver: &'a Homeserver,
        session: &'a Session,
        since: Option<Position>,
    ) -> Result<(Self, Arc<Vec<PersonRoom>>), Error> {
        let (cache, user) = (homeserver.cache(), &session.user);
        let Begun { version, clock, rooms } = cache.begin(user, since);
        let (ignored, now) = (Arc::default(), homeserver.now());
        let (timelines, size) = (0, homeserver.answers.begin(user));
        let connection = None;
        let mut reader =
            Self { homeserver, connection, session, clock, ignored, version, now, timelines, size };
        let rooms = match rooms {
            Some(rooms) => rooms,
            None => {
                let connection = reader.connection().await?;
                let (clock, rooms) =
                    person_rooms::read(homeserver, connection, user, clock, since).await?;
                let rooms = Arc::new(rooms);
                cache.set_rooms(version, user, clock.latest, &rooms);
                reader.clock = clock;
                rooms
            }
        };
        reader.ignored = match cache.ignored(user) {
            Some(ignored) => ignored,
            None => {
                let connection = reader.connection().await?;
                let ignored = account_data::ignored(connection, homeserver.vault(), user).await?;
                let ignored = Arc::new(ignored);
                cache.set_ignored(version, user, &ignored);
                ignored
            }
        };
        Ok((reader, rooms))
    }

    /// A room as it is now. It is read with this connection: a reader that waited for another one could wait for readers that
    /// wait for its own.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub(crate) async fn room(&mut self, id: &RoomId) -> Result<Option<Arc<Room>>, Error> {
        let homeserver = self.homeserver;
        match homeserver.room_in_memory(id) {
            Some(room) => Ok(Some(room)),
            None => homeserver.room_by(self.connection().await?, id).await,
        }
    }

    /// Whether the timelines are so long that further rooms show one event.
    #[must_use]
    pub(crate) fn is_long(&self) -> bool {
        self.timelines >= TIMELINES_LONG
    }

    /// Counts an event of a timeline.
    pub(crate) fn lengthen(&mut self, event: &Event) {
        self.timelines += event.content.get().len();
    }

    /// For queries.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub(crate) async fn connection(&mut self) -> Result<&mut AnyConnection, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.homeserver.pool().acquire().await?,
        };
        Ok(&mut **self.connection.insert(connection))
    }

    /// The latest position that this sync shows.
    #[must_use]
    pub(crate) fn latest(&self) -> Position {
        self.clock.latest
    }

    /// The person's push rules.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub(crate) async fn rules(&mut self) -> Result<Arc<Ruleset>, Error> {
        let (homeserver, user) = (self.homeserver, &self.session.user);
        if let Some(rules) = homeserver.cache().rules(user) {
            return Ok(rules);
        }
        let connection = self.connection().await?;
        let rules = Arc::new(push_rules::read(connection, homeserver.vault(), user).await?);
        let bytes = push_rules::content(&rules)?.get().len();
        homeserver.cache().set_rules(self.version, user, &rules, bytes);
        Ok(rules)
    }

    /// Which events of a room the person may read.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub(crate) async fn access(&mut self, room: &RoomId) -> Result<Arc<Access>, Error> {
        let (homeserver, user) = (self.homeserver, &self.session.user);
        if let Some(access) = homeserver.cache().access(user, room) {
            return Ok(access);
        }
        let connection = self.connection().await?;
        let access = Arc::new(events::access(connection, homeserver.vault(), room, user).await?);
        homeserver.cache().set_access(self.version, user, room, &access);
        Ok(access)
    }

    /// Events of a room at positions above `after` and up to `upto`: at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub(crate) async fn timeline(
        &mut self,
        room: &RoomId,
        places: (Position, Position),
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<StoredEvent>, Error> {
        let homeserver = self.homeserver;
        if let Some(events) = homeserver.cache().timeline(room, places, limit, direction) {
            return Ok(events);
        }
        let (vault, connection) = (homeserver.vault(), self.connection().await?);
        events::timeline(connection, vault, room, places, limit, direction).await
    }

    /// Events of a timeline, for the client.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`], [`Error::Core`]; those of [`AnswerSize::add`].
    pub(crate) async fn render<T>(
        &mut self,
        events: &[StoredEvent],
        access: &Access,
    ) -> Result<Vec<Raw<T>>, Error> {
        let reader = EventReader { user: &self.session.user, device: &self.session.device };
        let (homeserver, upto) = (self.homeserver, self.clock.latest);
        let audience = Audience { reader, access, format: Format::Sync, upto, now: self.now };
        let mut written = Vec::with_capacity(events.len());
        for stored in events {
            let related = match homeserver.cache().related(stored, upto) {
                Some(related) => related,
                None => {
                    let (vault, connection) = (homeserver.vault(), self.connection().await?);
                    events::related_to(connection, vault, stored, upto).await?
                }
            };
            let event = events::write(stored, &related, audience)?;
            self.size.add(event.get().len())?;
            written.push(Raw::from_json(event));
        }
        Ok(written)
    }

    /// Events of a state, for the client: without what they replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Core`]; those of [`AnswerSize::add`].
    pub(crate) fn render_state<'b, T>(
        &mut self,
        events: impl IntoIterator<Item = &'b Arc<Event>>,
    ) -> Result<Vec<Raw<T>>, Error> {
        let write = |event: &'b Arc<Event>| -> Result<Raw<T>, Error> {
            let written =
                client_event::write(event, Format::Sync, &Additions::default(), None, self.now)?;
            self.size.add(written.get().len())?;
            Ok(Raw::from_json(written))
        };
        events.into_iter().map(write).collect()
    }

    /// Account data of the person and of rooms that changed after a position; all if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`], [`Error::Core`].
    pub(crate) async fn account_data(
        &mut self,
        after: Option<Position>,
    ) -> Result<Vec<account_data::AccountData>, Error> {
        let (vault, latest) = (self.homeserver.vault(), self.clock.latest);
        let (range, user) = ((after.unwrap_or_default(), latest), &self.session.user);
        if after.is_some_and(|after| self.homeserver.cache().is_unchanged(user, after)) {
            return Ok(Vec::new());
        }
        let connection = self.connection().await?;
        let mut data = account_data::changes(connection, vault, user, range).await?;
        let stored =
            data.iter_mut().find(|data| data.room.is_none() && data.kind == push_rules::KIND);
        let (kind, position) = (push_rules::KIND.to_owned(), 0);
        if let Some(stored) = stored {
            // With the defaults of this version.
            stored.content = push_rules::content(&*self.rules().await?)?;
        } else if after.is_none() {
            let content = push_rules::content(&*self.rules().await?)?;
            data.push(account_data::AccountData { room: None, kind, content, position });
        }
        Ok(data)
    }
}

/// JSON for a field of `ruma`'s types.
///
/// # Errors
///
/// [`Error::Core`] if it cannot be written as JSON.
pub(crate) fn raw<T>(value: &serde_json::Value) -> Result<Raw<T>, Error> {
    let json: Box<RawValue> = serde_json::value::to_raw_value(value)
        .map_err(|_| Error::bad_json("the event cannot be written as JSON"))?;
    Ok(Raw::from_json(json))
}
