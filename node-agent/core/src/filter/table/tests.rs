#![allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]

use proptest::prelude::*;

use super::*;

const KEYS: usize = 16;
const SHARE: usize = 6;
const IDLE: Duration = Duration::from_secs(20);

fn table() -> FairTable<u16> {
    FairTable::new(Limits { keys: KEYS, share: SHARE, idle: |_| IDLE })
}

/// The same, slowly: all keys in one list, the one that goes first in front.
#[derive(Default)]
struct Plain(Vec<(u16, Owner, Instant)>);

impl Plain {
    fn count(&self, owner: Owner) -> usize {
        self.0.iter().filter(|entry| entry.1 == owner).count()
    }

    fn oldest(&self, owner: Owner) -> Option<usize> {
        self.0.iter().position(|entry| entry.1 == owner)
    }

    fn remove(&mut self, key: u16) -> bool {
        let before = self.0.len();
        self.0.retain(|entry| entry.0 != key);
        self.0.len() < before
    }

    /// Adds a key; checks that what the table forgot for it was one of the largest owner's.
    fn insert(&mut self, key: u16, owner: Owner, now: Instant, table: &FairTable<u16>) {
        self.remove(key);
        for _ in 0..EXPIRED_PER_INSERT {
            match self.oldest(owner).filter(|at| now - self.0[*at].2 > IDLE) {
                Some(at) => drop(self.0.remove(at)),
                None => break,
            }
        }
        if self.count(owner) >= SHARE {
            self.0.remove(self.oldest(owner).unwrap());
        } else if self.0.len() >= KEYS {
            let most = self.0.iter().map(|entry| self.count(entry.1)).max().unwrap();
            let gone: Vec<usize> =
                (0..self.0.len()).filter(|at| table.find(&self.0[*at].0).is_none()).collect();
            assert_eq!(gone.len(), 1, "one goes");
            let loser = self.0[gone[0]].1;
            assert_eq!(self.count(loser), most, "who has less loses nothing");
            assert_eq!(self.oldest(loser), Some(gone[0]), "the one that was unused longest");
            self.0.remove(gone[0]);
        }
        self.0.push((key, owner, now));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u16, Owner),
    Touch(u16, Owner),
    Remove(u16),
    End(u16),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (key, owner) = (0..40_u16, 0..5_u64);
    prop_oneof![
        8 => (key.clone(), owner.clone()).prop_map(|(key, owner)| Step::Insert(key, owner)),
        4 => (key.clone(), owner).prop_map(|(key, owner)| Step::Touch(key, owner)),
        1 => key.clone().prop_map(Step::Remove),
        1 => key.prop_map(Step::End),
        1 => (1..30_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever is done to it, the table remembers what a list that is searched from end to end does.
    #[test]
    fn remembers_what_a_plain_list_does(steps in prop::collection::vec(step(), 0..200)) {
        let mut now = Instant::now();
        let (mut table, mut plain) = (table(), Plain::default());
        // What came to its end goes before everything else, the last such first, and is not moved by use.
        let mut over: Vec<u16> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(key, owner) => {
                    table.insert(key, owner, now);
                    over.retain(|other| *other != key);
                    plain.insert(key, owner, now, &table);
                }
                Step::Touch(key, owner) => {
                    let at = plain.0.iter().position(|entry| entry.0 == key);
                    let alive = at.is_some_and(|at| now - plain.0[at].2 <= IDLE);
                    prop_assert_eq!(table.touch(&key, owner, now), alive);
                    match at {
                        Some(at) if alive && plain.0[at].1 == owner && over.contains(&key) => plain.0[at].2 = now,
                        Some(_) if alive => {
                            let is_moved = plain.0.iter().any(|entry| entry.0 == key && entry.1 != owner);
                            if is_moved {
                                plain.insert(key, owner, now, &table);
                            } else {
                                plain.remove(key);
                                plain.0.push((key, owner, now));
                            }
                            if over.contains(&key) {
                                let entry = plain.0.pop().unwrap();
                                plain.0.insert(0, entry);
                            }
                        }
                        Some(_) | None => drop(plain.remove(key)),
                    }
                }
                Step::Remove(key) => {
                    table.remove(&key);
                    plain.remove(key);
                }
                Step::End(key) => {
                    table.end(&key);
                    if let Some(at) = plain.0.iter().position(|entry| entry.0 == key) {
                        let entry = plain.0.remove(at);
                        plain.0.insert(0, entry);
                        over.push(key);
                    }
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
            }
            over.retain(|key| plain.0.iter().any(|entry| entry.0 == *key));
            prop_assert_eq!(table.len(), plain.0.len());
            for key in 0..40 {
                let at = plain.0.iter().position(|entry| entry.0 == key);
                prop_assert_eq!(table.find(&key).is_some(), at.is_some());
                prop_assert_eq!(table.has(&key, now), at.is_some_and(|at| now - plain.0[at].2 <= IDLE));
            }
            prop_assert!(table.entries.len() <= KEYS, "room is used again");
            prop_assert!(table.accounts.len() <= KEYS + 1, "accounts too");
        }
    }
}

#[test]
fn what_an_owner_would_lose_is_told() {
    let start = Instant::now();
    let mut table = table();
    let at = |seconds| start + Duration::from_secs(seconds);
    for key in 0..SHARE as u16 {
        assert_eq!(table.would_lose(1), None);
        table.insert(key, 1, at(key.into()));
    }
    assert_eq!(table.would_lose(1), Some(at(0)), "its share is full");
    assert_eq!(table.would_lose(2), None);
    for (number, owner) in
        [(0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (7, 3), (8, 3), (9, 3)]
    {
        table.insert(100 + number, owner, at(9));
    }
    assert_eq!(table.len(), KEYS);
    assert_eq!(table.would_lose(2), None, "the table is full, but another has more");
    assert_eq!(table.would_lose(1), Some(at(0)));
}
