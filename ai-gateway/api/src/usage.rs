//! Usage by person and day, for `maru usage`; served on root's socket only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Name under which further people are counted together, once a day has too many.
pub const OTHERS: &str = "others";
/// Name under which all rooms are counted together.
pub const ROOMS: &str = "rooms";

/// Counts by day (`2026-11-22`, in UTC) and person (`user:<id>`, `node:<stable id>`, `app:<name>`,
/// [`ROOMS`] or [`OTHERS`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Days with requests, oldest first.
    pub days: BTreeMap<String, BTreeMap<String, Tally>>,
}

/// What one person used in one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// Requests to a model, embeddings included.
    pub requests: u64,
    /// Tokens of the prompts as the models count them; none for a reply that was cut.
    pub prompt_tokens: u64,
    /// Tokens of the replies as the models count them; for a reply that was cut, the pieces received.
    pub reply_tokens: u64,
}

impl Tally {
    /// Adds counts.
    pub fn add(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.prompt_tokens = self.prompt_tokens.saturating_add(more.prompt_tokens);
        self.reply_tokens = self.reply_tokens.saturating_add(more.reply_tokens);
    }
}
