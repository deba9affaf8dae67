//! Requests to the engine, and the events of their replies.

use std::time::Duration;

use chat_vocabulary::{FinishReason, Usage};

use super::{cache::Owner, grammar::Grammar, tokens::Tokens};
use crate::request::Sampling;

/// Deltas that may wait for a slow client; if there are more, its slot pauses.
pub(super) const EVENTS_MAX: usize = 256;

/// What to generate.
pub(crate) struct Request {
    /// The whole prompt.
    pub(crate) prompt: Tokens,
    /// Whose the conversation is; [`None`]: nothing of it is remembered.
    pub(crate) owner: Option<Owner>,
    /// Most tokens to generate; [`None`]: as many as fit the context.
    pub(crate) max_tokens: Option<u32>,
    /// Texts that end the reply.
    pub(crate) stops: Vec<String>,
    /// How tokens are chosen.
    pub(crate) sampling: Sampling,
    /// What the reply's text follows; [`None`]: nothing.
    pub(crate) grammar: Option<Grammar>,
}

/// An event of a request.
#[derive(Debug)]
pub(crate) enum Event {
    /// It has a slot.
    Started,
    /// Text to append.
    Text(String),
    /// The reply is complete.
    Ended(Ending),
    /// The grammar leaves no token; nothing follows.
    NoToken,
    /// The engine failed; nothing follows.
    Failed,
}

/// How a reply ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// Why.
    pub(crate) reason: FinishReason,
    /// Tokens counted.
    pub(crate) usage: Usage,
    /// Tokens of the prompt that an earlier turn had read.
    pub(crate) cached: u32,
    /// Time to read the prompt.
    pub(crate) reading: Duration,
    /// Time to generate the rest.
    pub(crate) generating: Duration,
}
