//! A bounded LRU table whose owners share its room fairly.
//!
//! Each key is charged to an owner. An owner may have [`Limits::share`] keys; a further one evicts one of its own: the least
//! recently used of the earliest [`Stage`]. If the whole table is full, the owner with most keys loses one. Every operation
//! takes constant time and, once the table was full, allocates nothing. The hash is keyed at random against collisions.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    time::{Duration, Instant},
};

use super::list::{Linked, Links, List, NONE};

/// Expired keys that are removed for each insert; two, so that the table shrinks.
const EXPIRED_PER_INSERT: usize = 2;

/// Limits of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Keys in all; a power of two.
    pub(super) keys: usize,
    /// Keys of one owner.
    pub(super) share: usize,
    /// Idle timeout of a key.
    pub(super) idle: fn(owner: Owner, stage: Stage) -> Duration,
}

/// The stage of a key, in order of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Closed.
    Over,
    /// Unanswered.
    New,
    /// In use.
    Settled,
}

impl Stage {
    const COUNT: usize = 3;
}

/// The owner that a key is charged to.
pub(super) type Owner = u64;

#[derive(Debug)]
struct Entry<K> {
    key: K,
    last_used: Instant,
    account: u32,
    stage: Stage,
    /// In the owner's list of that stage, least recently used first.
    by_age: Links,
    /// The next entry of the hash chain, or the next free entry.
    next: u32,
}

#[derive(Debug)]
struct Account {
    owner: Owner,
    len: usize,
    /// By [`Stage`].
    entries: [List; Stage::COUNT],
    /// In the list of accounts with as many keys.
    by_len: Links,
    /// Until when an evicted key would have lived.
    forgot_until: Option<Instant>,
}

impl<K> Linked for Entry<K> {
    fn links(&mut self) -> &mut Links {
        &mut self.by_age
    }
}

