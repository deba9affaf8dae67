//! The gateway's keys (option C): made in memory, published before they are active, accepted until they expire.
//!
//! ```text
//! key 7   ├ published ┼──────────── accepted ────────────┤
//! key 8               .        ├ published ┼──────────── accepted ─────…
//!                     .        .           ├─ both ─┤
//! ```

use std::sync::Arc;

use common::wire::{Bytes, Version};
use confidential_api::{
    bundle::{Bundle, BundleKey},
    settings::gateway::Keys,
};
use confidential_envelope::ohttp::GatewayKey;

/// A key is accepted so long before it is active, in milliseconds, because of clock skew.
pub(crate) const EARLY_MS: u64 = 60_000;

/// The times of key rotation, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    active: u64,
    overlap: u64,
    ahead: u64,
}

impl Plan {
    /// The plan of these settings; the error says what to correct.
    pub(crate) fn new(settings: &Keys) -> Result<Self, &'static str> {
        let Keys { active_s, overlap_s, ahead_s, .. } = *settings;
        if active_s == 0 || active_s > 365 * 86_400 {
            return Err("`keys.active_s` must be from 1 to 31536000");
        }
        if overlap_s.saturating_add(ahead_s) >= active_s {
            return Err(
                "the sum of `keys.overlap_s` and `keys.ahead_s` must be less than `keys.active_s`",
            );
        }
        Ok(Self { active: active_s * 1000, overlap: overlap_s * 1000, ahead: ahead_s * 1000 })
    }
}

/// A key with its active time, in milliseconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct ScheduledKey {
    pub(crate) key: Arc<GatewayKey>,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl ScheduledKey {
    fn id(&self) -> u8 {
        self.key.config().key_id()
    }

    /// The published form.
    pub(crate) fn published(&self) -> BundleKey {
        BundleKey {
            key_id: self.id(),
            config: Bytes(self.key.config().encode()),
            active_from: self.from,
            active_until: self.until,
        }
    }
}

/// The keys that are accepted at `now`, in milliseconds since 1970.
pub(crate) fn accepted(keys: &[ScheduledKey], now: u64) -> Vec<Arc<GatewayKey>> {
    let accepted =
        |key: &&ScheduledKey| (key.from.saturating_sub(EARLY_MS)..key.until).contains(&now);
    keys.iter().filter(accepted).map(|key| Arc::clone(&key.key)).collect()
}

/// The keys, oldest first. The caller makes the keys and reads the clock.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    plan: Plan,
    keys: Vec<ScheduledKey>,
}

/// The active time of a key that should be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DueKey {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Ring {
    pub(crate) const fn new(plan: Plan) -> Self {
        Self { plan, keys: Vec::new() }
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &[ScheduledKey] {
        &self.keys
    }

    /// Removes expired keys; returns whether there were any.
    pub(crate) fn forget(&mut self, now: u64) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| now < key.until);
        self.keys.len() != before
    }

    /// The key that should be made at `now`, if any.
    pub(crate) fn due(&self, now: u64) -> Option<DueKey> {
        let from = match self.keys.last() {
            None => now,
            Some(last) => {
                let from = last.until - self.plan.overlap;
                if now < from.saturating_sub(self.plan.ahead) {
                    return None;
                }
                // After the machine slept, the key is active at once.
                from.max(now)
            }
        };
        Some(DueKey { from, until: from + self.plan.active })
    }

    /// The next ID after `last` that is not in use.
    pub(crate) fn next_id(&self, last: u8) -> u8 {
        let mut id = last.wrapping_add(1);
        while self.keys.iter().any(|key| key.id() == id) {
            id = id.wrapping_add(1);
        }
        id
    }

    /// Adds the key that was due.
    pub(crate) fn add(&mut self, key: GatewayKey, due: DueKey) {
        self.keys.push(ScheduledKey { key: Arc::new(key), from: due.from, until: due.until });
    }

    /// The published bundle.
    pub(crate) fn bundle(&self, epoch: u64) -> Bundle {
        let keys = self.keys.iter().map(ScheduledKey::published).collect();
        Bundle { version: Version, epoch, keys }
    }
}

