//! Messages as they are stored.

use std::fmt;

use chat_vocabulary::Role;
use sqlx::{Row as _, any::AnyRow};
use zeroize::Zeroizing;

use crate::{
    error::Error,
    keys::ConversationKey,
    message::{BorrowedMessage, Message},
    search::Pattern,
};

/// Messages of a conversation as they are stored, oldest first, and what opens them.
#[derive(Default)]
pub struct SealedMessages {
    key: Option<ConversationKey>,
    rows: Vec<SealedMessage>,
}

/// A message as it is stored.
pub(crate) struct SealedMessage {
    pub(crate) number: i64,
    pub(crate) content: Vec<u8>,
    pub(crate) created_at: i64,
}

/// A message and its place in the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedMessage {
    /// Its number, from 0.
    pub number: i64,
    /// When it was stored, in Unix milliseconds.
    pub created_at: i64,
    /// Its author and text.
    pub message: Message,
}

/// A message that has the text that is searched for.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundMessage {
    /// Its number, from 0.
    pub number: i64,
    /// When it was stored, in Unix milliseconds.
    pub created_at: i64,
    /// Its author.
    pub role: Role,
    /// The text and what is around it.
    pub excerpt: String,
}

impl fmt::Debug for FoundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundMessage").field("number", &self.number).finish_non_exhaustive()
    }
}

impl SealedMessage {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            number: row.try_get("number")?,
            content: row.try_get("content_sealed")?,
            created_at: row.try_get("created_at")?,
        })
    }

    /// What it takes.
    pub(crate) fn bytes(&self) -> i64 {
        // Memory holds less.
        i64::try_from(self.content.len()).unwrap_or(i64::MAX)
    }
}

impl fmt::Debug for SealedMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedMessages").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl SealedMessages {
    pub(crate) fn new(key: ConversationKey, rows: Vec<SealedMessage>) -> Self {
        Self { key: Some(key), rows }
    }

    /// What they take, in bytes as they are stored.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.content.len()).sum()
    }

    /// Opens them. It awaits nothing, so that the caller chooses the memory that the texts are in.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] or [`Error::Format`].
    pub fn open(&self) -> Result<Vec<Message>, Error> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        self.rows.iter().map(|row| key.open(row.number, &row.content)).collect()
    }

    /// The same, with their numbers and times.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_numbered(&self) -> Result<Vec<NumberedMessage>, Error> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        let numbered = |row: &SealedMessage| {
            let message = key.open(row.number, &row.content)?;
            Ok(NumberedMessage { number: row.number, created_at: row.created_at, message })
        };
        self.rows.iter().map(numbered).collect()
    }

    /// Opens one after the other, in memory that is used again, and returns those that have the pattern.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn find(&self, pattern: &Pattern) -> Result<Vec<FoundMessage>, Error> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        let (mut json, mut small) = (Zeroizing::default(), Zeroizing::new(String::new()));
        let mut found = Vec::new();
        for &SealedMessage { number, ref content, created_at } in &self.rows {
            key.open_json(number, content, &mut json)?;
            let BorrowedMessage { role, text } = BorrowedMessage::decode(&json)?;
            if pattern.is_in(&text, &mut small) {
                let excerpt = pattern.excerpt(&text).unwrap_or_default();
                found.push(FoundMessage { number, created_at, role, excerpt });
            }
        }
        Ok(found)
    }

    /// The same messages, sealed for another conversation.
    pub(crate) fn seal_for(
        &self,
        other: &ConversationKey,
    ) -> impl Iterator<Item = Result<SealedMessage, Error>> {
        self.rows.iter().filter_map(|row| {
            let SealedMessage { number, content, created_at } = row;
            let content = self.key.as_ref()?.seal_for(other, *number, content);
            let (number, created_at) = (*number, *created_at);
            Some(content.map(|content| SealedMessage { number, content, created_at }))
        })
    }
}
