//! Events: what a reply consists of.

use std::fmt;

use chat_vocabulary::{Evidence, FinishReason, Role, Usage};
use serde::{Deserialize, Serialize};

use super::memory::MemoryFile;
use crate::wire::DecodeError;

/// An event of a reply. A chunk carries a list of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The model that answers, as `provider/model`; before its first delta, and again if another takes over.
    Model(String),
    /// Evidence of the node, in replies of the confidential chain; after `model`.
    Evidence(Evidence),
    /// Text to append to the reply, or to the exported file.
    Delta(String),
    /// A message of the session, oldest first, in answer to `history`.
    Message(SessionMessage),
    /// A session, in answer to `list`.
    Conversation(Conversation),
    /// A message that contains the text, in answer to `search`.
    Found(Found),
    /// A file of the person's memory, in answer to `memory`.
    Memory(MemoryFile),
    /// A new recovery code, in answer to `recovery_code`. It is shown this once.
    RecoveryCode(String),
    /// The operation goes on, but not as the person may expect.
    Notice {
        /// A word for programs, such as `not-kept`. A client shows `message` in any case.
        kind: String,
        /// For the person: what is different, and why.
        message: String,
    },
    /// Tokens counted.
    Usage(Usage),
    /// Why generation ended.
    Finish(FinishReason),
    /// The operation failed; nothing follows.
    Error {
        /// A word for programs, usually one of [`crate::kind`]. A client shows `message` in any case.
        kind: String,
        /// For the person: what happened, and what to do.
        message: String,
    },
}

/// A message of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMessage {
    /// Its author.
    pub role: Role,
    /// Its text.
    pub content: String,
    /// Its number in the session, from 0; none if it is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// When it was stored, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its name.
    pub name: String,
    /// Its messages.
    pub messages: u64,
    /// What they take, in bytes as they are stored.
    pub bytes: u64,
    /// When it began, in Unix milliseconds.
    pub created_at: u64,
    /// When it was last added to, in Unix milliseconds.
    pub used_at: u64,
}

/// A message that contains the text of a search.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The session's name.
    pub conversation: String,
    /// The message's number in the session.
    pub number: u64,
    /// The message's author.
    pub role: Role,
    /// The part of the message around the text.
    pub excerpt: String,
    /// When the message was stored, in Unix milliseconds.
    pub time: u64,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(model) => f.debug_tuple("Model").field(model).finish(),
            Self::Evidence(evidence) => f.debug_tuple("Evidence").field(evidence).finish(),
            Self::Delta(_) => f.write_str("Delta([redacted])"),
            Self::Message(_) => f.write_str("Message([redacted])"),
            Self::Conversation(it) => f.debug_tuple("Conversation").field(it).finish(),
            Self::Found(_) => f.write_str("Found([redacted])"),
            Self::Memory(file) => f.debug_tuple("Memory").field(file).finish(),
            Self::RecoveryCode(_) => f.write_str("RecoveryCode([redacted])"),
            Self::Notice { kind, message } => {
                f.debug_struct("Notice").field("kind", kind).field("message", message).finish()
            }
            Self::Usage(usage) => f.debug_tuple("Usage").field(usage).finish(),
            Self::Finish(reason) => f.debug_tuple("Finish").field(reason).finish(),
            Self::Error { kind, message } => {
                f.debug_struct("Error").field("kind", kind).field("message", message).finish()
            }
        }
    }
}

impl fmt::Debug for SessionMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMessage").field("number", &self.number).finish_non_exhaustive()
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Encodes the plaintext of a chunk.
#[must_use]
pub fn encode_events(events: &[Event]) -> Vec<u8> {
    serde_json::to_vec(events).unwrap_or_default()
}

/// Decodes the plaintext of a chunk.
///
/// # Errors
///
/// It is not a JSON list of [`Event`]s.
pub fn decode_events(plaintext: &[u8]) -> Result<Vec<Event>, DecodeError> {
    serde_json::from_slice(plaintext).map_err(DecodeError::Json)
}
