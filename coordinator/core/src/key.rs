//! Pre-auth keys, with which devices register without interaction.
//!
//! A key is shown once; its SHA-256 is stored. It has 192 random bits, so a slow hash is not needed.

pub use coordinator_api::{AUTH_KEY_PREFIX as PREFIX, AUTH_KEY_RANDOM_LEN as RANDOM_LEN};
use coordinator_api::{KeyState, Secret};
use sha2::{Digest, Sha256};

use crate::{model::Owner, time::Millis};

/// Longest text that is hashed as a key.
const TEXT_MAX: usize = 256;

/// The SHA-256 of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// The text of a key.
#[must_use]
pub fn format(random: &[u8; RANDOM_LEN]) -> Secret {
    Secret::new(format!("{PREFIX}{}", hex::encode(random)))
}

/// Hashes the text of a key; `None` if it is not a key.
#[must_use]
pub fn hash(text: &str) -> Option<KeyHash> {
    let text = text.trim();
    (text.len() <= TEXT_MAX && text.starts_with(PREFIX))
        .then(|| KeyHash(Sha256::digest(text).into()))
}

/// The record of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreAuthKey {
    /// Its number.
    pub id: u64,
    /// The owner of its devices.
    pub owner: Owner,
    /// Whether more than one registration may use it.
    pub reusable: bool,
    /// Whether its devices are removed soon after they disconnect.
    pub ephemeral: bool,
    /// Whether its devices need no approval.
    pub pre_approved: bool,
    /// When it was created.
    pub created: Millis,
    /// When it expires.
    pub expires: Millis,
    /// How many registrations used it.
    pub uses: u64,
}

impl PreAuthKey {
    /// Whether it can be used at `now`.
    #[must_use]
    pub fn state(&self, now: Millis) -> KeyState {
        if self.uses > 0 && !self.reusable {
            KeyState::Used
        } else if self.expires <= now {
            KeyState::Expired
        } else {
            KeyState::Valid
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_by_its_hash_and_nothing_else_is() {
        let key = format(&[7; RANDOM_LEN]);

        assert!(key.reveal().starts_with("marukey-0707"));
        assert!(!key.reveal().contains('.'), "the parts of an invitation are separated by dots");
        assert_eq!(hash(key.reveal()), hash(&format!(" {}\n", key.reveal())));
        assert_ne!(hash(key.reveal()), hash(format(&[8; RANDOM_LEN]).reveal()));
        assert_eq!(hash("tskey-auth-1"), None);
        assert_eq!(hash(&format!("{PREFIX}{}", "0".repeat(300))), None);
    }

    #[test]
    fn a_key_ends_by_use_or_by_time() {
        let key = PreAuthKey {
            id: 1,
            owner: Owner::User(1),
            reusable: false,
            ephemeral: false,
            pre_approved: true,
            created: 0,
            expires: 100,
            uses: 0,
        };

        assert_eq!(key.state(99), KeyState::Valid);
        assert_eq!(key.state(100), KeyState::Expired);
        assert_eq!(PreAuthKey { uses: 1, ..key.clone() }.state(99), KeyState::Used);
        assert_eq!(PreAuthKey { uses: 9, reusable: true, ..key }.state(99), KeyState::Valid);
    }
}
