//! A message at rest.

use std::{borrow::Cow, fmt};

use chat_vocabulary::Role;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Error;

/// A message of a conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its author.
    pub role: Role,
    /// Its text.
    pub text: String,
}

/// A message whose text is in its sealed form.
#[derive(Deserialize)]
pub(crate) struct BorrowedMessage<'a> {
    pub(crate) role: Role,
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
}

impl<'a> BorrowedMessage<'a> {
    /// Reads what was sealed, as [`Message::decode`].
    pub(crate) fn decode(json: &'a [u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(Error::Format)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Message {
    /// As it is sealed: JSON, to which later versions may add members.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // A role and a text: neither can fail.
        Zeroizing::new(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what was sealed.
    ///
    /// # Errors
    ///
    /// [`Error::Format`].
    pub fn decode(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(Error::Format)
    }
}
