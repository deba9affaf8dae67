//! A message at rest.

use std::fmt;

use chat_vocabulary::Role;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{error::Error, keys::ConversationKey};

/// A message of a conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its author.
    pub role: Role,
    /// Its text.
    pub text: String,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("role", &self.role).finish_non_exhaustive()
    }
}

/// Messages of a conversation as they are stored, oldest first, and what opens them.
#[derive(Default)]
pub struct SealedMessages {
    key: Option<ConversationKey>,
    /// With their numbers.
    rows: Vec<(i64, Vec<u8>)>,
}

impl fmt::Debug for SealedMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedMessages").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl SealedMessages {
    pub(crate) fn new(key: ConversationKey, rows: Vec<(i64, Vec<u8>)>) -> Self {
        Self { key: Some(key), rows }
    }

    /// Opens them. It awaits nothing, so that the caller chooses the memory that the texts are in.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] or [`Error::Format`].
    pub fn open(&self) -> Result<Vec<Message>, Error> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        self.rows.iter().map(|(number, sealed)| key.open(*number, sealed)).collect()
    }
}

impl Message {
    /// As it is sealed: JSON, to which later versions may add members.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // A role and a text: neither can fail.
        Zeroizing::new(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what was sealed.
    pub(crate) fn decode(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(Error::Format)
    }
}
