//! What one sync reads with: a connection, a position up to which it shows everything, and who reads.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{MilliSecondsSinceUnixEpoch, OwnedUserId, push::Ruleset, serde::Raw};
use serde_json::value::RawValue;
use sqlx::{Any, AnyConnection, pool::PoolConnection};
use telmeet_core::{
    client_event::{self, Additions, Format, Reader as EventReader},
    event::Event,
    token::{Clock, Position},
    visibility::Access,
};

use super::{
    notification_cache::Version,
    person_rooms::{self, PersonRoom},
};
use crate::{
    error::Error,
    events::{self, Audience, StoredEvent},
    homeserver::Homeserver,
    personal::{account_data, push_rules},
    session::Session,
};

/// What one sync reads with. It does not outlive a wait, so that waiting syncs hold no connection.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// The homeserver.
    pub(crate) homeserver: &'a Homeserver,
    /// For queries.
    pub(crate) connection: PoolConnection<Any>,
    /// Who reads.
    pub(crate) session: &'a Session,
    /// Its latest position is the one up to which this sync shows everything.
    pub(crate) clock: Clock,
    /// Whom the person ignores.
    pub(crate) ignored: Arc<BTreeSet<OwnedUserId>>,
    /// Of what decides about notifications, before it was read.
    pub(crate) version: Version,
    now: MilliSecondsSinceUnixEpoch,
}

impl<'a> Reader<'a> {
    /// Begins to read what changed since a position. Returns the person's rooms, too.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub(crate) async fn start(
        homeserver: &'a Homeserver,
        session: &'a Session,
        since: Option<Position>,
    ) -> Result<(Self, Vec<PersonRoom>), Error> {
        let version = homeserver.notifications.version();
        let mut connection = homeserver.pool().acquire().await?;
        let (clock, rooms) =
            person_rooms::read(homeserver, &mut connection, &session.user, since).await?;
        let ignored = match homeserver.notifications.ignored(&session.user) {
            Some(ignored) => ignored,
            None => {
                let (vault, user) = (homeserver.vault(), &session.user);
                let ignored = Arc::new(account_data::ignored(&mut connection, vault, user).await?);
                homeserver.notifications.set_ignored(version, user, &ignored);
                ignored
            }
        };
        let now = homeserver.now();
        Ok((Self { homeserver, connection, session, clock, ignored, version, now }, rooms))
    }

    /// For queries.
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
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
        if let Some(rules) = homeserver.notifications.rules(user) {
            return Ok(rules);
        }
        let vault = homeserver.vault();
        let rules = Arc::new(push_rules::read(&mut self.connection, vault, user).await?);
        homeserver.notifications.set_rules(self.version, user, &rules);
        Ok(rules)
    }

    /// Events of a timeline, for the client.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`], [`Error::Core`].
    pub(crate) async fn render<T>(
        &mut self,
        events: &[StoredEvent],
        access: &Access,
    ) -> Result<Vec<Raw<T>>, Error> {
        let reader = EventReader { user: &self.session.user, device: &self.session.device };
        let (upto, now) = (self.clock.latest, self.now);
        let audience = Audience { reader, access, format: Format::Sync, upto, now };
        let vault = self.homeserver.vault();
        let events = events::render(&mut self.connection, vault, events, audience).await?;
        Ok(events.into_iter().map(Raw::from_json).collect())
    }

    /// Events of a state, for the client: without what they replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Core`].
    pub(crate) fn render_state<'b, T>(
        &self,
        events: impl IntoIterator<Item = &'b Arc<Event>>,
    ) -> Result<Vec<Raw<T>>, Error> {
        let write = |event: &'b Arc<Event>| -> Result<Raw<T>, Error> {
            let written =
                client_event::write(event, Format::Sync, &Additions::default(), None, self.now)?;
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
        let range = (after.unwrap_or_default(), latest);
        let user = &self.session.user;
        let mut data = account_data::changes(&mut self.connection, vault, user, range).await?;
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