#[cfg(test)]
mod tests {
    use confidential_envelope::{Aead, Kem, PrivateKey};
    use proptest::prelude::*;

    use super::*;

    fn key(id: u8) -> GatewayKey {
        let private = PrivateKey::generate(Kem::X25519).unwrap();
        GatewayKey::new(id, private, vec![Aead::Aes128Gcm]).unwrap()
    }

    fn step(ring: &mut Ring, now: u64, last: &mut u8) -> bool {
        let mut changed = ring.forget(now);
        while let Some(due) = ring.due(now) {
            *last = ring.next_id(*last);
            ring.add(key(*last), due);
            changed = true;
        }
        changed
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whenever it is looked at, a client that took the bundle of the look before, and the newest key that is active,
        /// is understood; and a key was published so long before it was active as the plan says.
        #[test]
        fn whoever_follows_the_bundle_is_understood(
            (active, share, ahead_share) in (10..100_000_u64, 1..100_u64, 0..100_u64),
            steps in prop::collection::vec(1..50_u64, 1..60),
        ) {
            let overlap = active * share / 300;
            let ahead = (active * ahead_share / 300).max(1);
            let settings = Keys { active_s: active, overlap_s: overlap, ahead_s: ahead, ..Keys::default() };
            let plan = Plan::new(&settings).unwrap();
            let mut ring = Ring::new(plan);
            let (mut now, mut last) = (1_795_000_000_000, 250);
            step(&mut ring, now, &mut last);
            let mut known = ring.bundle(1);

            for part in steps {
                // Looked at more often than a key is published ahead.
                now += (ahead * 1000 / part).clamp(1, ahead * 1000);
                step(&mut ring, now, &mut last);

                let used = known.active(now).expect("one is active at any time");
                let accepted = accepted(ring.keys(), now);
                prop_assert!(accepted.iter().any(|key| key.config().encode() == used.config.0));
                prop_assert!(ring.keys().len() <= 3);
                known = ring.bundle(1);
                prop_assert!(confidential_api::signed::Document::check(&known).is_ok());
            }
        }
    }

    #[test]
    fn a_key_is_accepted_from_a_minute_before_it_is_active_until_it_ends() {
        let timed = ScheduledKey { key: Arc::new(key(1)), from: 1_000_000, until: 2_000_000 };
        let keys = [timed];
        for (now, taken) in [
            (0, false),
            (1_000_000 - EARLY_MS - 1, false),
            (1_000_000 - EARLY_MS, true),
            (1_999_999, true),
            (2_000_000, false),
        ] {
            assert_eq!(accepted(&keys, now).len(), usize::from(taken), "{now}");
        }
    }

    #[test]
    fn after_a_long_sleep_there_is_a_key_at_once() {
        let mut ring = Ring::new(Plan::new(&Keys::default()).unwrap());
        let (now, mut last) = (1_795_000_000_000, 7);
        assert!(step(&mut ring, now, &mut last));
        assert!(!step(&mut ring, now + 1000, &mut last));

        let later = now + 10 * 86_400_000;
        assert!(step(&mut ring, later, &mut last));

        assert_eq!(accepted(ring.keys(), later).len(), 1);
        assert_eq!(ring.keys()[0].id(), 9);
    }

    #[test]
    fn a_plan_that_leaves_gaps_is_refused() {
        let keys =
            |active_s, overlap_s, ahead_s| Keys { active_s, overlap_s, ahead_s, ..Keys::default() };
        assert!(Plan::new(&keys(10, 5, 4)).is_ok());
        for wrong in [keys(0, 0, 0), keys(10, 5, 5), keys(10, u64::MAX, 1), keys(u64::MAX, 1, 1)] {
            assert!(Plan::new(&wrong).is_err());
        }
    }
}
