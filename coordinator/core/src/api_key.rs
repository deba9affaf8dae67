//! API keys, which authorize requests to the admin API over HTTPS.
//!
//! A key is shown once; its SHA-256 is stored. It has 256 random bits, so a slow hash is not needed.

pub use coordinator_api::{API_KEY_PREFIX as PREFIX, API_KEY_RANDOM_LEN as RANDOM_LEN};
use coordinator_api::{Access, Secret};
use sha2::{Digest, Sha256};

use crate::time::Millis;

/// Limit of keys in a network.
pub const KEYS_MAX: usize = 256;

/// Length of a key as text.
const TEXT_LEN: usize = PREFIX.len() + 2 * RANDOM_LEN;

/// The SHA-256 of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyHash(pub [u8; 32]);

/// The record of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its number.
    pub id: u64,
    /// Its unique name.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// When it was created.
    pub created: Millis,
    /// When it expires.
    pub expires: Millis,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessDenied {
    /// The key is missing, unknown or expired; the answer does not say which.
    Key,
    /// The key is read-only.
    ReadOnly,
}

/// The text of a key.
#[must_use]
pub fn format(random: &[u8; RANDOM_LEN]) -> Secret {
    Secret::new(format!("{PREFIX}{}", hex::encode(random)))
}

/// Hashes the text of a key.
#[must_use]
pub fn hash(text: &str) -> ApiKeyHash {
    ApiKeyHash(Sha256::digest(text).into())
}

/// Hashes the key of an `Authorization` header (RFC 6750, section 2.1). A header without a key gets a hash that no key has,
/// so that refusing it takes the same time.
#[must_use]
pub fn presented(header: Option<&[u8]>) -> ApiKeyHash {
    let token = header.and_then(bearer).filter(|token| token.len() == TEXT_LEN);
    ApiKeyHash(Sha256::digest(token.unwrap_or(&[0; TEXT_LEN])).into())
}

/// Decides whether a key permits a request.
///
/// # Errors
///
/// See [`AccessDenied`].
pub fn admit(key: Option<&ApiKey>, changes: bool, now: Millis) -> Result<&ApiKey, AccessDenied> {
    let key = key.filter(|key| !key.is_expired(now)).ok_or(AccessDenied::Key)?;
    match key.access {
        Access::Read if changes => Err(AccessDenied::ReadOnly),
        Access::Read | Access::Admin => Ok(key),
    }
}

impl ApiKey {
    /// Whether it has expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires <= now
    }
}

/// The token after the scheme, which is case-insensitive (RFC 9110, section 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = header.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(access: Access) -> ApiKey {
        ApiKey { id: 1, name: "ci".to_owned(), access, created: 0, expires: 100 }
    }

    #[test]
    fn a_key_is_recognised_in_its_header_and_nowhere_else() {
        let text = format(&[7; RANDOM_LEN]);
        let text = text.reveal();
        assert!(text.starts_with("maru-api-0707") && text.len() == TEXT_LEN);
        for header in [format!("Bearer {text}"), format!("bearer  {text} ")] {
            assert_eq!(presented(Some(header.as_bytes())), hash(text), "{header}");
        }
        let nothing = presented(None);
        for header in [
            text.to_owned(),
            format!("Basic {text}"),
            format!("Bearer{text}"),
            format!("Bearer {text}0"),
            format!("Bearer {}", &text[1..]),
            "Bearer ".to_owned(),
            String::new(),
        ] {
            assert_eq!(presented(Some(header.as_bytes())), nothing, "{header}");
        }
    }

    #[test]
    fn a_key_does_what_it_may_and_until_its_time_is_over() {
        let (read, admin) = (key(Access::Read), key(Access::Admin));

        assert_eq!(admit(Some(&read), false, 99), Ok(&read));
        assert_eq!(admit(Some(&read), true, 99), Err(AccessDenied::ReadOnly));
        assert_eq!(admit(Some(&admin), true, 99), Ok(&admin));
        for changes in [false, true] {
            assert_eq!(admit(Some(&admin), changes, 100), Err(AccessDenied::Key));
            assert_eq!(admit(Some(&read), changes, 100), Err(AccessDenied::Key));
            assert_eq!(admit(None, changes, 0), Err(AccessDenied::Key));
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_and_none_is_a_key_by_chance(
            header in prop::collection::vec(any::<u8>(), 0..200),
            random in any::<[u8; RANDOM_LEN]>(),
        ) {
            let text = format(&random);
            prop_assert_ne!(presented(Some(&header)), hash(text.reveal()));
            let header = [b"Bearer ".as_slice(), text.reveal().as_bytes()].concat();
            prop_assert_eq!(presented(Some(&header)), hash(text.reveal()));
        }
    }
}
