//! How many tokens of prompts are read at once.
//!
//! ```text
//!   nobody else   ████████████████████ ████████████████████     pieces of 120 to 360 ms
//!   beside a reply   ████▌████▌▌▌████▌████▌                      ▌ its tokens, ████ pieces
//! ```
//!
//! A batch with a piece of a prompt gives each reply under way one token, and should take as long as three batches
//! without one: so a reply keeps a third of its speed while a prompt is read. What a batch takes longer is owed to the
//! replies, which then get tokens without a piece.

use std::{ops::Range, time::Duration};

/// Most tokens in a batch.
pub(super) const BATCH: u32 = 256;
/// How long a batch should take that has prompts alone: a client that disconnects or a new one is noticed in time.
/// Batches are not smaller, because each has a fixed cost.
const STEP: Range<Duration> = Duration::from_millis(120)..Duration::from_millis(360);
/// A batch with a piece may take as long as so many without one.
const SLOWER: u32 = 3;
/// Batches with a piece after which one without shows what a token costs by now.
const MEASURED: u32 = 8;
/// Most that is owed: when the machine stood still, that was no prompt's fault.
const OWED_MAX: Duration = Duration::from_secs(60);

/// The number of prompt tokens in a batch, learned from the last batches.
#[derive(Debug)]
pub(super) struct PromptBatch {
    /// Without replies, such that it takes one [`STEP`].
    alone: usize,
    /// Beside replies.
    beside: usize,
    /// How long a batch takes that has one token for each reply and no prompt; [`None`]: there was none yet.
    token: Option<Duration>,
    /// What batches took longer than [`SLOWER`] times that.
    owed: Duration,
    /// Batches with a piece since one without.
    pieces: u32,
}

/// What a slot could be fed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Whether it still reads its prompt.
    pub(super) is_reading: bool,
    /// Tokens of it.
    pub(super) tokens: usize,
}

impl Default for PromptBatch {
    fn default() -> Self {
        Self { alone: 4, beside: 4, token: None, owed: Duration::ZERO, pieces: 0 }
    }
}

impl PromptBatch {
    /// How many tokens of prompts the next batch takes, in which so many replies get one token each.
    pub(super) fn tokens(&self, replies: usize) -> usize {
        if replies == 0 {
            return self.alone;
        }
        let is_due = self.token.is_none() || self.pieces >= MEASURED || !self.owed.is_zero();
        if is_due { 0 } else { self.beside }
    }

    /// How many tokens each of so many slots gets in the next batch: one for a reply, and a part of the prompts' for a prompt.
    /// `pending` tells what a slot could be fed; [`None`] while there is nothing, or while its client does not read.
    pub(super) fn shares(
        &self,
        slots: usize,
        pending: impl FnMut(usize) -> Option<Pending>,
    ) -> Vec<usize> {
        // Asked once: a client may read between two answers, and the room is counted for those that are fed.
        let pending: Vec<_> = (0..slots).map(pending).collect();
        let count = |is_reading| {
            pending.iter().flatten().filter(|slot| slot.is_reading == is_reading).count()
        };
        let (reading, replies) = (count(true), count(false));
        let room = (BATCH as usize - replies).min(self.tokens(replies));
        let share = if room == 0 { 0 } else { (room / reading.max(1)).max(1) };
        let share = |slot: Pending| slot.tokens.min(if slot.is_reading { share } else { 1 });
        pending.into_iter().map(|slot| slot.map_or(0, share)).collect()
    }

    /// Learns from the duration of a batch with so many replies and prompt tokens.
    pub(super) fn learn(&mut self, replies: usize, prompt_tokens: usize, duration: Duration) {
        match (replies, prompt_tokens) {
            (0, _) => learn(&mut self.alone, prompt_tokens, duration, STEP),
            (_, 0) => {
                let token =
                    self.token.map_or(duration, |known| duration.min((known + duration) / 2));
                self.owed = self.owed.saturating_sub(token * (SLOWER - 1));
                self.token = Some(token);
                self.pieces = 0;
            }
            _ => {
                let token = self.token.unwrap_or_default();
                let step = token * (SLOWER - 1)..token * SLOWER;
                let owed = self.owed + duration.saturating_sub(step.end);
                self.owed = owed.min(OWED_MAX);
                self.pieces += 1;
                learn(&mut self.beside, prompt_tokens, duration, step);
            }
        }
    }
}

/// Learns how many tokens take one step.
fn learn(tokens: &mut usize, prompt_tokens: usize, duration: Duration, step: Range<Duration>) {
    if prompt_tokens >= *tokens && duration < step.start {
        *tokens = (*tokens * 2).min(BATCH as usize);
    } else if prompt_tokens > 0 && duration > step.end {
        // Half, or less if the processor has become much slower.
        let times = duration.as_micros() / step.end.as_micros().max(1);
        *tokens = (*tokens / usize::try_from(times + 1).unwrap_or(usize::MAX)).max(1);
    }
}

#[cfg(test)]
mod tests;
