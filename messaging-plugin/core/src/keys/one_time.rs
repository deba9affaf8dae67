//! One-time and fallback keys (specification, client-server API, "One-time and fallback keys").

use ruma::CanonicalJsonValue;

use crate::{Error, json};

/// Most one-time keys that a device stores. Clients upload 50 to 100.
pub const STORED_MAX: usize = 500;

/// Longest id with its algorithm, in bytes.
const ID_MAX: usize = 255;

/// Largest key, in bytes of JSON.
const KEY_MAX: usize = 4_096;

/// A one-time or fallback key: public, for one conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeKey {
    /// Such as `signed_curve25519`.
    pub algorithm: String,
    /// The part of the id after the algorithm.
    pub id: String,
    /// The key as canonical JSON, by which two are compared: an object, or text for unsigned keys.
    pub json: String,
}

impl OneTimeKey {
    /// Reads a key that a device uploads as `ALGORITHM:ID`.
    ///
    /// # Errors
    ///
    /// [`Error::BadJson`] if it is not an object of canonical JSON or text; [`Error::TooLarge`] if it or its id is too
    /// long; [`Error::InvalidParam`] if the id has no algorithm.
    pub fn parse(key_id: &str, bytes: &[u8]) -> Result<Self, Error> {
        if key_id.len() > ID_MAX {
            return Err(Error::TooLarge { what: "the id of a key", max: "255 bytes" });
        }
        if bytes.len() > KEY_MAX {
            return Err(Error::TooLarge { what: "the key", max: "4,096 bytes" });
        }
        let parts = key_id.split_once(':').filter(|(of, id)| !of.is_empty() && !id.is_empty());
        let (algorithm, id) =
            parts.ok_or_else(|| Error::InvalidParam("a key is named ALGORITHM:ID".to_owned()))?;
        let value = match serde_json::from_slice::<String>(bytes) {
            Ok(text) => CanonicalJsonValue::String(text),
            Err(_) => CanonicalJsonValue::Object(json::content(bytes)?),
        };
        Ok(Self { algorithm: algorithm.to_owned(), id: id.to_owned(), json: value.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::OneTimeKey;
    use crate::Error;

    #[test]
    fn a_key_has_an_algorithm_and_an_id() {
        let key = OneTimeKey::parse("signed_curve25519:AAAAHg", br#"{ "key": "a", "b": 1 }"#);
        let key = key.unwrap();
        assert_eq!((&*key.algorithm, &*key.id), ("signed_curve25519", "AAAAHg"));
        assert_eq!(key.json, r#"{"b":1,"key":"a"}"#, "canonical, so that it can be compared");
        assert_eq!(OneTimeKey::parse("curve25519:A", br#""key""#).unwrap().json, r#""key""#);
        for id in ["", "a", ":a", "a:"] {
            assert!(matches!(OneTimeKey::parse(id, b"{}"), Err(Error::InvalidParam(_))), "{id}");
        }
        for bad in ["", "1", "[]", "null", "{\"a\":1.5}"] {
            let refused = OneTimeKey::parse("a:b", bad.as_bytes());
            assert!(matches!(refused, Err(Error::BadJson(_))), "{bad}");
        }
    }

    #[test]
    fn keys_are_small() {
        let large = format!("{{\"key\":\"{}\"}}", "x".repeat(4_096));
        for (id, json) in [("a:b", &*large), (&*format!("a:{}", "b".repeat(254)), "{}")] {
            let refused = OneTimeKey::parse(id, json.as_bytes());
            assert!(matches!(refused, Err(Error::TooLarge { .. })));
        }
    }
}
