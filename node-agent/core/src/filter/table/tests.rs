#![allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]

use proptest::prelude::*;

use super::*;

const KEYS: usize = 16;
const SHARE: usize = 6;
const IDLE: Duration = Duration::from_secs(20);
/// Of a new key.
const SHORT: Duration = Duration::from_secs(5);

fn idle(stage: Stage) -> Duration {
    if stage == Stage::New { SHORT } else { IDLE }
}

fn table() -> FairTable<u16> {
    FairTable::new(Limits { keys: KEYS, share: SHARE, idle: |_, stage| idle(stage) })
}

#[derive(Clone, Copy, Debug)]
struct ModelEntry {
    key: u16,
    owner: Owner,
    stage: Stage,
    used: Instant,
}

/// The same, slowly: all keys in one list, the one that was unused longest in front.
#[derive(Default)]
struct Model(Vec<ModelEntry>);

impl Model {
    fn find(&self, key: u16) -> Option<usize> {
        self.0.iter().position(|known| known.key == key)
    }

    fn is_alive(&self, key: u16, now: Instant) -> bool {
        let alive = |known: &ModelEntry| now - known.used <= idle(known.stage);
        self.find(key).is_some_and(|at| alive(&self.0[at]))
    }

    fn count(&self, owner: Owner) -> usize {
        self.0.iter().filter(|known| known.owner == owner).count()
    }

    /// Of the owner's keys that are so: the one at the earliest stage, of several the one that was unused longest.
    fn first(&self, owner: Owner, is_so: impl Fn(&ModelEntry) -> bool) -> Option<usize> {
        let own = |at: &usize| self.0[*at].owner == owner && is_so(&self.0[*at]);
        (0..self.0.len()).filter(own).min_by_key(|at| self.0[*at].stage as usize)
    }

    fn remove(&mut self, key: u16) {
        self.0.retain(|known| known.key != key);
    }

    /// Adds a key; checks that what the table forgot for it was one of the largest owner's.
    fn insert(&mut self, new: ModelEntry, table: &FairTable<u16>) {
        self.remove(new.key);
        for _ in 0..EXPIRED_PER_INSERT {
            let is_expired = |known: &ModelEntry| new.used - known.used > idle(known.stage);
            match self.first(new.owner, is_expired) {
                Some(at) => drop(self.0.remove(at)),
                None => break,
            }
        }
        if self.count(new.owner) >= SHARE {
            self.0.remove(self.first(new.owner, |_| true).unwrap());
        } else if self.0.len() >= KEYS {
            let most = self.0.iter().map(|known| self.count(known.owner)).max().unwrap();
            let gone: Vec<usize> =
                (0..self.0.len()).filter(|at| table.find(&self.0[*at].key).is_none()).collect();
            assert_eq!(gone.len(), 1, "one goes");
            let loser = self.0[gone[0]].owner;
            assert_eq!(self.count(loser), most, "who has less loses nothing");
            assert_eq!(self.first(loser, |_| true), Some(gone[0]), "the first to go");
            self.0.remove(gone[0]);
        }
        self.0.push(new);
    }

    /// Uses a key that is there and not past its time.
    fn use_key(
        &mut self,
        stage: Stage,
        key: u16,
        owner: Owner,
        used: Instant,
        table: &FairTable<u16>,
    ) {
        let Some(at) = self.find(key) else { return };
        let is_alive = self.is_alive(key, used);
        let known = self.0.remove(at);
        let new = ModelEntry { key, owner, stage, used };
        match (is_alive, known.owner == owner) {
            (true, true) => self.0.push(new),
            (true, false) => self.insert(new, table),
            (false, _) => {}
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u16, Owner),
    Begin(u16, Owner),
    Touch(u16, Owner),
    Settle(u16, Owner),
    End(u16, Owner),
    Remove(u16),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let whose = || (0..40_u16, 0..5_u64);
    prop_oneof![
        6 => whose().prop_map(|(key, owner)| Step::Insert(key, owner)),
        4 => whose().prop_map(|(key, owner)| Step::Begin(key, owner)),
        4 => whose().prop_map(|(key, owner)| Step::Touch(key, owner)),
        2 => whose().prop_map(|(key, owner)| Step::Settle(key, owner)),
        2 => whose().prop_map(|(key, owner)| Step::End(key, owner)),
        1 => (0..40_u16).prop_map(Step::Remove),
        1 => (1..30_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever is done to it, the table remembers what a list that is searched from end to end does.
    #[test]
    fn remembers_what_a_plain_list_does(steps in prop::collection::vec(step(), 0..200)) {
        let mut now = Instant::now();
        let (mut table, mut plain) = (table(), Model::default());
        for step in steps {
            match step {
                Step::Insert(key, owner) => {
                    table.insert(key, owner, now);
                    plain.insert(ModelEntry { key, owner, stage: Stage::Settled, used: now }, &table);
                }
                Step::Begin(key, owner) => {
                    table.begin(key, owner, now);
                    plain.insert(ModelEntry { key, owner, stage: Stage::New, used: now }, &table);
                }
                Step::Touch(key, owner) | Step::Settle(key, owner) | Step::End(key, owner) => {
                    let before = plain.find(key).map_or(Stage::New, |at| plain.0[at].stage);
                    let (there, stage) = if matches!(step, Step::Touch(..)) {
                        (table.touch(&key, owner, now), before)
                    } else if matches!(step, Step::End(..)) {
                        (table.end(&key, owner, now), Stage::Over)
                    } else {
                        let settled = if before == Stage::New { Stage::Settled } else { before };
                        (table.settle(&key, owner, now), settled)
                    };
                    prop_assert_eq!(there, plain.is_alive(key, now));
                    plain.use_key(stage, key, owner, now, &table);
                }
                Step::Remove(key) => {
                    table.remove(&key);
                    plain.remove(key);
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
            }
            prop_assert_eq!(table.len(), plain.0.len());
            for key in 0..40 {
                prop_assert_eq!(table.find(&key).is_some(), plain.find(key).is_some());
                prop_assert_eq!(table.has(&key, now), plain.is_alive(key, now));
            }
            prop_assert!(table.entries.len() <= KEYS, "room is used again");
            prop_assert!(table.accounts.len() <= KEYS + 1, "accounts too");
        }
    }
}

#[test]
fn what_is_forgotten_before_its_time_is_noted_until_then() {
    let start = Instant::now();
    let mut table = table();
    for key in 0..SHARE as u16 {
        table.insert(key, 1, start);
    }
    assert!(!table.has_forgotten(1, start));
    let later = start + SHORT;
    table.insert(100, 1, later);
    assert!(table.has_forgotten(1, start + IDLE));
    assert!(!table.has_forgotten(1, start + IDLE + SHORT), "it would be forgotten anyway");
    assert!(!table.has_forgotten(2, later), "another's");
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
