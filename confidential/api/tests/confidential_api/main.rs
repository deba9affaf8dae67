//! What the chain says: messages, signed documents, seeds, settings.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod documents;
mod messages;
