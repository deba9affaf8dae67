use proptest::prelude::*;

use super::*;

/// A machine whose batches have a fixed cost and one for each token.
#[derive(Clone, Copy, Debug)]
struct Machine {
    batch: Duration,
    token: Duration,
}

impl Machine {
    fn batch(&self, tokens: usize) -> Duration {
        self.batch + self.token * u32::try_from(tokens).unwrap()
    }

    /// Reads a prompt beside replies; returns batches, and the time that they took.
    fn read(&self, pace: &mut PromptBatch, prompt: usize, replies: usize) -> (u32, Duration) {
        let (mut left, mut batches, mut time) = (prompt, 0, Duration::ZERO);
        while left > 0 {
            let piece = pace.tokens(replies).min(left);
            let took = self.batch(replies + piece);
            pace.learn(replies, piece, took);
            (left, batches, time) = (left - piece, batches + 1, time + took);
            assert!(batches < 1_000_000, "it is never read");
        }
        (batches, time)
    }
}

/// Learns until the number of tokens is steady, without replies.
fn settle(batch: Duration, token: Duration) -> usize {
    let (machine, mut pace) = (Machine { batch, token }, PromptBatch::default());
    for _ in 0..20 {
        let tokens = pace.tokens(0);
        pace.learn(0, tokens, machine.batch(tokens));
    }
    pace.tokens(0)
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
    let mut pace = PromptBatch::default();
    pace.learn(0, 3, Duration::ZERO);
    pace.learn(0, 0, Duration::from_secs(9));
    assert_eq!(pace.tokens(0), 4);
}

#[test]
fn what_a_token_costs_is_measured_before_a_piece_and_again_after_some() {
    let (ms, mut pace) = (Duration::from_millis, PromptBatch::default());
    assert_eq!(pace.tokens(1), 0, "nothing is known");
    pace.learn(1, 0, ms(10));
    for _ in 0..MEASURED {
        assert!(pace.tokens(1) > 0);
        pace.learn(1, pace.tokens(1), ms(25));
    }
    assert_eq!(pace.tokens(1), 0);
    // The machine is twice as fast: what took 25 is now too long.
    pace.learn(1, 0, ms(5));
    pace.learn(1, pace.tokens(1), ms(25));
    assert_eq!(pace.tokens(1), 0, "10 ms are owed: one batch pays 10");
    pace.learn(1, 0, ms(5));
    assert!(pace.tokens(1) > 0);
}

#[test]
fn a_machine_that_stood_still_does_not_keep_prompts_from_being_read() {
    let (ms, mut pace) = (Duration::from_millis, PromptBatch::default());
    pace.learn(1, 0, ms(10));
    pace.learn(1, 4, Duration::from_secs(3600));
    let turns = (0..).find(|_| {
        let is_read = pace.tokens(1) > 0;
        pace.learn(1, 0, ms(10));
        is_read
    });
    assert_eq!(turns, Some(3000), "a minute at 20 ms for each batch");
}

proptest! {
    /// Whatever batches cost, and whatever was learned before: a reply keeps a third of its speed, and the prompt is read.
    #[test]
    fn a_reply_keeps_a_third_of_its_speed_while_4000_tokens_are_read(
        batch in 0_u64..200_000,
        token in 1_u64..100_000,
        replies in 1_usize..8,
        before in (0_u64..200_000, 1_u64..100_000),
    ) {
        let us = Duration::from_micros;
        let mut pace = PromptBatch::default();
        Machine { batch: us(before.0), token: us(before.1) }.read(&mut pace, 300, replies);
        let machine = Machine { batch: us(batch), token: us(token) };
        pace.learn(replies, 0, machine.batch(replies));
        pace.learn(replies, 0, machine.batch(replies));

        let (tokens, time) = machine.read(&mut pace, 4000, replies);

        // What was learned wrongly costs some batches, once.
        let third = time.as_micros() / (3 * machine.batch(replies)).as_micros();
        prop_assert!(u128::from(tokens) + 16 >= third, "{tokens} tokens instead of {third}");
    }
}

/// A client that reads between two looks at its slot is fed in the next batch: this one's room is counted without it.
#[test]
fn a_batch_holds_what_its_slots_get_whenever_clients_read() {
    let mut pace = PromptBatch::default();
    for _ in 0..20 {
        pace.learn(0, pace.tokens(0), Duration::ZERO);
    }
    assert_eq!(pace.tokens(0), BATCH as usize);
    let mut asked = 0;

    let shares = pace.shares(2, |id| {
        asked += 1;
        match (id, asked) {
            (0, _) => Some(Pending { is_reading: true, tokens: 5000 }),
            // At first it does not read.
            (_, 2) => None,
            _ => Some(Pending { is_reading: false, tokens: 1 }),
        }
    });

    assert_eq!(shares, [BATCH as usize, 0]);
}

proptest! {
    #[test]
    fn no_batch_has_more_tokens_than_it_holds(slots in prop::collection::vec(prop::option::of((any::<bool>(), 1..2000_usize)), 1..=64), is_fast: bool) {
        let mut pace = PromptBatch::default();
        // Prompts cost nothing beside replies, or alone.
        for _ in 0..if is_fast { 10 } else { 0 } {
            pace.learn(1, 0, Duration::from_secs(1));
            pace.learn(1, BATCH as usize, Duration::ZERO);
            pace.learn(0, BATCH as usize, Duration::ZERO);
        }
        pace.learn(1, 0, Duration::from_secs(1));
        let pending = |id: usize| slots[id].map(|(is_reading, tokens)| Pending { is_reading, tokens });
        let shares = pace.shares(slots.len(), pending);
        prop_assert!(shares.iter().sum::<usize>() <= BATCH as usize);
        for (slot, share) in slots.iter().zip(shares) {
            let most = slot.map_or(0, |(is_reading, tokens)| if is_reading { tokens } else { 1 });
            prop_assert!(share <= most);
        }
    }
}
