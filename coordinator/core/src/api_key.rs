//! API keys: who may administer over HTTPS, and what.
//!
//! As with pre-auth keys the key is shown once, and its SHA-256 stored: 256 random bits in it leave nothing to guess.

pub use coordinator_api::{API_KEY_PREFIX as PREFIX, API_KEY_RANDOM_LEN as RANDOM_LEN};
use coordinator_api::{Access, Secret};
use sha2::{Digest, Sha256};

use crate::time::Millis;

/// Most keys of a network.
pub const KEYS_MAX: usize = 256;

/// Length of a key as text.
const TEXT_LEN: usize = PREFIX.len() + 2 * RANDOM_LEN;

/// What is stored instead of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyHash(pub [u8; 32]);

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its number.
    pub id: u64,
    /// What it is called; no two are called the same.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// When it was created.
    pub created: Millis,
    /// From when on it cannot be used.
    pub expires: Millis,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessDenied {
    /// It shows no key that counts; which of the reasons it is, nobody is told.
    Key,
    /// The key may read alone.
    ReadOnly,
}

/// Writes a key.
#[must_use]
pub fn format(random: &[u8; RANDOM_LEN]) -> Secret {
    Secret::new(format!("{PREFIX}{}", hex::encode(random)))
}

/// Hashes a key as it was written.
#[must_use]
pub fn hash(text: &str) -> ApiKeyHash {
    ApiKeyHash(Sha256::digest(text).into())
}

/// Hashes the key of an `Authorization` header (RFC 6750, section 2.1). What holds no key has a hash that no key has, so
/// that it takes as long to refuse as a wrong one.
#[must_use]
pub fn presented(header: Option<&[u8]>) -> ApiKeyHash {
    let token = header.and_then(bearer).filter(|token| token.len() == TEXT_LEN);
    ApiKeyHash(Sha256::digest(token.unwrap_or(&[0; TEXT_LEN])).into())
}

/// Decides whether a key may do what is asked, which changes something or does not.
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
    /// Whether it cannot be used any more at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires <= now
    }
}

/// What stands behind the scheme, which may be written in any case (RFC 9110, section 11.1).
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
