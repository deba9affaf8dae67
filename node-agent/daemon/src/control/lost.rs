//! Why a session with the coordinator ended.

use super::channel::ChannelError;

/// Why the control client gave up; the caller decides what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The coordinator turned this device away; the sentence says what to do.
    Refused(String),
    /// The node key has ended: another one must be made, and registered in its place.
    KeyExpired,
}

/// Why a session ended.
pub(super) enum Lost {
    /// For good.
    Ended(Ended),
    /// The coordinator does not know this node any more: register.
    NotRegistered,
    /// Something that may pass; the sentence says what.
    Passing(String),
}

impl From<ChannelError> for Lost {
    fn from(error: ChannelError) -> Self {
        Self::Passing(error.to_string())
    }
}
