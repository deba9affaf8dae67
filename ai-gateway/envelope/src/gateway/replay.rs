//! The replay cache: refuses a request that was opened before.

use std::collections::{HashMap, HashSet, VecDeque};

use ai_gateway_api::sealed::{Ed25519Public, KeyId, Request};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    refusal::{OpenError, Reason},
    settings::Limits,
};
use crate::{ID_LIFE, SKEW, ms};

/// First half of a SHA-256. Whoever finds a collision only gets their own request refused.
type DigestPrefix = [u8; 16];

/// An entry of the replay cache.
#[derive(Debug)]
pub struct Entry {
    marks: [DigestPrefix; 2],
    device: Ed25519Public,
    pub(super) key_id: KeyId,
    pub(super) timestamp: u64,
    pub(super) request_id: Uuid,
}

/// Stores digests of encapsulated keys and request ids.
#[derive(Debug)]
pub(super) struct ReplayCache {
    limits: Limits,
    marks: HashSet<DigestPrefix>,
    devices: HashMap<Ed25519Public, usize>,
    /// In the order in which they expire.
    entries: VecDeque<(u64, Entry)>,
}

impl ReplayCache {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, marks: HashSet::new(), devices: HashMap::new(), entries: VecDeque::new() }
    }

    /// Makes an entry if the request is new and there is room for it.
    pub(super) fn check(&self, request: &Request) -> Result<Entry, OpenError> {
        let device = request.device_pubkey;
        let marks = [
            mark(&[b"key", &request.encapsulated_key.0]),
            mark(&[b"id", &device.0, request.request_id.as_bytes()]),
        ];
        let Request { key_id, timestamp, request_id, .. } = *request;
        let entry = Entry { marks, device, key_id, timestamp, request_id };
        self.admit(&entry)?;
        Ok(entry)
    }

    fn admit(&self, entry: &Entry) -> Result<(), OpenError> {
        if entry.marks.iter().any(|mark| self.marks.contains(mark)) {
            return Err(Reason::Replayed.into());
        }
        let of_device = self.devices.get(&entry.device).copied().unwrap_or_default();
        if self.entries.len() >= self.limits.total || of_device >= self.limits.per_device {
            return Err(OpenError::CacheFull);
        }
        Ok(())
    }

    /// Adds an entry of [`Self::check`], if that would still accept it.
    pub(super) fn insert(&mut self, entry: Entry, now: u64) -> Result<(), OpenError> {
        self.admit(&entry)?;
        let due = now.saturating_add(ms(ID_LIFE) + 2 * ms(SKEW));
        // If the clock was set back a little, an entry must not expire before the one in front of it.
        let due = self.entries.back().map_or(due, |(last, _)| due.max(*last));
        self.marks.extend(entry.marks);
        *self.devices.entry(entry.device).or_default() += 1;
        self.entries.push_back((due, entry));
        Ok(())
    }

    /// Removes entries whose requests are too old to be replayed.
    pub(super) fn forget(&mut self, now: u64) {
        while let Some((_, entry)) = self.entries.pop_front_if(|(due, _)| *due < now) {
            for mark in entry.marks {
                self.marks.remove(&mark);
            }
            if let Some(count) = self.devices.get_mut(&entry.device) {
                *count -= 1;
                if *count == 0 {
                    self.devices.remove(&entry.device);
                }
            }
        }
    }
}

#[cfg(test)]
impl ReplayCache {
    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.marks.len(), 2 * self.entries.len());
        assert_eq!(self.devices.values().sum::<usize>(), self.entries.len());
        self.entries.len()
    }
}

fn mark(parts: &[&[u8]]) -> DigestPrefix {
    let digest = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize();
    let mut mark = [0; 16];
    mark.copy_from_slice(&digest[..16]);
    mark
}
