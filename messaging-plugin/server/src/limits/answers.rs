//! How much memory the responses of one person may take: a member with many rooms, or full ones, must not use it up, and who
//! reads a response slowly makes it stay.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody as _},
    response::Response,
};
use chassis::{
    body::{counted, whole},
    quota::{Permit, Quota},
};
use ruma::{OwnedUserId, UserId, api::error::ErrorKind};

use crate::error::Error;

/// Largest response to a sync, in bytes of events.
const SYNC_MAX: usize = 32 << 20;
/// From how many bytes of events on a sync takes a place among the large ones.
const LARGE: usize = 4 << 20;
/// Large syncs that are read at a time: one of a person, two in all.
const LARGE_AT_ONCE: (usize, usize) = (2, 1);
/// Bytes of responses that are not sent yet: of one person, and of all.
const UNSENT: (usize, usize) = (96 << 20, 40 << 20);
/// Responses up to this size are not counted, in bytes: a person has at most as many as requests.
const SMALL: usize = 64 << 10;
/// Requests of a person that are in progress, waiting syncs included, and those of all.
const REQUESTS: (usize, usize) = (4_000, 400);
/// When to ask again.
const RETRY: Duration = Duration::from_secs(2);

/// What people's responses take.
#[derive(Debug)]
pub struct Answers {
    requests: Quota<u64>,
    unsent: Quota<u64>,
    large: Quota<OwnedUserId>,
}

impl Default for Answers {
    fn default() -> Self {
        let quota = |(total, each)| Quota::new(total, each);
        Self {
            requests: quota(REQUESTS),
            unsent: quota(UNSENT),
            large: Quota::new(LARGE_AT_ONCE.0, LARGE_AT_ONCE.1),
        }
    }
}

impl Answers {
    /// A place for a request of a person, until it is answered.
    ///
    /// # Errors
    ///
    /// [`Error::Limited`].
    pub fn start(&self, person: u64) -> Result<Permit<u64>, Error> {
        self.requests.take(person).map_err(|_| limited())
    }

    /// Counts the memory of a person's response until it is sent. One for which there is none is dropped, and the person asks
    /// again: what it read is read again, and a change that it reports was made.
    ///
    /// # Errors
    ///
    /// [`Error::Limited`].
    pub async fn send(&self, person: u64, response: Response) -> Result<Response, Error> {
        let size = response.body().size_hint().exact().unwrap_or_default();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size <= SMALL {
            return Ok(response);
        }
        let mut permit = self.unsent.take(person).map_err(|_| limited())?;
        permit.add(size.saturating_sub(1)).map_err(|_| limited())?;
        let (parts, body) = response.into_parts();
        // The connection takes the bytes at once, and drops the body before they are sent.
        let bytes = whole(body, size, RETRY).await?;
        Ok(Response::from_parts(parts, Body::from(counted(bytes, permit))))
    }

    /// Begins to count what one sync of a person reads.
    #[must_use]
    pub(crate) fn begin(&self, user: &UserId) -> AnswerSize {
        AnswerSize { large: self.large.clone(), user: user.to_owned(), bytes: 0, place: None }
    }
}

/// How much one sync has read.
#[derive(Debug)]
pub(crate) struct AnswerSize {
    large: Quota<OwnedUserId>,
    user: OwnedUserId,
    bytes: usize,
    place: Option<Permit<OwnedUserId>>,
}

impl AnswerSize {
    /// Counts bytes of events.
    ///
    /// # Errors
    ///
    /// [`Error::Limited`] if the sync is large and others are; [`Error::Refused`] if it is too large.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes += bytes;
        if self.bytes > SYNC_MAX {
            let reason = "your rooms are too large for one response; leave some, or use an app with sliding sync";
            return Err(Error::bad_request(ErrorKind::TooLarge, reason));
        }
        if self.bytes > LARGE && self.place.is_none() {
            self.place = Some(self.large.take(self.user.clone()).map_err(|_| limited())?);
        }
        Ok(())
    }
}

fn limited() -> Error {
    Error::Limited { retry_after: RETRY }
}

#[cfg(test)]
mod tests;
