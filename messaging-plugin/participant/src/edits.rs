//! When a reply that grows is shown: as one message and edits of it.
//!
//! Each edit is an event that every app loads and decrypts, so there are at most [`MOST`] of a reply, at least
//! [`INTERVAL`] apart; the time between two grows, so that a long reply is still seen growing. The last one has the whole reply.

use std::time::{Duration, Instant};

/// Most edits of a reply.
pub const MOST: u32 = 25;
/// Least time between two.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// By how much the time between two grows: by a fifth each, which makes six minutes in all.
const GROWTH: (u32, u32) = (6, 5);

/// A reply that grows.
#[derive(Clone, Debug)]
pub struct Edits {
    text: String,
    /// How long the shown part of it is, in bytes.
    shown: usize,
    /// The message and its edits so far.
    sent: u32,
    /// When the next edit may be sent; `None` before the message.
    next: Option<Instant>,
    interval: Duration,
}

impl Default for Edits {
    fn default() -> Self {
        Self { text: String::new(), shown: 0, sent: 0, next: None, interval: INTERVAL }
    }
}

impl Edits {
    /// A reply in place of an earlier one, whose message is edited.
    #[must_use]
    pub fn of_message() -> Self {
        Self { sent: 1, ..Self::default() }
    }

    /// The reply so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a piece.
    pub fn handle_delta(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    /// What is to be sent at `now`, if anything. The caller sends it.
    pub fn poll_edit(&mut self, now: Instant) -> Option<&str> {
        // One is left for the whole reply.
        let is_due = self.next.is_none_or(|next| next <= now) && self.sent < MOST;
        let is_new = self.text.len() > self.shown && !self.text.trim().is_empty();
        if !is_due || !is_new {
            return None;
        }
        self.shown = self.text.len();
        self.sent += 1;
        self.next = Some(now + self.interval);
        let (up, down) = GROWTH;
        self.interval = self.interval * up / down;
        Some(&self.text)
    }

    /// When [`Self::poll_edit`] has something, if nothing more comes.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_new = self.text.len() > self.shown && self.sent < MOST;
        self.next.filter(|_| is_new)
    }

    /// When the last edit may be sent.
    #[must_use]
    pub fn poll_last(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_piece_is_shown_at_once_and_more_of_it_a_second_later() {
        let now = Instant::now();
        let mut edits = Edits::default();
        assert_eq!(edits.poll_edit(now), None);
        edits.handle_delta(" ");
        assert_eq!(edits.poll_edit(now), None, "nothing to see");
        edits.handle_delta("Two");
        assert_eq!(edits.poll_edit(now), Some(" Two"));
        edits.handle_delta(" eggs");
        assert_eq!(edits.poll_edit(now + INTERVAL / 2), None);
        assert_eq!(edits.poll_timeout(), Some(now + INTERVAL));
        assert_eq!(edits.poll_edit(now + INTERVAL), Some(" Two eggs"));
        assert_eq!(edits.poll_timeout(), None);
    }

    proptest! {
        /// However pieces come, no more than the message and 24 edits are sent before the last one, a second or more apart.
        #[test]
        fn edits_are_few_and_apart(waits in prop::collection::vec(0..20_000_u64, 0..400)) {
            let mut now = Instant::now();
            let (mut edits, mut sent) = (Edits::default(), Vec::new());
            for wait in waits {
                now += Duration::from_millis(wait);
                edits.handle_delta("x");
                if edits.poll_edit(now).is_some() {
                    sent.push(now);
                }
            }
            prop_assert!(sent.len() <= MOST as usize);
            prop_assert!(sent.windows(2).all(|two| two[1] - two[0] >= INTERVAL));
            if let Some(last) = edits.poll_last() {
                prop_assert!(sent.last().is_some_and(|sent| last - *sent >= INTERVAL));
            }
        }
    }
}
