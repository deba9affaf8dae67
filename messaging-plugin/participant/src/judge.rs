//! Decisions about rooms and messages, without I/O: which rooms the AI is in, and which messages are for it.

use std::collections::BTreeMap;

use ai_gateway_api::rooms::{Id, Policy, Settings};
use ruma::{OwnedEventId, OwnedUserId, UserId};
use serde_json::Value;

/// Longest text of a message that is kept, in bytes.
pub const TEXT_MAX: usize = 16 << 10;
/// Longest name, in characters.
const NAME_MAX: usize = 100;
/// Reactions that stop a reply: ⏹ and 🛑.
const STOP: [char; 2] = ['\u{23f9}', '\u{1f6d1}'];
/// The reaction that makes another reply: 🔄.
const AGAIN: char = '\u{1f504}';
/// Messages that stop a reply.
const STOP_WORDS: [&str; 2] = ["!stop", "/stop"];
/// The variation selector with which apps send a reaction as a picture.
const AS_PICTURE: char = '\u{fe0f}';

/// A room as its state says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomView {
    /// Who has joined or is invited, with the name.
    pub people: BTreeMap<OwnedUserId, String>,
    /// The room's name.
    pub name: Option<String>,
    /// Whether its messages are encrypted.
    pub is_encrypted: bool,
    /// The event by which the AI joined.
    pub joined_by: Option<String>,
}

impl RoomView {
    /// Reads the state of a room. Events that are no events are left out.
    #[must_use]
    pub fn read(state: &Value, me: &UserId) -> Self {
        let mut view = Self::default();
        for event in state.as_array().into_iter().flatten() {
            let (content, key) = (&event["content"], event["state_key"].as_str());
            match event["type"].as_str() {
                Some("m.room.member") => view.add_member(event, key, me),
                Some("m.room.name") if key == Some("") => {
                    view.name = content["name"].as_str().map(name).filter(|it| !it.is_empty());
                }
                Some("m.room.encryption") if key == Some("") => view.is_encrypted = true,
                Some(_) | None => {}
            }
        }
        view
    }

    fn add_member(&mut self, event: &Value, key: Option<&str>, me: &UserId) {
        let Some(Ok(user)) = key.map(UserId::parse) else { return };
        let membership = event["content"]["membership"].as_str();
        if !matches!(membership, Some("join" | "invite")) {
            return;
        }
        if user == me && membership == Some("join") {
            self.joined_by = event["event_id"].as_str().map(str::to_owned);
        }
        let shown = event["content"]["displayname"].as_str().map(name);
        let shown = shown.filter(|it| !it.is_empty());
        self.people.insert(user.clone(), shown.unwrap_or_else(|| user.localpart().to_owned()));
    }

    /// Whether it is a chat of one person with the AI.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.people.len() == 2
    }

    /// Whether everybody in it is of this network.
    #[must_use]
    pub fn is_of(&self, network: &str) -> bool {
        self.people.keys().all(|person| person.server_name().as_str() == network)
    }
}

/// A name on one line.
fn name(text: &str) -> String {
    common::foreign::short(text, NAME_MAX)
}

/// A message that a person wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its event.
    pub event: OwnedEventId,
    /// Who wrote it.
    pub sender: OwnedUserId,
    /// The text, without the quote of what it replies to.
    pub text: String,
    /// The message to which it replies.
    pub replies_to: Option<String>,
    /// The first message of its thread.
    pub thread: Option<String>,
    /// Whether it names the AI by id in `m.mentions`.
    pub mentions_me: bool,
    /// When it was sent, in Unix milliseconds.
    pub sent_at: u64,
}

/// Without the text.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} bytes", self.event, self.text.len())
    }
}

