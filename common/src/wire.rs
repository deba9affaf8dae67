//! Versions and binary values in Maru's own JSON formats.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _,
};

/// The version of formats whose [`Version`] has no other.
pub const VERSION: u32 = 1;

/// Why bytes cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// An unsupported version.
    #[error("version {found} is not supported; this program supports version {known}")]
    Version {
        /// The version in the bytes.
        found: u64,
        /// The supported version.
        known: u32,
    },
    /// Invalid JSON, or another type.
    #[error("not the expected JSON")]
    Json(#[source] serde_json::Error),
}

/// Decodes a versioned format.
///
/// # Errors
///
/// [`DecodeError::Version`] if the bytes have another version, also if they are otherwise invalid; else
/// [`DecodeError::Json`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_version(bytes, VERSION)
}

/// Decodes a format whose version is `known`.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_version<T: DeserializeOwned>(bytes: &[u8], known: u32) -> Result<T, DecodeError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    serde_json::from_slice(bytes).map_err(|error| match serde_json::from_slice(bytes) {
        Ok(Versioned { version }) if version != u64::from(known) => {
            DecodeError::Version { found: version, known }
        }
        Ok(_) | Err(_) => DecodeError::Json(error),
    })
}

/// The field `version` of a format: always `KNOWN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version<const KNOWN: u32 = VERSION>;

impl<const KNOWN: u32> Serialize for Version<KNOWN> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(KNOWN)
    }
}

impl<'de, const KNOWN: u32> Deserialize<'de> for Version<KNOWN> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u64::deserialize(from)? {
            version if version == u64::from(KNOWN) => Ok(Self),
            _ => Err(D::Error::custom("unknown version")),
        }
    }
}

/// Bytes as base64url without padding. `Debug` shows their number only.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        URL_SAFE_NO_PAD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(|_| D::Error::custom("not base64url without padding"))
    }
}

/// `N` bytes as base64url without padding. For public values: `Debug` and `Display` show them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fixed<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Display for Fixed<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Fixed<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not base64url of that many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {0} bytes as base64url without padding")]
pub struct NotFixed(usize);

impl<const N: usize> std::str::FromStr for Fixed<N> {
    type Err = NotFixed;

    fn from_str(text: &str) -> Result<Self, NotFixed> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotFixed(N))?;
        bytes.try_into().map(Self).map_err(|_| NotFixed(N))
    }
}

impl<const N: usize> Serialize for Fixed<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
