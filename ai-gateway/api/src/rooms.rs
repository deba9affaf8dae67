//! Rooms in the plugin protocol: a participant asks the gateway for the AI's replies to messages of rooms.
//!
//! `docs/protocols/plugin.md` is the specification. The text is not sealed: the participant is a member of the room and
//! reads it anyway. Times are Unix milliseconds.

use std::{collections::BTreeMap, fmt};

use common::{foreign, surrogate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::{DecodeError, Version, decode};

/// Paths for the participant.
pub mod path {
    /// `GET`: which messages are answered.
    pub const SETTINGS: &str = "/maru/v1/rooms/settings";
    /// `POST`: a message, answered by server-sent events.
    pub const MESSAGES: &str = "/maru/v1/rooms/messages";
}

/// Names of a reply's server-sent events.
pub mod event {
    /// [`Delta`](super::Delta), any number.
    pub const DELTA: &str = "delta";
    /// [`Final`](super::Final), once, last. Without it the reply was cut.
    pub const FINAL: &str = "final";
}

/// Largest request body, in bytes.
pub const MAX_BODY: usize = 256 << 10;
/// Longest text of a message, in bytes: that of a Matrix event.
pub const MAX_TEXT: usize = 64 << 10;
/// Most recent messages of a request.
pub const MAX_RECENT: usize = 64;
/// Longest id, in bytes (Matrix, appendix "Identifier Grammar").
pub const MAX_ID: usize = 255;
/// Longest reply, in bytes. As an encrypted edit, which contains it twice, it still fits into a Matrix event.
pub const MAX_REPLY: usize = 16 << 10;

/// An id of an event, a room or a person in Matrix: 1 to [`MAX_ID`] bytes without control and direction characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String)]
pub struct Id(String);

/// The text is not an [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: that is 1 to {MAX_ID} bytes without control characters")]
pub struct NotAnId;

impl TryFrom<String> for Id {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        let is_id = (1..=MAX_ID).contains(&text.len()) && !text.chars().any(foreign::steers);
        if is_id { Ok(Self(text)) } else { Err(NotAnId) }
    }
}

impl std::str::FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Id {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Answer to `GET /maru/v1/rooms/settings`: `channels.matrix` of `openclaw.json`, with OpenClaw's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Format.
    #[schema(value_type = u32)]
    pub version: Version,
    /// `dmPolicy`: which direct chats are answered.
    pub direct_policy: Policy,
    /// `groupPolicy`: which other rooms are answered.
    pub group_policy: Policy,
    /// By room, or `*` for rooms without an entry.
    pub groups: BTreeMap<String, Group>,
    /// The AI's name. A member of a room who has the same name is shown to the model by their id.
    pub assistant_name: String,
}

/// Which rooms are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// All.
    #[default]
    Open,
    /// Those that the gateway's settings list.
    Allowlist,
    /// None.
    Disabled,
}

/// Settings of a room with several people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Group {
    /// Whether only messages that mention the AI, or reply to it, are answered. Default: true.
    pub require_mention: bool,
}

impl Default for Group {
    fn default() -> Self {
        Self { require_mention: true }
    }
}

impl Settings {
    /// Whether messages without a mention are left unanswered in this group.
    #[must_use]
    pub fn requires_mention(&self, room: &Id) -> bool {
        let group = self.groups.get(room.as_str()).or_else(|| self.groups.get("*"));
        group.copied().unwrap_or_default().require_mention
    }
}

/// Body of `POST /maru/v1/rooms/messages`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomMessage {
    /// Format.
    #[schema(value_type = u32)]
    pub version: Version,
    /// The message's event. With the same attempt it runs once.
    pub event_id: Id,
    /// 0, and one more for each further reply to the same event.
    #[serde(default)]
    pub attempt: u32,
    /// Its room.
    pub room: Room,
    /// Who wrote it.
    pub sender: Sender,
    /// Whether it mentions the AI or replies to it.
    #[serde(default)]
    pub mention: bool,
    /// Its text.
    pub text: String,
    /// Earlier messages of the room that the AI may see, oldest first.
    #[serde(default)]
    pub recent: Vec<RecentMessage>,
}

/// A room.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Room {
    /// Its id.
    pub id: Id,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is a direct chat with one person.
    #[serde(default)]
    pub direct: bool,
}

/// Who wrote a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sender {
    /// The person's id, which telmeet verified.
    pub id: Id,
    /// The name that the person chose for this room.
    #[serde(default)]
    pub name: String,
}

/// An earlier message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecentMessage {
    /// Its event.
    pub event_id: Id,
    /// Who wrote it.
    pub sender: Sender,
    /// Whether the participant itself wrote it: it is the AI's.
    #[serde(default)]
    pub own: bool,
    /// Its text.
    pub text: String,
    /// When it was sent.
    #[serde(default)]
    pub sent_at: u64,
}

impl fmt::Debug for RoomMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event_id, attempt, recent, .. } = self;
        write!(f, "attempt {attempt} at {event_id}, after {} messages", recent.len())
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

impl fmt::Debug for RecentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes", self.event_id, self.text.len())
    }
}

/// Why a message cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Another version, or other JSON.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A text is longer than [`MAX_TEXT`], or there are more than [`MAX_RECENT`] recent messages.
    #[error("the message is too long")]
    TooLong,
}

impl RoomMessage {
    /// Decodes a request body. Lone surrogates are replaced by U+FFFD.
    ///
    /// # Errors
    ///
    /// See [`MessageError`].
    pub fn decode(body: impl Into<Vec<u8>>) -> Result<Self, MessageError> {
        let mut body = body.into();
        surrogate::replace_lone(&mut body);
        let message: Self = decode(&body)?;
        let is_long = |text: &String| text.len() > MAX_TEXT;
        let recent = &message.recent;
        if recent.len() > MAX_RECENT
            || is_long(&message.text)
            || recent.iter().any(|it| is_long(&it.text))
        {
            return Err(MessageError::TooLong);
        }
        Ok(message)
    }
}

/// Data of the event `delta`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The next piece of the reply.
    pub text: String,
}

/// Data of the event `final`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Final {
    /// The whole reply, at most [`MAX_REPLY`] bytes.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// It is complete.
    Stop,
    /// It reached the limit of its length.
    Length,
    /// The gateway ended it early, because others waited for the model.
    Cut,
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.text.len())
    }
}

impl fmt::Debug for Final {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:?}", self.text.len(), self.finish)
    }
}

/// A decoded event of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyEvent {
    /// A piece.
    Delta(Delta),
    /// The end.
    Final(Final),
}

impl ReplyEvent {
    /// Decodes a server-sent event; `None` if a reply has no event of this name, or the data does not fit it.
    #[must_use]
    pub fn decode(name: &str, data: &[u8]) -> Option<Self> {
        match name {
            event::DELTA => serde_json::from_slice(data).ok().map(Self::Delta),
            event::FINAL => serde_json::from_slice(data).ok().map(Self::Final),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
