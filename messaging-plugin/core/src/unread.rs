//! What a person is notified of: push rules, and counts of what is unread (specification, client-server API,
//! "Receipts", "Push Notifications").

use std::{
    collections::BTreeMap,
    pin::pin,
    task::{Context, Poll, Waker},
};

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, UInt, UserId,
    events::{AnySyncTimelineEvent, receipt::ReceiptThread},
    push::{Action, PushConditionRoomCtx, Ruleset},
    serde::Raw,
};
use serde_json::Value;

use crate::{
    Error,
    client_event::{Additions, Format, write},
    event::Event,
    state::RoomState,
    token::Position,
};

/// Most threads of a room whose receipts are kept for a person; the oldest are dropped first.
pub const THREADS_MAX: usize = 1_000;

/// What an event means to one person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// Whether it counts as unread and is pushed.
    pub is_notified: bool,
    /// Whether it is highlighted, such as a mention. Of encrypted events only the client knows.
    pub is_highlighted: bool,
}

/// Evaluates a person's push rules for an event in a room whose state, after the event, is `state`. One's own events
/// never notify.
///
/// # Errors
///
/// [`Error::BadJson`] if the event cannot be written as JSON.
pub fn evaluate(
    rules: &Ruleset,
    event: &Event,
    state: &RoomState,
    reader: &UserId,
    name: &str,
) -> Result<Notification, Error> {
    let actions = actions(rules, event, state, reader, name)?;
    Ok(Notification {
        is_notified: actions.iter().any(Action::should_notify),
        is_highlighted: actions.iter().any(Action::is_highlight),
    })
}

/// What the first push rule says that matches an event, see [`evaluate`].
///
/// # Errors
///
/// As [`evaluate`].
pub fn actions<'a>(
    rules: &'a Ruleset,
    event: &Event,
    state: &RoomState,
    reader: &UserId,
    name: &str,
) -> Result<&'a [Action], Error> {
    let raw = write(
        event,
        Format::Full,
        &Additions::default(),
        None,
        MilliSecondsSinceUnixEpoch(event.time.get()),
    )?;
    let raw: Raw<AnySyncTimelineEvent> = Raw::from_json(raw);
    let members = UInt::new_saturating(u64::try_from(state.joined_count()).unwrap_or(u64::MAX));
    let context = PushConditionRoomCtx::new(
        event.room_id.clone(),
        members,
        reader.to_owned(),
        name.to_owned(),
    )
    .with_power_levels(state.power_levels().into());
    // It is asynchronous for clients that look up thread subscriptions; here it is ready at once.
    let evaluation = pin!(rules.get_actions(&raw, &context));
    Ok(match evaluation.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(actions) => actions,
        Poll::Pending => &[],
    })
}

/// The part of a room's timeline that an event belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thread {
    /// Outside threads.
    Main,
    /// The thread that starts at this event.
    Root(OwnedEventId),
}

impl Thread {
    /// The thread that an event says it is in. The relation of an encrypted event is not encrypted.
    ///
    /// An edit or reaction belongs to the thread of the event that it relates to, which the caller knows.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let content: Value = serde_json::from_str(event.content.get()).unwrap_or_default();
        let relation = &content["m.relates_to"];
        let root = relation["event_id"].as_str().filter(|_| relation["rel_type"] == "m.thread");
        root.and_then(|id| id.try_into().ok()).map_or(Self::Main, Self::Root)
    }
}

/// How far a person has read in a room, by public and private receipts alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    everywhere: Option<Position>,
    threads: BTreeMap<Thread, Position>,
}

impl Receipts {
    /// Records that the person read the event at `position`: everywhere up to there, or in one thread. An older receipt
    /// than one that is recorded changes nothing. Whether something changed.
    pub fn read(&mut self, thread: &ReceiptThread, position: Position) -> bool {
        match thread {
            ReceiptThread::Main => self.read_thread(Thread::Main, position),
            ReceiptThread::Thread(root) => self.read_thread(Thread::Root(root.clone()), position),
            ReceiptThread::Unthreaded => self.read_everywhere(position),
            // A receipt of a kind that is not known reads nothing.
            ReceiptThread::_Custom(_) | _ => false,
        }
    }

    /// Records that the person sent an event, which reads what is before it in its thread.
    pub fn sent(&mut self, thread: Thread, position: Position) {
        self.read_thread(thread, position);
    }

    /// The position up to which the person has read a thread.
    #[must_use]
    pub fn read_up_to(&self, thread: &Thread) -> Option<Position> {
        self.everywhere.max(self.threads.get(thread).copied())
    }

    /// The position up to which the person has read every thread.
    #[must_use]
    pub fn read_everywhere_up_to(&self) -> Option<Position> {
        self.everywhere
    }

    fn read_everywhere(&mut self, position: Position) -> bool {
        if self.everywhere.is_some_and(|read| read >= position) {
            return false;
        }
        self.everywhere = Some(position);
        self.threads.retain(|_, read| *read > position);
        true
    }

    fn read_thread(&mut self, thread: Thread, position: Position) -> bool {
        if self.read_up_to(&thread).is_some_and(|read| read >= position) {
            return false;
        }
        self.threads.insert(thread, position);
        if self.threads.len() > THREADS_MAX {
            let oldest = self
                .threads
                .iter()
                .min_by_key(|(_, read)| **read)
                .map(|(thread, _)| thread.clone());
            oldest.map(|thread| self.threads.remove(&thread));
        }
        true
    }
}

/// How many events are unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that notify (`notification_count`).
    pub notifications: u64,
    /// Those of them that are highlighted (`highlight_count`).
    pub highlights: u64,
}

/// What is unread in a room, by thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Outside threads.
    pub main: Counts,
    /// In each thread that has something unread.
    pub threads: BTreeMap<OwnedEventId, Counts>,
}

impl Unread {
    /// Counts the events that notify and lie behind the receipts.
    pub fn count(
        events: impl IntoIterator<Item = (Position, Thread, Notification)>,
        receipts: &Receipts,
    ) -> Self {
        let mut unread = Self::default();
        for (position, thread, notification) in events {
            let is_read = receipts.read_up_to(&thread).is_some_and(|read| position <= read);
            if is_read {
                continue;
            }
            unread.add(thread, notification);
        }
        unread
    }

    /// Counts a later event.
    pub fn add(&mut self, thread: Thread, notification: Notification) {
        if !notification.is_notified {
            return;
        }
        let counts = match thread {
            Thread::Main => &mut self.main,
            Thread::Root(root) => self.threads.entry(root).or_default(),
        };
        counts.notifications += 1;
        counts.highlights += u64::from(notification.is_highlighted);
    }

    /// The person sent an event, which reads what is before it in its thread.
    pub fn sent(&mut self, thread: &Thread) {
        match thread {
            Thread::Main => self.main = Counts::default(),
            Thread::Root(root) => drop(self.threads.remove(root)),
        }
    }

    /// The counts of the whole room, for clients that did not ask for those of threads (`unread_thread_notifications`).
    #[must_use]
    pub fn total(&self) -> Counts {
        self.threads.values().fold(self.main, |sum, counts| Counts {
            notifications: sum.notifications + counts.notifications,
            highlights: sum.highlights + counts.highlights,
        })
    }
}

#[cfg(test)]
mod tests;
