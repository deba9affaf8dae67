//! The part of a room's timeline that a sync shows.

use std::sync::Arc;

use ruma::{EventId, OwnedUserId, RoomId, api::client::filter::RoomEventFilter};
use telmeet_core::{
    filter,
    token::Position,
    visibility::{self, Access},
};

use super::reader::Reader;
use crate::{
    error::Error,
    events::{Direction, READ_MAX, StoredEvent},
};

/// Most events that are looked at for one timeline, of which the person may not see, or did not want, some.
const LOOKED_AT_MAX: usize = 1_000;

/// A part of a room's timeline.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The events, the oldest first.
    pub(crate) events: Vec<StoredEvent>,
    /// Whether there are more that are older and in the range.
    pub(crate) is_limited: bool,
    /// The position before the first event: where the history continues.
    pub(crate) before: Position,
    /// Whether a state event of the range is not shown, between those that are.
    pub(crate) hides_state: bool,
    /// What decides which events the person may read.
    pub(crate) access: Arc<Access>,
}

impl Timeline {
    /// The senders of its events, each once or more.
    pub(crate) fn senders(&self) -> impl Iterator<Item = &OwnedUserId> {
        self.events.iter().map(|stored| &stored.event.sender)
    }

    /// Whether it has an event.
    #[must_use]
    pub(crate) fn has(&self, event: &EventId) -> bool {
        self.events.iter().any(|stored| stored.event.event_id == event)
    }

    /// The position of the first event; the one after `upto` if there is none.
    #[must_use]
    pub(crate) fn start(&self, upto: Position) -> Position {
        self.events.first().map_or(upto + 1, |stored| stored.position)
    }
}

/// What is wanted of a room's timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<'a> {
    /// Events after this position.
    pub(crate) after: Position,
    /// Events up to this position.
    pub(crate) upto: Position,
    /// Most events: the last ones.
    pub(crate) limit: usize,
    /// Which of them.
    pub(crate) filter: Option<&'a RoomEventFilter>,
}

/// Reads the last events of a range that the person may read and wants: fewer, but one, once the sync's timelines are long.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(crate) async fn read(
    reader: &mut Reader<'_>,
    room: &RoomId,
    range: Range<'_>,
) -> Result<Timeline, Error> {
    let mut timeline = Timeline {
        events: Vec::new(),
        is_limited: false,
        before: range.upto,
        hides_state: false,
        access: Arc::default(),
    };
    if range.after >= range.upto {
        return Ok(timeline);
    }
    timeline.access = reader.access(room).await?;
    let mut looked_at = 0;
    while !timeline.is_limited {
        let page = (range.limit + 1 - timeline.events.len()).min(READ_MAX);
        let places = (range.after, timeline.before);
        let events = reader.timeline(room, places, page, Direction::Backward).await?;
        let is_last = events.len() < page;
        looked_at += events.len();
        for stored in events {
            if !is_shown(reader, &timeline.access, &stored, range.filter) {
                timeline.before = stored.position.saturating_sub(1);
                timeline.hides_state |= stored.event.is_state();
            } else if timeline.events.len() == range.limit
                || (reader.is_long() && !timeline.events.is_empty())
            {
                timeline.is_limited = true;
                break;
            } else {
                timeline.before = stored.position.saturating_sub(1);
                reader.lengthen(&stored.event);
                timeline.events.push(stored);
            }
        }
        if is_last {
            break;
        }
        timeline.is_limited |= looked_at >= LOOKED_AT_MAX;
    }
    timeline.events.reverse();
    Ok(timeline)
}

fn is_shown(
    reader: &Reader<'_>,
    access: &Access,
    stored: &StoredEvent,
    wanted: Option<&RoomEventFilter>,
) -> bool {
    access.may_read(stored.sequence)
        && !visibility::is_ignored(&stored.event, &reader.ignored)
        && wanted.is_none_or(|wanted| filter::matches(wanted, &stored.event))
}
