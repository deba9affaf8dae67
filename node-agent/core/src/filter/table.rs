//! A bounded table of recent keys, whose room its owners share fairly.
//!
//! Each key is charged to an owner. An owner may have [`Limits::share`] keys; one more costs it its own that was unused
//! longest. If the whole table is full, that of the owner who has most goes: whoever has less loses nothing. Every step
//! takes constant time, however full the table is; nothing is allocated once it was as full as it gets. The hash is keyed
//! by a random number, so that nobody can choose keys that meet in one chain.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    time::{Duration, Instant},
};

use super::list::{Linked, Links, List, NONE};

/// Keys past their time that make room for one that comes; two, so that the table shrinks.
const EXPIRED_PER_INSERT: usize = 2;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In all; a power of two.
    pub(super) keys: usize,
    /// Of one owner.
    pub(super) share: usize,
    /// Unused for longer, a key may be forgotten.
    pub(super) idle: fn(owner: Owner) -> Duration,
}

/// Who is charged for a key.
pub(super) type Owner = u64;

#[derive(Debug)]
struct Entry<K> {
    key: K,
    last_used: Instant,
    account: u32,
    /// Expected to be used no more: the first of its owner's to be forgotten.
    is_over: bool,
    /// Among its owner's, the one that was unused longest first.
    by_age: Links,
    /// The next with the same place in the hash table; of a free entry: the next free one.
    next: u32,
}

#[derive(Debug)]
struct Account {
    owner: Owner,
    len: usize,
    entries: List,
    /// Among the accounts with as many keys.
    by_len: Links,
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

/// The table; see the module.
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

    /// Whether `key` is there and not past its time.
    pub(super) fn has(&self, key: &K, now: Instant) -> bool {
        self.find(key).is_some_and(|at| self.is_alive(at, now))
    }

    /// Notes that `key` is used, and charges it to `owner` from now on. Says whether it is there; past its time it is
    /// forgotten.
    pub(super) fn touch(&mut self, key: &K, owner: Owner, now: Instant) -> bool {
        let Some(at) = self.find(key) else { return false };
        if !self.is_alive(at, now) {
            self.forget(at);
            return false;
        }
        let account = self.entries[at as usize].account as usize;
        if self.accounts[account].owner != owner {
            let is_over = self.entries[at as usize].is_over;
            self.forget(at);
            self.insert(*key, owner, now);
            if is_over {
                self.end(key);
            }
            return true;
        }
        self.entries[at as usize].last_used = now;
        if !self.entries[at as usize].is_over {
            let list = &mut self.accounts[account].entries;
            list.remove(&mut self.entries, at);
            list.push_last(&mut self.entries, at);
        }
        true
    }

    /// Adds `key`, as if it had not been there. Another key may be forgotten for it.
    pub(super) fn insert(&mut self, key: K, owner: Owner, now: Instant) {
        self.remove(&key);
        for _ in 0..EXPIRED_PER_INSERT {
            match self.oldest_of(owner).filter(|at| !self.is_alive(*at, now)) {
                Some(at) => self.forget(at),
                None => break,
            }
        }
        if let Some(at) = self.next_to_go(owner) {
            self.forget(at);
        }
        let account = self.account(owner);
        let entry = Entry {
            key,
            last_used: now,
            account,
            is_over: false,
            by_age: Links::ALONE,
            next: NONE,
        };
        let at = self.place(entry);
        self.accounts[account as usize].entries.push_last(&mut self.entries, at);
        self.resize(account, true);
    }

    /// Whether another key of `owner` costs somebody one.
    pub(super) fn is_full_for(&self, owner: Owner) -> bool {
        self.next_to_go(owner).is_some()
    }

    /// When the key was last used that `owner` would lose by one more of its own; `None` if it would lose none.
    pub(super) fn would_lose(&self, owner: Owner) -> Option<Instant> {
        let entry = &self.entries[self.next_to_go(owner)? as usize];
        (self.accounts[entry.account as usize].owner == owner).then_some(entry.last_used)
    }

    /// Makes `key` the first that its owner loses.
    pub(super) fn end(&mut self, key: &K) {
        if let Some(at) = self.find(key) {
            self.entries[at as usize].is_over = true;
            let list = &mut self.accounts[self.entries[at as usize].account as usize].entries;
            list.remove(&mut self.entries, at);
            list.push_first(&mut self.entries, at);
        }
    }

    /// Forgets `key`.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some(at) = self.find(key) {
            self.forget(at);
        }
    }

    fn is_alive(&self, at: u32, now: Instant) -> bool {
        let entry = &self.entries[at as usize];
        let idle = (self.limits.idle)(self.accounts[entry.account as usize].owner);
        now.saturating_duration_since(entry.last_used) <= idle
    }

    fn oldest_of(&self, owner: Owner) -> Option<u32> {
        self.accounts[*self.by_owner.get(&owner)? as usize].entries.first()
    }

    /// What is forgotten when `owner` adds a key.
    fn next_to_go(&self, owner: Owner) -> Option<u32> {
        let own = self.by_owner.get(&owner).map(|at| &self.accounts[*at as usize]);
        let account = match own {
            Some(own) if own.len >= self.limits.share => own,
            Some(_) | None if self.len >= self.limits.keys => {
                &self.accounts[self.by_len[self.most].first()? as usize]
            }
            Some(_) | None => return None,
        };
        account.entries.first()
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

    /// Puts an entry where there is room, and into its chain.
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
        self.accounts[account as usize].entries.remove(&mut self.entries, at);
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
        let account = Account { owner, len: 0, entries: List::EMPTY, by_len: Links::ALONE };
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

    /// Notes that an account has one key more or less.
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
        // The account left the largest size for the one below, if it was alone there.
        if new > self.most || self.by_len[self.most].first().is_none() {
            self.most = new;
        }
    }
}

#[cfg(test)]
mod tests;