impl Message {
    /// Reads a decrypted event; `None` if it is no text of another person: an edit, a notice of a program, a picture.
    #[must_use]
    pub fn read(event: &Value, me: &UserId) -> Option<Self> {
        let content = &event["content"];
        let is_text = event["type"] == "m.room.message"
            && matches!(content["msgtype"].as_str(), Some("m.text" | "m.emote"));
        let relation = &content["m.relates_to"];
        let sender = UserId::parse(event["sender"].as_str()?).ok()?;
        if !is_text || relation["rel_type"] == "m.replace" || sender == me {
            return None;
        }
        let replies_to = relation["m.in_reply_to"]["event_id"].as_str().map(str::to_owned);
        let body = content["body"].as_str()?;
        let text = if replies_to.is_some() { without_quote(body) } else { body };
        let is_thread = relation["rel_type"] == "m.thread";
        let mentioned = content["m.mentions"]["user_ids"].as_array();
        Some(Self {
            event: event["event_id"].as_str()?.try_into().ok()?,
            text: shortened(text.trim(), TEXT_MAX).to_owned(),
            // In a thread, apps without threads are told to show a reply to the message before.
            replies_to: replies_to.filter(|_| relation["is_falling_back"] != true),
            thread: relation["event_id"].as_str().filter(|_| is_thread).map(str::to_owned),
            mentions_me: mentioned.into_iter().flatten().any(|user| user == me.as_str()),
            sent_at: event["origin_server_ts"].as_u64().unwrap_or_default(),
            sender,
        })
    }

    /// Whether it asks to stop the reply.
    #[must_use]
    pub fn stops(&self) -> bool {
        STOP_WORDS.contains(&self.text.to_ascii_lowercase().as_str())
    }

    /// Whether it mentions the AI: by `m.mentions`, its whole id, or one of its names as a word.
    #[must_use]
    pub fn mentions(&self, me: &UserId, names: &[&str]) -> bool {
        let text = self.text.to_lowercase();
        let has = |name: &&str| has_word(&text, &name.to_lowercase());
        self.mentions_me || text.contains(me.as_str()) || names.iter().any(has)
    }
}

/// The text without the lines that quote what it replies to (older apps, MSC2781).
fn without_quote(text: &str) -> &str {
    let mut rest = text;
    while rest.starts_with("> ") {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    if rest.len() == text.len() { text } else { rest.trim_start_matches('\n') }
}

/// The first bytes of a text, whole characters.
fn shortened(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Whether a text has a word. After it may be letters that are not ASCII: in Korean a particle follows without a space.
fn has_word(text: &str, word: &str) -> bool {
    let starts = |at: usize| !text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
    let ends = |at: usize| !text[at..].starts_with(|c: char| c.is_ascii_alphanumeric());
    let mut found = text.match_indices(word);
    !word.trim().is_empty() && found.any(|(at, _)| starts(at) && ends(at + word.len()))
}

/// What a reaction asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// To stop the reply in this message.
    Stop(String),
    /// To make another reply in this message.
    Again(String),
}

impl Reaction {
    /// Reads an event; `None` if it is no reaction of another person that asks for something.
    #[must_use]
    pub fn read(event: &Value, me: &UserId) -> Option<Self> {
        let relation = &event["content"]["m.relates_to"];
        let is_reaction = event["type"] == "m.reaction" && relation["rel_type"] == "m.annotation";
        if !is_reaction || event["sender"].as_str()? == me {
            return None;
        }
        let key = relation["key"].as_str()?.trim_end_matches(AS_PICTURE);
        let target = relation["event_id"].as_str()?.to_owned();
        let mut characters = key.chars();
        match (characters.next()?, characters.next()) {
            (key, None) if STOP.contains(&key) => Some(Self::Stop(target)),
            (AGAIN, None) => Some(Self::Again(target)),
            _ => None,
        }
    }
}

/// Whether the settings have a message answered; the gateway checks it again. `is_called`: it mentions the AI or replies to it.
#[must_use]
pub fn is_answered(settings: &Settings, room: &Id, is_direct: bool, is_called: bool) -> bool {
    if is_direct {
        return settings.direct_policy != Policy::Disabled;
    }
    let is_listed = ["*", room.as_str()].iter().any(|it| settings.groups.contains_key(*it));
    let is_open = match settings.group_policy {
        Policy::Open => true,
        Policy::Allowlist => is_listed,
        Policy::Disabled => false,
    };
    is_open && (is_called || !settings.requires_mention(room))
}

#[cfg(test)]
mod tests;
