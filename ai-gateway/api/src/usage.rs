//! How much people use: what `maru usage` asks the gateway, on the socket that is root's alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who is counted together once too many people asked in one day to be counted each.
pub const OTHERS: &str = "others";

/// Counts by day (`2026-11-22`, in UTC) and person (`user:<id>`, `node:<stable id>`, or [`OTHERS`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The days on which somebody asked, oldest first.
    pub days: BTreeMap<String, BTreeMap<String, Tally>>,
}

/// What one person used in one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// Requests that a model was asked, embeddings among them.
    pub requests: u64,
    /// Tokens of the prompts, as the models counted them; of a reply that was cut nobody counted any.
    pub prompt_tokens: u64,
    /// Tokens of the replies, as the models counted them; of a reply that was cut the pieces that came.
    pub reply_tokens: u64,
}

impl Tally {
    /// Adds what was used besides.
    pub fn add(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.prompt_tokens = self.prompt_tokens.saturating_add(more.prompt_tokens);
        self.reply_tokens = self.reply_tokens.saturating_add(more.reply_tokens);
    }
}
