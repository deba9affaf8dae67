//! What is under the seal: operations towards the gateway, events back.

use std::fmt;

use chat_vocabulary::{Evidence, FinishReason, Message, Options, Usage};
use common::surrogate;
use serde::{Deserialize, Serialize};

use super::session::{NameTooLong, SessionName};
use crate::{
    memory::Memory,
    wire::{DecodeError, Version, decode},
};

/// What a sealed request asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// The next message of a conversation.
    Chat(Chat),
    /// What a session holds.
    History(History),
}

/// Asks for the next message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
    /// The conversation that is continued, a name within the person's own; none leaves no trace.
    pub session: Option<SessionName>,
    /// What is said.
    pub input: Input,
    /// Which model answers, as `provider/model`; the gateway's primary model if absent.
    pub model: Option<String>,
    /// How it answers.
    pub options: Options,
}

/// What is said in a [`Chat`].
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// The next message of the session.
    Text(String),
    /// A whole conversation, beside the session's own.
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

/// Asks what a session holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The session, a name within the person's own.
    pub session: SessionName,
}

/// Why the plaintext of a request is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PlaintextError {
    /// Another version, or not the JSON.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An operation that this version does not have.
    #[error("unknown operation")]
    Operation,
    /// `chat` says neither or both of `text` and `messages`; `history` names no session.
    #[error("operation with a missing field")]
    Field,
    /// The session's name is too long.
    #[error(transparent)]
    Session(#[from] NameTooLong),
}

/// The plaintext as JSON has it.
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

    /// Decodes what was sealed, into this memory. U+FFFD takes the place of half characters in it.
    ///
    /// # Errors
    ///
    /// See [`PlaintextError`].
    pub fn decode(plaintext: &mut [u8], _into: impl Memory) -> Result<Self, PlaintextError> {
        surrogate::replace_lone(plaintext);
        let raw: Raw = decode(plaintext)?;
        let session = raw.session.map(SessionName::try_from).transpose()?;
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

/// One thing that a reply says. A chunk carries a list of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Which model answers, as `provider/model`; before its first delta, and again if another takes over.
    Model(String),
    /// What proved itself before it was asked; after `model`, in replies of the confidential chain.
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
        /// A word for programs, mostly one of [`crate::kind`]; a client shows `message` whatever it is.
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
