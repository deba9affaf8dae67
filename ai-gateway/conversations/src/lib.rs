//! Conversations with the AI at rest: sealed, each person's own.
//!
//! ```text
//! machine key (outside state and backups) ─▶ person's key ─▶ conversation's key ─▶ message
//!                     recovery code ────────▶ person's key ─▶ the person's memory
//! ```
//!
//! Each key is sealed under the one before it, with the row that it belongs to as associated data; a message with its
//! person, conversation and number. What was moved to another place does not open. To destroy a conversation, its row with
//! its key is deleted; the database overwrites what it deletes.
//!
//! What the file shows without a key: how many people have conversations here (as numbers), how many conversations and
//! messages, when, and how long they are; the names of memory files, which are dates, and their lengths.
#![forbid(unsafe_code)]

mod conversations;
mod error;
mod keys;
mod memory;
mod message;
mod recovery;
mod sealed;
mod search;

pub use conversations::context::{Context, SealedContext};
pub use conversations::{
    Conversations, Limits,
    list::{Entries, Entry, Summary},
    parts::{Part, Parts},
    read::Reader,
    retention::Retention,
};
pub use error::Error;
pub use memory::{MEMORY_FILE_MAX, MemoryChange, SealedMemory};
pub use message::Message;
pub use recovery::{NotACode, RecoveryCode};
pub use sealed::{FoundMessage, NumberedMessage, SealedMessages};
pub use search::Pattern;

#[cfg(test)]
mod tests;
