//! Domains: which names a coordinator may set, checked before they reach a resolver or a file.
//!
//! A [`Domain`] is at least two labels of letters, digits and hyphens (RFC 1123, section 2.1), safe for `resolv.conf` and
//! terminals. Public suffixes are allowed: a coordinator that may name `example.org` can do as much harm as with `co.uk`. The
//! domain is shown when a device joins, and fixed from then on.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest label (RFC 1035, section 2.3.4).
const LABEL_MAX: usize = 63;
/// Longest domain: the coordinator's limit, which leaves room for a label below it.
const DOMAIN_MAX: usize = 200;
/// Longest full name, written with dots (RFC 1035, section 2.3.4).
const NAME_MAX: usize = 253;

/// Special top-level domains: this machine and nonexistent names (RFC 6761), the local link (RFC 6762), Tor (RFC 7686),
/// reverse zones (RFC 3172).
const ELSEWHERE: [&str; 5] = ["arpa", "invalid", "local", "localhost", "onion"];
/// The domain below `arpa` for home networks (RFC 8375).
const HOME_ARPA: &str = "home.arpa";
/// Names that programs look up in the search domain for their configuration (web proxies, IPv6 tunnels), and the name of this
/// machine.
const RESERVED: [&str; 3] = ["isatap", "localhost", "wpad"];

/// Whether `text` is a lower-case label (RFC 1123, section 2.1).
#[must_use]
pub fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_MAX).contains(&text.len())
        && text.bytes().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A valid domain: at least two labels, lower case, no dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// Why a text is not a [`Domain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Not labels, or too long.
    #[error(
        "a domain is labels of a-z, 0-9 and - with dots between, at most {DOMAIN_MAX} characters in all"
    )]
    Labels,
    /// A single label, which would be a whole top-level domain.
    #[error("a domain has at least two labels, like maru.home.arpa")]
    Single,
    /// It ends in digits, or in a special top-level domain.
    #[error("a domain does not end in a number, nor in arpa, invalid, local, localhost or onion")]
    Elsewhere,
}

impl Domain {
    /// The domain, as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The normalized full name of a host below this domain: lower case, no dot at the end. Reserved names (`wpad`) are refused.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<String> {
        let name = plain(name);
        let below = name.strip_suffix(self.as_str())?.strip_suffix('.')?;
        let labels = below.split('.').all(is_label);
        let reserved = below.split('.').next().is_some_and(|first| RESERVED.contains(&first));
        (labels && !reserved && name.len() <= NAME_MAX).then_some(name)
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let text = plain(text);
        if text.len() > DOMAIN_MAX || !text.split('.').all(is_label) {
            return Err(DomainError::Labels);
        }
        let Some((_, last)) = text.rsplit_once('.') else {
            return Err(DomainError::Single);
        };
        let is_home = text == HOME_ARPA || text.ends_with(".home.arpa");
        if !last.starts_with(|c: char| c.is_ascii_lowercase())
            || ELSEWHERE.contains(&last) && !is_home
        {
            return Err(DomainError::Elsewhere);
        }
        Ok(Self(text))
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;

    fn try_from(text: String) -> Result<Self, DomainError> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower case, without the dot that may end a full name.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
