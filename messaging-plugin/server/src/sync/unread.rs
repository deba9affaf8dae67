//! How many events are unread.

use ruma::{UInt, api::client::sync::sync_events::UnreadNotificationsCount};
use telmeet_core::{
    state::RoomState,
    unread::{self, Counts, Thread, Unread},
};

use super::{person_rooms::PersonRoom, reader::Reader};
use crate::{
    error::Error,
    events::{self, Direction},
    personal::{profile, receipts},
};

/// Most events that are looked at: a room with more unread ones shows this count.
const EVENTS_MAX: usize = 1_000;

/// Counts what is unread in a room that the person is in.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], [`Error::Core`].
pub(crate) async fn count(
    reader: &mut Reader<'_>,
    room: &PersonRoom,
    current: &RoomState,
) -> Result<Unread, Error> {
    let (user, vault, latest) = (&reader.session.user, reader.homeserver.vault(), reader.latest());
    let mut receipts =
        receipts::read_up_to(&mut reader.connection, &room.room_id, user, latest).await?;
    let after = receipts.read_everywhere_up_to().unwrap_or_default().max(room.joined_at);
    let places = (after, latest);
    let events = events::timeline(
        &mut reader.connection,
        vault,
        &room.room_id,
        places,
        EVENTS_MAX,
        Direction::Backward,
    )
    .await?;
    if events.is_empty() {
        return Ok(Unread::default());
    }
    let rules = reader.rules().await?;
    let name = name(reader).await?;
    let mut counted = Vec::new();
    for stored in &events {
        let (event, thread) = (&stored.event, Thread::of(&stored.event));
        if event.sender == *user {
            // A change of the own profile reads nothing.
            if !event.is_state() {
                receipts.sent(thread, stored.position);
            }
            continue;
        }
        let is_read = receipts.read_up_to(&thread).is_some_and(|read| stored.position <= read);
        if is_read || stored.redacted_by.is_some() || reader.ignored.contains(&event.sender) {
            continue;
        }
        let notification = unread::evaluate(&rules, event, current, user, &name)?;
        counted.push((stored.position, thread, notification));
    }
    Ok(Unread::count(counted, &receipts))
}

/// The name by which others mention the reader.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn name(reader: &mut Reader<'_>) -> Result<String, Error> {
    let user = &reader.session.user;
    let profile = profile::read(&mut reader.connection, user).await?;
    let name = profile.and_then(|profile| profile.display_name);
    Ok(name.unwrap_or_else(|| user.localpart().to_owned()))
}

/// Counts for the client.
#[must_use]
pub(crate) fn counts(counts: Counts) -> UnreadNotificationsCount {
    let mut written = UnreadNotificationsCount::new();
    written.notification_count = Some(UInt::new_saturating(counts.notifications));
    written.highlight_count = Some(UInt::new_saturating(counts.highlights));
    written
}
