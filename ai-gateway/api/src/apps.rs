//! Apps: programs of the home machine that use the gateway with a key, and the admin's calls about them.
//!
//! The admin's calls go over the gateway's socket for the superuser; an app sends its key as `Authorization: Bearer KEY`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use utoipa::ToSchema;

use crate::wire::Fixed;

/// Longest name, in characters.
pub const NAME_MAX: usize = 32;
/// Prefix of every key, by which people and scanners for leaked secrets recognise it.
const PREFIX: &str = "maru-app-";
/// Length of a key: the prefix, and 32 bytes as base64url without padding.
const KEY_LEN: usize = PREFIX.len() + 43;

/// The name of an app: small letters, digits and hyphens, between letters or digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
pub struct AppName(String);

/// The text is not a valid name of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an app's name has 1 to {NAME_MAX} of a-z, 0-9 and hyphens, with a letter or digit at both ends, such as open-webui"
)]
pub struct InvalidAppName;

impl AppName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = InvalidAppName;

    fn from_str(text: &str) -> Result<Self, InvalidAppName> {
        let is_own = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (1..=NAME_MAX).contains(&text.len())
            && text.bytes().all(is_own)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidAppName) }
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AppName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// An app's key. `Debug` prints `[redacted]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct AppKey(String);

impl AppKey {
    /// Makes a key of random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", Fixed(random)))
    }

    /// Parses a key; `None` if the text is malformed. It does not check whether an app has this key.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let may_be = text.len() == KEY_LEN && text.starts_with(PREFIX);
        may_be.then(|| Self(text.to_owned()))
    }

    /// Returns the text, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A request for a new app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddApp {
    /// Its name.
    pub name: String,
}

/// An app, without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// When it was added (RFC 3339, UTC).
    pub created: String,
    /// The day on which its key was last used, as `2026-11-22` in UTC.
    pub last_used: Option<String>,
}

/// A new app with its key, which is shown only once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedApp {
    /// The app.
    #[serde(flatten)]
    pub app: App,
    /// Its key.
    pub key: AppKey,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_plain() {
        for good in ["a", "7", "open-webui", "home-assistant-2", &"a".repeat(NAME_MAX)] {
            assert_eq!(good.parse::<AppName>().unwrap().as_str(), good);
        }
        for wrong in
            ["", "-a", "a-", "Open", "a b", "a/b", "..", "a:b", "집", &"a".repeat(NAME_MAX + 1)]
        {
            assert_eq!(wrong.parse::<AppName>(), Err(InvalidAppName), "{wrong}");
            let json = serde_json::to_string(wrong).unwrap();
            assert!(serde_json::from_str::<AppName>(&json).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_recognised_and_never_printed() {
        let key = AppKey::new([7; 32]);
        assert!(key.reveal().starts_with("maru-app-") && key.reveal().len() == KEY_LEN);
        assert_eq!(AppKey::read(key.reveal()), Some(key.clone()));
        let (name, created) = ("webui".parse().unwrap(), "2026-11-22T00:00:00Z".to_owned());
        let added = AddedApp { app: App { name, created, last_used: None }, key: key.clone() };
        assert!(!format!("{added:?}").contains(key.reveal()), "{added:?}");
        let json = serde_json::to_string(&added).unwrap();
        assert_eq!(serde_json::from_str::<AddedApp>(&json).unwrap(), added);
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_readers(text in "\\PC{0,60}|maru-app-\\PC{0,60}") {
            if let Ok(name) = text.parse::<AppName>() {
                prop_assert_eq!(name.to_string(), text.clone());
            }
            if let Some(key) = AppKey::read(&text) {
                prop_assert_eq!(key.reveal(), text);
            }
        }
    }
}
