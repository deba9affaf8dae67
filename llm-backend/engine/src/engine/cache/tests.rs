use proptest::prelude::*;

use super::*;

fn tokens(numbers: &[i32]) -> Vec<LlamaToken> {
    numbers.iter().map(|number| LlamaToken(*number)).collect()
}

fn conversation(owner: &str, numbers: &[i32], used: Instant) -> Conversation {
    Conversation { owner: owner.to_owned(), read: Read::new(&tokens(numbers)), used }
}

fn numbers(count: i32) -> Vec<i32> {
    (0..count).collect()
}

#[test]
fn the_longest_beginning_of_the_same_owner_is_continued() {
    let now = Instant::now();
    let slots = [conversation("a", &numbers(40), now), conversation("b", &numbers(90), now)];
    let stored = [conversation("a", &numbers(60), now), conversation("a", &numbers(30), now)];
    let prompt = tokens(&numbers(100));
    let choose = |owner: Option<&str>, with_store: bool| {
        let stored = stored.iter().filter(|_| with_store);
        source(slots.iter().enumerate(), stored, owner, &prompt)
    };
    assert_eq!(choose(Some("a"), true), Source::Stored(0, 60));
    assert_eq!(choose(Some("a"), false), Source::Slot(0, 40));
    assert_eq!(choose(Some("b"), true), Source::Slot(1, 90));
    assert_eq!(choose(Some("c"), true), Source::Nothing, "another's is of no use");
    assert_eq!(choose(None, true), Source::Nothing, "without an owner nothing is shared");
}

#[test]
fn the_last_token_is_always_read_and_few_are_not_worth_it() {
    let kept = conversation("a", &numbers(100), Instant::now());
    assert_eq!(kept.saves("a", &tokens(&numbers(100))), 99);
    assert_eq!(kept.saves("a", &tokens(&numbers(50))), 49);
    assert_eq!(kept.saves("a", &tokens(&numbers(10))), 0);
    assert_eq!(kept.saves("a", &[]), 0);
    assert!(kept.is_other(49) && !kept.is_other(50));
}

fn stored(owner: &str, count: i32, bytes: usize, used: Instant) -> Stored {
    let state = Zeroizing::new(vec![1; bytes]);
    Stored { conversation: conversation(owner, &numbers(count), used), state }
}

#[test]
fn what_was_used_least_recently_makes_room() {
    let (first, second) = (Duration::from_secs(1), Duration::from_secs(2));
    let begin = Instant::now();
    let mut store = Store::new(100);
    store.put(stored("a", 20, 60, begin + first));
    store.put(stored("b", 20, 40, begin));
    store.put(stored("c", 20, 40, begin + second));
    let owners = |store: &Store| {
        store.conversations().map(|it| it.owner.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(owners(&store), "a c", "b was used first");
    store.put(stored("d", 20, 101, begin + second));
    assert_eq!(owners(&store), "a c", "what never fits drives nothing out");
    assert_eq!(store.next_end(second), Some(begin + first + second));
    store.forget(begin + second);
    assert_eq!(owners(&store), "c");
}

#[test]
fn a_later_turn_replaces_an_earlier_one_of_its_owner_alone() {
    let now = Instant::now();
    let mut store = Store::new(100);
    for (owner, count) in [("a", 20), ("b", 20), ("a", 30), ("a", 25)] {
        store.put(stored(owner, count, 10, now));
    }
    let all = store.conversations().map(|it| (it.owner.clone(), it.read.len()));
    let all: Vec<_> = all.collect();
    assert_eq!(all, [("b".to_owned(), 20), ("a".to_owned(), 30), ("a".to_owned(), 25)]);
}

proptest! {
    /// Whatever is stored, the bytes stay within the bound.
    #[test]
    fn the_store_is_bounded(puts in prop::collection::vec((0..4_u8, 0..60_i32, 0..70_usize, 0..9_u64), 0..40)) {
        let begin = Instant::now();
        let mut store = Store::new(150);
        for (owner, count, bytes, at) in puts {
            store.put(stored(&owner.to_string(), count, bytes, begin + Duration::from_secs(at)));
            prop_assert!(store.all.iter().map(|it| it.state.len()).sum::<usize>() <= 150);
        }
    }

    /// No request continues another's conversation, and what is reused is the beginning of its prompt.
    #[test]
    fn what_is_reused_is_the_beginning_of_the_owners_own_prompt(
        all in prop::collection::vec((0..3_u8, prop::collection::vec(0..2_i32, 0..40)), 0..8),
        split in 0..8_usize,
        owner in 0..3_u8,
        prompt in prop::collection::vec(0..2_i32, 0..40),
    ) {
        let now = Instant::now();
        let all: Vec<_> = all.iter().map(|(owner, read)| conversation(&owner.to_string(), read, now)).collect();
        let (slots, stored) = all.split_at(split.min(all.len()));
        let owner = owner.to_string();
        let found = source(slots.iter().enumerate(), stored.iter(), Some(&owner), &tokens(&prompt));
        let (of, common) = match found {
            Source::Nothing => return Ok(()),
            Source::Slot(at, common) => (&slots[at], common),
            Source::Stored(at, common) => (&stored[at], common),
        };
        prop_assert_eq!(&of.owner, &owner);
        prop_assert!(common < prompt.len());
        prop_assert_eq!(&of.read.0[..common], &prompt[..common]);
    }
}
