//! How much one person may ask, so that nobody keeps the others waiting: the database has one writer and few readers.
//!
//! The rates stop floods, not people: an app that signs in uploads keys and reads them in dozens of requests at once, a sender
//! of 30 messages a second is not held back, and neither are ten apps of a person that read each of them as it comes. Requests
//! that are refused cost no transaction.

pub mod answers;

use std::num::NonZeroU32;

use axum::http::{Method, Request};
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};

use crate::error::Error;

/// Changes of a person in a second.
const CHANGES: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// Changes at once. An app that was without the home for hours sends what it has queued: five hundred messages go through at once,
/// and five thousand in a minute and a half.
const CHANGES_BURST: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
/// Requests of a person in a second that only read.
const READS: NonZeroU32 = NonZeroU32::new(300).unwrap();
/// Such requests at once. An app that starts in many rooms asks for members and pictures of each.
const READS_BURST: NonZeroU32 = NonZeroU32::new(5_000).unwrap();
/// Rooms of a person in a minute. Each is a dozen events, and more for each person who is invited.
const ROOMS: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// Rooms at once.
const ROOMS_BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// End of the path that makes a room.
const NEW_ROOM: &str = "/createRoom";
/// The path of sliding sync, which changes nothing.
const SLIDING_SYNC: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// The rates, by the coordinator's number of the person.
#[derive(Debug)]
pub struct Rates {
    reads: DefaultKeyedRateLimiter<u64>,
    changes: DefaultKeyedRateLimiter<u64>,
    rooms: DefaultKeyedRateLimiter<u64>,
    clock: DefaultClock,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            reads: DefaultKeyedRateLimiter::keyed(
                Quota::per_second(READS).allow_burst(READS_BURST),
            ),
            changes: DefaultKeyedRateLimiter::keyed(
                Quota::per_second(CHANGES).allow_burst(CHANGES_BURST),
            ),
            rooms: DefaultKeyedRateLimiter::keyed(
                Quota::per_minute(ROOMS).allow_burst(ROOMS_BURST),
            ),
            clock: DefaultClock::default(),
        }
    }
}

impl Rates {
    /// Counts a request of a person.
    ///
    /// # Errors
    ///
    /// [`Error::Limited`], which says when to ask again.
    pub fn count<B>(&self, person: u64, request: &Request<B>) -> Result<(), Error> {
        let (method, path) = (request.method(), request.uri().path());
        if method.is_safe() || (*method == Method::POST && path == SLIDING_SYNC) {
            return self.take(&self.reads, person);
        }
        self.take(&self.changes, person)?;
        if path.ends_with(NEW_ROOM) { self.take(&self.rooms, person) } else { Ok(()) }
    }

    /// Forgets people whose allowance is whole.
    pub fn forget(&self) {
        for rates in [&self.reads, &self.changes, &self.rooms] {
            rates.retain_recent();
            rates.shrink_to_fit();
        }
    }

    fn take(&self, rates: &DefaultKeyedRateLimiter<u64>, person: u64) -> Result<(), Error> {
        let now = self.clock.now();
        rates
            .check_key(&person)
            .map_err(|not| Error::Limited { retry_after: not.wait_time_from(now) })
    }
}

#[cfg(test)]
mod tests;
