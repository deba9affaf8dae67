//! One reply in progress.
//!
//! ```text
//!   reading the prompt ──(all read)──▶ generating ──(end, stop text, limit)──▶ ended
//! ```

use std::time::Instant;

use chat_vocabulary::{FinishReason, Usage};
use llama_cpp_2::token::LlamaToken;
use tokio::sync::mpsc;

use super::{
    cache::{Conversation, Owner, Read},
    event::{Ending, Event},
    model::Model,
    queue::Job,
    sampling::Sampler,
    tokens::Tokens,
};
use crate::text::TextDecoder;

/// A busy slot.
pub(super) struct Slot {
    /// Number of its request.
    pub(super) task: u64,
    /// Chooses its tokens.
    pub(super) sampler: Sampler,
    /// Index of its output in the last batch.
    pub(super) output: Option<i32>,
    owner: Option<Owner>,
    /// The prompt and the reply so far.
    all: Tokens,
    /// Where in `all` the tokens to feed next begin: the rest of the prompt, then the last token generated.
    fed: usize,
    /// Whether older tokens were dropped.
    is_shifted: bool,
    /// Position of the next token.
    position: u32,
    n_prompt: u32,
    n_cached: u32,
    n_decoded: u32,
    max_tokens: u32,
    ignore_eos: bool,
    text: TextDecoder,
    events: mpsc::Sender<Event>,
    started: Instant,
    first: Option<Instant>,
    /// Since when the client has read nothing.
    stalled: Option<Instant>,
}

/// What a slot does next.
#[derive(Clone, Copy, Debug)]
pub(super) enum SlotState {
    /// The reply continues.
    Continue,
    /// The reply is over; send this to the client once the slot is free.
    Ended(Ending),
}

impl Slot {
    /// Starts a request, whose first `cached` tokens are in the slot already.
    pub(super) fn start(job: Job, cached: usize, model: &Model, now: Instant) -> Self {
        let Job { task, request, events } = job;
        let n_prompt = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
        let n_cached = u32::try_from(cached).unwrap_or(u32::MAX);
        Self {
            task,
            sampler: Sampler::new(&request.sampling, request.grammar, model, &request.prompt),
            output: None,
            owner: request.owner,
            all: request.prompt,
            fed: cached,
            is_shifted: false,
            position: n_cached,
            n_prompt,
            n_cached,
            n_decoded: 0,
            max_tokens: request.max_tokens.unwrap_or(u32::MAX),
            ignore_eos: request.sampling.ignore_eos,
            text: TextDecoder::new(request.stops),
            events,
            started: now,
            first: None,
            stalled: None,
        }
    }

    /// Whether the client has disconnected.
    pub(super) fn is_left(&self) -> bool {
        self.events.is_closed()
    }

    /// Since when the client has read nothing, although events are waiting.
    pub(super) fn stalled(&mut self, now: Instant) -> Option<Instant> {
        // The last event must fit, too.
        if self.events.capacity() < 3 {
            self.stalled.get_or_insert(now);
        } else {
            self.stalled = None;
        }
        self.stalled
    }

    /// Whether it still reads its prompt.
    pub(super) fn is_reading(&self) -> bool {
        self.n_decoded == 0
    }

    /// Tokens to feed.
    pub(super) fn pending(&self) -> &[LlamaToken] {
        &self.all[self.fed..]
    }

    /// Position of the next token.
    pub(super) fn position(&self) -> u32 {
        self.position
    }

    /// Tokens of the prompt, tokens of it that were read, and tokens generated.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        (self.n_prompt, self.n_prompt.min(self.position), self.n_decoded)
    }

    /// Records that the first `n` pending tokens were fed.
    pub(super) fn fed(&mut self, n: usize) {
        self.fed += n;
        self.position += u32::try_from(n).unwrap_or(u32::MAX);
    }

    /// Records that `n` tokens were dropped from the cache.
    pub(super) fn shifted(&mut self, n: u32) {
        self.position -= n;
        self.is_shifted = true;
    }

    /// What can be remembered of it: nothing without an owner, and nothing that lacks its beginning.
    pub(super) fn remembered(&self, now: Instant) -> Option<Conversation> {
        let owner = self.owner.clone().filter(|_| !self.is_shifted && self.fed > 0)?;
        Some(Conversation { owner, read: Read::new(&self.all[..self.fed]), used: now })
    }

    /// Handles the sampled token, and sends the text that it adds.
    pub(super) fn handle_token(
        &mut self,
        token: LlamaToken,
        model: &Model,
        now: Instant,
    ) -> SlotState {
        self.first.get_or_insert(now);
        self.n_decoded += 1;
        if model.ends().contains(&token) {
            return self.end(FinishReason::Stop, now);
        }
        let mut piece = Vec::with_capacity(16);
        model.piece(token, &mut piece);
        let text = self.text.push(&piece);
        self.send(text);
        if self.text.is_stopped() {
            return self.end(FinishReason::Stop, now);
        }
        let full = self.position >= model.ctx();
        if self.n_decoded >= self.max_tokens || (full && !(self.ignore_eos && model.can_shift())) {
            return self.end(FinishReason::Length, now);
        }
        self.all.push(token);
        SlotState::Continue
    }

    /// Sends an event to the client. The channel has room, because a slot whose channel is full is not fed. The event
    /// is dropped if the client has disconnected.
    pub(super) fn notify(&self, event: Event) {
        let _ = self.events.try_send(event);
    }

    fn end(&mut self, reason: FinishReason, now: Instant) -> SlotState {
        let rest = self.text.finish();
        self.send(rest);
        let first = self.first.unwrap_or(now);
        let ending = Ending {
            reason,
            usage: Usage { prompt_tokens: self.n_prompt, completion_tokens: self.n_decoded },
            cached: self.n_cached,
            reading: first - self.started,
            generating: now - first,
        };
        SlotState::Ended(ending)
    }

    fn send(&self, text: String) {
        if !text.is_empty() {
            self.notify(Event::Text(text));
        }
    }
}
