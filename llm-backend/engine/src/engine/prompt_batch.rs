//! How many tokens of prompts are read at once.

use std::{ops::Range, time::Duration};

/// Most tokens in a batch.
pub(super) const BATCH: u32 = 256;
/// How long a batch should take. Prompts are read in pieces of this duration, so that other replies continue meanwhile
/// and a disconnected client is noticed in time. Pieces are not smaller, because each batch has a fixed cost.
const STEP: Range<Duration> = Duration::from_millis(120)..Duration::from_millis(360);

/// The number of prompt tokens that take one [`STEP`], learned from the last batches.
#[derive(Debug)]
pub(super) struct PromptBatch {
    pub(super) tokens: usize,
}

impl Default for PromptBatch {
    fn default() -> Self {
        Self { tokens: 4 }
    }
}

impl PromptBatch {
    /// Learns from the duration of a batch with this many prompt tokens.
    pub(super) fn learn(&mut self, prompt_tokens: usize, duration: Duration) {
        if prompt_tokens >= self.tokens && duration < STEP.start {
            self.tokens = (self.tokens * 2).min(BATCH as usize);
        } else if prompt_tokens > 0 && duration > STEP.end {
            // Half, or less if the processor has become much slower.
            let times = duration.as_millis() / STEP.end.as_millis().max(1);
            self.tokens = (self.tokens / usize::try_from(times + 1).unwrap_or(usize::MAX)).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learns until the number of tokens is steady, with a fixed cost per batch and one per token.
    fn settle(batch: Duration, token: Duration) -> usize {
        let mut prompt_batch = PromptBatch::default();
        for _ in 0..20 {
            let tokens = prompt_batch.tokens;
            prompt_batch.learn(tokens, batch + token * u32::try_from(tokens).unwrap());
        }
        prompt_batch.tokens
    }

    #[test]
    fn slow_models_read_in_small_pieces_and_fast_ones_in_large() {
        let ms = Duration::from_millis;
        assert_eq!(settle(ms(500), ms(100)), 1, "even one token takes too long");
        assert_eq!(settle(ms(0), ms(40)), 4);
        assert_eq!(settle(ms(80), ms(1)), 64, "most of the cost is that of a batch");
        assert_eq!(settle(ms(0), ms(0)), BATCH as usize);
    }

    #[test]
    fn batches_with_few_prompt_tokens_are_ignored() {
        let mut prompt_batch = PromptBatch::default();
        prompt_batch.learn(3, Duration::ZERO);
        prompt_batch.learn(0, Duration::from_secs(9));
        assert_eq!(prompt_batch.tokens, 4);
    }
}
