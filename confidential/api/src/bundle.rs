//! The gateway's keys, which the gateway signs.

use common::wire::{Bytes, Version};
use serde::{Deserialize, Serialize};

use crate::{certificate::Use, signed::Document};

/// Maximum number of keys.
pub const KEYS_MAX: usize = 16;

/// The public keys of a gateway. Signed by its bundle key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Always 1.
    pub version: Version,
    /// Increases with each change.
    pub epoch: u64,
    /// Current and future keys, each ID once.
    pub keys: Vec<BundleKey>,
}

/// One key of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleKey {
    /// Its ID in requests.
    pub key_id: u8,
    /// Its key configuration (RFC 9458, section 3.1), which begins with the ID.
    pub config: Bytes,
    /// Accepted from, in milliseconds since 1970.
    pub active_from: u64,
    /// Accepted before, in milliseconds since 1970.
    pub active_until: u64,
}

impl Bundle {
    /// The key to use at `now_ms`, milliseconds since 1970: the active key with the latest beginning.
    #[must_use]
    pub fn active(&self, now_ms: u64) -> Option<&BundleKey> {
        let active = |key: &&BundleKey| (key.active_from..key.active_until).contains(&now_ms);
        self.keys.iter().filter(active).max_by_key(|key| key.active_from)
    }
}

impl Document for Bundle {
    const KIND: &'static str = "bundle";
    const SIGNED_BY: Option<Use> = Some(Use::Bundle);

    fn check(&self) -> Result<(), &'static str> {
        if self.keys.is_empty() || self.keys.len() > KEYS_MAX {
            return Err("it must have 1 to 16 keys");
        }
        for (at, key) in self.keys.iter().enumerate() {
            if key.config.0.first() != Some(&key.key_id) {
                return Err("a key's ID differs from that in its configuration");
            }
            if key.active_from >= key.active_until {
                return Err("a key ends before it begins");
            }
            if self.keys.iter().take(at).any(|other| other.key_id == key.key_id) {
                return Err("two keys have the same ID");
            }
        }
        Ok(())
    }

    fn epoch(&self) -> Option<u64> {
        Some(self.epoch)
    }
}
