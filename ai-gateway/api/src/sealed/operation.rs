//! Operations: what an app asks of the gateway.

use std::fmt;

use chat_vocabulary::{Message, Options};
use serde::{Deserialize, Serialize};

use super::{memory::MemoryOperation, session::SessionName};

/// The operation of a sealed request. Each name of a session is one within the person's own.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// The next message of a conversation.
    Chat(Chat),
    /// Reads a session's messages.
    History(History),
    /// Lists the person's sessions, the last used first.
    List,
    /// Finds messages that contain a text.
    Search(Search),
    /// Gives a session another name.
    Rename(Rename),
    /// Copies the beginning of a session to a new one.
    Branch(Branch),
    /// Deletes a session and its key.
    Delete(SessionName),
    /// Writes sessions as a file, which comes in [`Event::Delta`](super::Event::Delta).
    Export(Export),
    /// Reads or changes the person's memory.
    Memory(MemoryOperation),
    /// Makes a recovery code, which replaces the one before.
    RecoveryCode,
    /// Opens the person's sessions, which another machine sealed.
    Recover(Recover),
}

/// A request for the next message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
    /// The session that is continued, one of the person's own. Without one nothing is kept.
    pub session: Option<SessionName>,
    /// The new message, or all messages.
    pub input: Input,
    /// The model, as `provider/model`; by default the gateway's primary model.
    pub model: Option<String>,
    /// Options of generation.
    pub options: Options,
    /// The person's language (BCP 47), for what the gateway itself says; English by default.
    pub language: Option<String>,
}

/// The input of a [`Chat`].
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// The next message of the session.
    Text(String),
    /// A whole conversation, instead of the session's.
    Messages(Vec<Message>),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text([redacted])",
            Self::Messages(_) => "Messages([redacted])",
        })
    }
}

/// A request for a session's messages: the newest of those that are asked for, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The session.
    pub session: SessionName,
    /// Only messages whose number is lower.
    pub before: Option<u64>,
    /// At most this many; by default all.
    pub limit: Option<u64>,
}

impl History {
    /// All messages of a session.
    #[must_use]
    pub fn all(session: SessionName) -> Self {
        Self { session, before: None, limit: None }
    }
}

/// A request for messages that contain a text, in any case.
#[derive(Clone, PartialEq, Eq)]
pub struct Search {
    /// The text.
    pub text: String,
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Search([redacted])")
    }
}

/// A request for another name of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The session.
    pub session: SessionName,
    /// Its new name.
    pub to: SessionName,
}

/// A request for a new session that begins as another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The session that is copied.
    pub session: SessionName,
    /// The number of the first message that is not copied.
    pub before: u64,
    /// The new session.
    pub to: SessionName,
}

/// A request for a file of the person's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The session; without one, all.
    pub session: Option<SessionName>,
    /// The file's format.
    pub format: ExportFormat,
}

/// The format of an [`Export`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// For programs.
    Json,
    /// For people.
    Markdown,
}

/// A request with a recovery code.
#[derive(Clone, PartialEq, Eq)]
pub struct Recover {
    /// The code, as the person typed it.
    pub code: String,
}

impl fmt::Debug for Recover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recover([redacted])")
    }
}
