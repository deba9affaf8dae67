//! Operations as JSON: the plaintext of a sealed request.

use chat_vocabulary::{Message, Options};
use common::surrogate;
use serde::{Deserialize, Serialize};

use super::{
    memory::{NotAMemoryName, RawMemory},
    operation::{
        Branch, Chat, Export, ExportFormat, History, Input, Operation, Recover, Rename, Search,
    },
    session::{NameTooLong, SessionName},
};
use crate::{
    memory::Memory,
    wire::{DecodeError, Version, decode},
};

/// The plaintext of a request is invalid.
#[derive(Debug, thiserror::Error)]
pub enum PlaintextError {
    /// Another version, or not the JSON.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An operation that this version does not have.
    #[error("unknown operation")]
    Operation,
    /// The operation needs a field that is missing, or `chat` has both `text` and `messages`.
    #[error("operation with a missing field")]
    Field,
    /// The session's name is too long.
    #[error(transparent)]
    Session(#[from] NameTooLong),
    /// The memory has no file of this name.
    #[error(transparent)]
    Memory(#[from] NotAMemoryName),
}

/// The fields of all operations.
#[derive(Default, Serialize, Deserialize)]
struct Raw {
    version: Version,
    operation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<ExportFormat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<RawMemory>,
}

/// A field that the operation needs.
fn required<T>(field: Option<T>) -> Result<T, PlaintextError> {
    field.ok_or(PlaintextError::Field)
}

/// A name of a session, if there is one.
fn session(field: Option<String>) -> Result<Option<SessionName>, PlaintextError> {
    Ok(field.map(|name| name.parse()).transpose()?)
}

impl Raw {
    fn of(operation: &str, session: Option<&SessionName>) -> Self {
        let session = session.map(ToString::to_string);
        Self { operation: operation.to_owned(), session, ..Self::default() }
    }

    fn chat(chat: &Chat) -> Self {
        let (text, messages) = match &chat.input {
            Input::Text(text) => (Some(text.clone()), None),
            Input::Messages(messages) => (None, Some(messages.clone())),
        };
        let options = (chat.options != Options::default()).then(|| chat.options.clone());
        let (model, language) = (chat.model.clone(), chat.language.clone());
        Self { text, messages, model, options, language, ..Self::of("chat", chat.session.as_ref()) }
    }

    fn into_chat(self) -> Result<Chat, PlaintextError> {
        let input = match (self.text, self.messages) {
            (Some(text), None) => Input::Text(text),
            (None, Some(messages)) => Input::Messages(messages),
            (None, None) | (Some(_), Some(_)) => return Err(PlaintextError::Field),
        };
        Ok(Chat {
            session: session(self.session)?,
            input,
            model: self.model,
            options: self.options.unwrap_or_default(),
            language: self.language,
        })
    }
}

impl Operation {
    /// Encodes the operation.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let raw = match self {
            Self::Chat(chat) => Raw::chat(chat),
            Self::History(History { session, before, limit }) => {
                let (before, limit) = (*before, *limit);
                Raw { before, limit, ..Raw::of("history", Some(session)) }
            }
            Self::List => Raw::of("list", None),
            Self::Search(Search { text }) => {
                Raw { text: Some(text.clone()), ..Raw::of("search", None) }
            }
            Self::Rename(Rename { session, to }) => {
                Raw { to: Some(to.to_string()), ..Raw::of("rename", Some(session)) }
            }
            Self::Branch(Branch { session, before, to }) => {
                let (before, to) = (Some(*before), Some(to.to_string()));
                Raw { before, to, ..Raw::of("branch", Some(session)) }
            }
            Self::Delete(session) => Raw::of("delete", Some(session)),
            Self::Export(Export { session, format }) => {
                Raw { format: Some(*format), ..Raw::of("export", session.as_ref()) }
            }
            Self::Memory(memory) => Raw { memory: Some(memory.into()), ..Raw::of("memory", None) },
            Self::RecoveryCode => Raw::of("recovery_code", None),
            Self::Recover(Recover { code }) => {
                Raw { code: Some(code.clone()), ..Raw::of("recover", None) }
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
        Ok(match raw.operation.as_str() {
            "chat" => Self::Chat(raw.into_chat()?),
            "history" => Self::History(History {
                session: required(session(raw.session)?)?,
                before: raw.before,
                limit: raw.limit,
            }),
            "list" => Self::List,
            "search" => Self::Search(Search { text: required(raw.text)? }),
            "rename" => Self::Rename(Rename {
                session: required(session(raw.session)?)?,
                to: required(session(raw.to)?)?,
            }),
            "branch" => Self::Branch(Branch {
                session: required(session(raw.session)?)?,
                before: required(raw.before)?,
                to: required(session(raw.to)?)?,
            }),
            "delete" => Self::Delete(required(session(raw.session)?)?),
            "export" => Self::Export(Export {
                session: session(raw.session)?,
                format: required(raw.format)?,
            }),
            "memory" => {
                let memory = required(raw.memory)?.into_operation()?;
                Self::Memory(required(memory)?)
            }
            "recovery_code" => Self::RecoveryCode,
            "recover" => Self::Recover(Recover { code: required(raw.code)? }),
            _ => return Err(PlaintextError::Operation),
        })
    }
}