impl Linked for Account {
    fn links(&mut self) -> &mut Links {
        &mut self.by_len
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct FairTable<K> {
    limits: Limits,
    hasher: RandomState,
    /// First entry of each chain; allocated with the first key.
    chains: Vec<u32>,
    entries: Vec<Entry<K>>,
    free: u32,
    len: usize,
    accounts: Vec<Account>,
    free_accounts: Vec<u32>,
    by_owner: HashMap<Owner, u32>,
    /// The accounts with so many keys, by that number.
    by_len: Vec<List>,
    /// How many keys the largest account has.
    most: usize,
}

impl<K: Copy + Eq + Hash> FairTable<K> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            chains: Vec::new(),
            entries: Vec::new(),
            free: NONE,
            len: 0,
            accounts: Vec::new(),
            free_accounts: Vec::new(),
            by_owner: HashMap::new(),
            by_len: vec![List::EMPTY],
            most: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether `key` is present and not expired.
    pub(super) fn has(&self, key: &K, now: Instant) -> bool {
        self.find(key).is_some_and(|at| self.is_alive(at, now))
    }

    /// Marks `key` as used, and charges it to `owner`. Returns whether it was present; an expired key is removed.
    pub(super) fn touch(&mut self, key: &K, owner: Owner, now: Instant) -> bool {
        self.use_key(key, owner, now, |stage| stage)
    }

    /// The same, and what was [`Stage::New`] is [`Stage::Settled`].
    pub(super) fn settle(&mut self, key: &K, owner: Owner, now: Instant) -> bool {
        let settled = |stage| if stage == Stage::New { Stage::Settled } else { stage };
        self.use_key(key, owner, now, settled)
    }

    /// The same, and it is [`Stage::Over`].
    pub(super) fn end(&mut self, key: &K, owner: Owner, now: Instant) -> bool {
        self.use_key(key, owner, now, |_| Stage::Over)
    }

    fn use_key(
        &mut self,
        key: &K,
        owner: Owner,
        now: Instant,
        next: impl Fn(Stage) -> Stage,
    ) -> bool {
        let Some(at) = self.find(key) else { return false };
        let Entry { account, stage, .. } = self.entries[at as usize];
        if !self.is_alive(at, now) {
            self.forget(at);
            return false;
        }
        if self.accounts[account as usize].owner != owner {
            self.forget(at);
            self.insert_at(next(stage), *key, owner, now);
            return true;
        }
        self.unlink(at);
        let entry = &mut self.entries[at as usize];
        (entry.last_used, entry.stage) = (now, next(stage));
        self.link(at);
        true
    }

    /// Inserts `key` anew at [`Stage::Settled`]; may evict another key.
    pub(super) fn insert(&mut self, key: K, owner: Owner, now: Instant) {
        self.insert_at(Stage::Settled, key, owner, now);
    }

    /// The same at [`Stage::New`].
    pub(super) fn begin(&mut self, key: K, owner: Owner, now: Instant) {
        self.insert_at(Stage::New, key, owner, now);
    }

    fn insert_at(&mut self, stage: Stage, key: K, owner: Owner, now: Instant) {
        self.remove(&key);
        for _ in 0..EXPIRED_PER_INSERT {
            let expired = self.oldest_of(owner).find(|at| !self.is_alive(*at, now));
            let Some(at) = expired else { break };
            self.forget(at);
        }
        if let Some(at) = self.next_to_go(owner) {
            self.note_forgotten(at);
            self.forget(at);
        }
        let account = self.account(owner);
        let entry = Entry { key, last_used: now, account, stage, by_age: Links::ALONE, next: NONE };
        let at = self.place(entry);
        self.link(at);
        self.resize(account, true);
    }

    /// When the key was last used that `owner` would evict of its own by an insert; `None` if it would evict none.
    pub(super) fn would_lose(&self, owner: Owner) -> Option<Instant> {
        let entry = &self.entries[self.next_to_go(owner)? as usize];
        (self.accounts[entry.account as usize].owner == owner).then_some(entry.last_used)
    }

    /// Whether an evicted key of `owner` would still live.
    pub(super) fn has_forgotten(&self, owner: Owner, now: Instant) -> bool {
        let until =
            self.by_owner.get(&owner).and_then(|at| self.accounts[*at as usize].forgot_until);
        until.is_some_and(|until| now <= until)
    }

    /// Removes `key`.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some(at) = self.find(key) {
            self.forget(at);
        }
    }

    fn is_alive(&self, at: u32, now: Instant) -> bool {
        let entry = &self.entries[at as usize];
        now.saturating_duration_since(entry.last_used) <= self.idle(entry)
    }

    fn idle(&self, entry: &Entry<K>) -> Duration {
        (self.limits.idle)(self.accounts[entry.account as usize].owner, entry.stage)
    }

    /// The least recently used key of each stage, which expires first.
    fn oldest_of(&self, owner: Owner) -> impl Iterator<Item = u32> {
        let account = self.by_owner.get(&owner).map(|at| &self.accounts[*at as usize]);
        let entries = account.map_or([List::EMPTY; Stage::COUNT], |account| account.entries);
        entries.into_iter().filter_map(|list| list.first())
    }

    /// Records an eviction in the owner's account.
    fn note_forgotten(&mut self, at: u32) {
        let entry = &self.entries[at as usize];
        let until = entry.last_used.checked_add(self.idle(entry));
        let account = &mut self.accounts[entry.account as usize];
        account.forgot_until = account.forgot_until.max(until);
    }

    fn link(&mut self, at: u32) {
        let Entry { account, stage, .. } = self.entries[at as usize];
        let list = &mut self.accounts[account as usize].entries[stage as usize];
        list.push_last(&mut self.entries, at);
    }

    fn unlink(&mut self, at: u32) {
        let Entry { account, stage, .. } = self.entries[at as usize];
        let list = &mut self.accounts[account as usize].entries[stage as usize];
        list.remove(&mut self.entries, at);
    }

    /// The key that an insert of `owner` evicts.
    fn next_to_go(&self, owner: Owner) -> Option<u32> {
        let own = self.by_owner.get(&owner).map(|at| &self.accounts[*at as usize]);
        let account = match own {
            Some(own) if own.len >= self.limits.share => own,
            Some(_) | None if self.len >= self.limits.keys => {
                &self.accounts[self.by_len[self.most].first()? as usize]
            }
            Some(_) | None => return None,
        };
        account.entries.iter().find_map(List::first)
    }

    fn chain(&self, key: &K) -> usize {
        (self.hasher.hash_one(key) as usize) & (self.limits.keys - 1)
    }

    fn find(&self, key: &K) -> Option<u32> {
        let mut at = *self.chains.get(self.chain(key))?;
        while at != NONE {
            let entry = &self.entries[at as usize];
            if entry.key == *key {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    /// Stores an entry, and links it into its chain.
    fn place(&mut self, mut entry: Entry<K>) -> u32 {
        if self.chains.is_empty() {
            self.chains = vec![NONE; self.limits.keys];
        }
        let chain = self.chain(&entry.key);
        entry.next = self.chains[chain];
        let at = if self.free == NONE {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let at = self.free;
            self.free = self.entries[at as usize].next;
            self.entries[at as usize] = entry;
            at
        };
        self.chains[chain] = at;
        self.len += 1;
        at
    }

    fn forget(&mut self, at: u32) {
        let Entry { key, account, next, .. } = self.entries[at as usize];
        let chain = self.chain(&key);
        if self.chains[chain] == at {
            self.chains[chain] = next;
        } else {
            let mut before = self.chains[chain];
            while self.entries[before as usize].next != at {
                before = self.entries[before as usize].next;
            }
            self.entries[before as usize].next = next;
        }
        self.unlink(at);
        self.resize(account, false);
        self.entries[at as usize].next = self.free;
        self.free = at;
        self.len -= 1;
    }

    /// The account of `owner`; a new one is in no list yet.
    fn account(&mut self, owner: Owner) -> u32 {
        if let Some(account) = self.by_owner.get(&owner) {
            return *account;
        }
        let account = Account {
            owner,
            len: 0,
            entries: [List::EMPTY; Stage::COUNT],
            by_len: Links::ALONE,
            forgot_until: None,
        };
        let at = match self.free_accounts.pop() {
            Some(at) => {
                self.accounts[at as usize] = account;
                at
            }
            None => {
                self.accounts.push(account);
                self.accounts.len() as u32 - 1
            }
        };
        self.by_owner.insert(owner, at);
        at
    }

    /// Adjusts an account's number of keys by one.
    fn resize(&mut self, at: u32, more: bool) {
        let old = self.accounts[at as usize].len;
        let new = if more { old + 1 } else { old - 1 };
        if old > 0 {
            self.by_len[old].remove(&mut self.accounts, at);
        }
        self.accounts[at as usize].len = new;
        if new > 0 {
            if self.by_len.len() <= new {
                self.by_len.resize(new + 1, List::EMPTY);
            }
            self.by_len[new].push_last(&mut self.accounts, at);
        } else {
            self.by_owner.remove(&self.accounts[at as usize].owner);
            self.free_accounts.push(at);
        }
        // The account may have been the only one with most keys.
        if new > self.most || self.by_len[self.most].first().is_none() {
            self.most = new;
        }
    }
}

#[cfg(test)]
mod tests;
