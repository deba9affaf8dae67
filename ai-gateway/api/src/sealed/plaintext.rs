//! The plaintext: operations to the gateway, events from it.

use std::fmt;

use chat_vocabulary::{Evidence, FinishReason, Message, Options, Usage};
use common::surrogate;
use serde::{Deserialize, Serialize};

use super::session::{NameTooLong, SessionName};
use crate::{
    memory::Memory,
    wire::{DecodeError, Version, decode},
};

/// The operation of a sealed request.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// The next message of a conversation.
    Chat(Chat),
    /// Lists a session's messages.
    History(History),
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

/// A request for a session's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The session, a name within the person's own.
    pub session: SessionName,
}

/// The plaintext of a request is invalid.
#[derive(Debug, thiserror::Error)]
pub enum PlaintextError {
    /// Another version, or not the JSON.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An operation that this version does not have.
    #[error("unknown operation")]
    Operation,
    /// `chat` has neither or both of `text` and `messages`, or `history` names no session.
    #[error("operation with a missing field")]
    Field,
    /// The session's name is too long.
    #[error(transparent)]
    Session(#[from] NameTooLong),
}

/// The plaintext as JSON.
#[derive(Serialize, Deserialize)]
struct Raw {
    version: Version,
    operation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
}

impl Operation {
    /// Encodes the operation.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let raw = |operation: &str, session: Option<&SessionName>| Raw {
            version: Version,
            operation: operation.to_owned(),
            session: session.map(ToString::to_string),
            text: None,
            messages: None,
            model: None,
            options: None,
        };
        let raw = match self {
            Self::History(history) => raw("history", Some(&history.session)),
            Self::Chat(chat) => {
                let (text, messages) = match &chat.input {
                    Input::Text(text) => (Some(text.clone()), None),
                    Input::Messages(messages) => (None, Some(messages.clone())),
                };
                let options = (chat.options != Options::default()).then(|| chat.options.clone());
                let model = chat.model.clone();
                Raw { text, messages, model, options, ..raw("chat", chat.session.as_ref()) }
            }
        };
        serde_json::to_vec(&raw).unwrap_or_default()
    }

    /// Decodes the plaintext into this memory. Lone surrogates become U+FFFD.
    ///
    /// # Errors
    ///
    /// See [`PlaintextError`].
    pub fn decode(plaintext: &mut [u8], _into: impl Memory) -> Result<Self, PlaintextError> {
        surrogate::replace_lone(plaintext);
        let raw: Raw = decode(plaintext)?;
        let session = raw.session.map(|name| name.parse::<SessionName>()).transpose()?;
        match raw.operation.as_str() {
            "chat" => {
                let input = match (raw.text, raw.messages) {
                    (Some(text), None) => Input::Text(text),
                    (None, Some(messages)) => Input::Messages(messages),
                    (None, None) | (Some(_), Some(_)) => return Err(PlaintextError::Field),
                };
                let options = raw.options.unwrap_or_default();
                Ok(Self::Chat(Chat { session, input, model: raw.model, options }))
            }
            "history" => {
                let session = session.ok_or(PlaintextError::Field)?;
                Ok(Self::History(History { session }))
            }
            _ => Err(PlaintextError::Operation),
        }
    }
}

/// An event of a reply. A chunk carries a list of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The model that answers, as `provider/model`; before its first delta, and again if another takes over.
    Model(String),
    /// Evidence of the node, in replies of the confidential chain; after `model`.
    Evidence(Evidence),
    /// Text to append to the reply.
    Delta(String),
    /// A message of the session, oldest first, in answer to `history`.
    Message(Message),
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

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(model) => f.debug_tuple("Model").field(model).finish(),
            Self::Evidence(evidence) => f.debug_tuple("Evidence").field(evidence).finish(),
            Self::Delta(_) => f.write_str("Delta([redacted])"),
            Self::Message(_) => f.write_str("Message([redacted])"),
            Self::Usage(usage) => f.debug_tuple("Usage").field(usage).finish(),
            Self::Finish(reason) => f.debug_tuple("Finish").field(reason).finish(),
            Self::Error { kind, message } => {
                f.debug_struct("Error").field("kind", kind).field("message", message).finish()
            }
        }
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
