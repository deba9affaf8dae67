//! The protocol's X25519 keys.
//!
//! Each kind has a type of its own and a text form: a prefix and 64 hex digits (`types/key` in the Go client). All
//! private keys share the prefix `privkey:`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Length of every key, in bytes.
pub const KEY_LEN: usize = 32;

const PRIVATE_PREFIX: &str = "privkey:";

/// A text that is not a key of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text starts with another prefix.
    #[error("key does not start with `{expected}`")]
    Prefix {
        /// What it should start with.
        expected: &'static str,
    },
    /// What follows the prefix is not 64 hex digits.
    #[error("key is not 64 hex digits")]
    Digits,
}

fn parse(text: &str, prefix: &'static str) -> Result<[u8; KEY_LEN], KeyError> {
    let digits = text.strip_prefix(prefix).ok_or(KeyError::Prefix { expected: prefix })?;
    let mut bytes = [0; KEY_LEN];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeyError::Digits)?;
    Ok(bytes)
}

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; KEY_LEN]);

        impl $name {
            /// What the text form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A key from its bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
                Self(bytes)
            }

            /// The key's bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
                &self.0
            }

            /// Whether this is the zero key, which stands for "none" on the wire.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                self.0 == [0; KEY_LEN]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(Self::PREFIX)?;
                self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                parse(text, Self::PREFIX).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

macro_rules! private_key {
    ($(#[$doc:meta])* $name:ident, $public:ident) => {
        $(#[$doc])*
        ///
        /// The bytes are wiped on drop and printed by nothing but [`Self::to_text`] and serde.
        #[derive(Clone)]
        pub struct $name([u8; KEY_LEN]);

        impl $name {
            /// Generates a key.
            ///
            /// # Errors
            ///
            /// Fails if the system has no randomness.
            pub fn generate() -> Result<Self, getrandom::Error> {
                let mut bytes = Zeroizing::new([0; KEY_LEN]);
                getrandom::fill(&mut *bytes)?;
                Ok(Self::from_bytes(*bytes))
            }

            /// A key from its bytes, clamped for X25519 (RFC 7748, section 5).
            #[must_use]
            pub fn from_bytes(mut bytes: [u8; KEY_LEN]) -> Self {
                bytes[0] &= 248;
                bytes[31] = (bytes[31] & 127) | 64;
                let key = Self(bytes);
                bytes.zeroize();
                key
            }

            /// The secret bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
                &self.0
            }

            /// The public key.
            #[must_use]
            pub fn public(&self) -> $public {
                $public(x25519_dalek::x25519(self.0, x25519_dalek::X25519_BASEPOINT_BYTES))
            }

            /// The secret as text, for storage.
            #[must_use]
            pub fn to_text(&self) -> Zeroizing<String> {
                let digits = Zeroizing::new(hex::encode(self.0));
                Zeroizing::new([PRIVATE_PREFIX, digits.as_str()].concat())
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                parse(text, PRIVATE_PREFIX).map(Self::from_bytes)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_text())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Zeroizing::new(String::deserialize(deserializer)?);
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

public_key! {
    /// Identifies a machine to the coordinator, proved by the Noise handshake. Also the coordinator's own key.
    MachinePublic, "mkey:"
}
public_key! {
    /// Identifies a node to its peers: its WireGuard key, and its address at the relay.
    NodePublic, "nodekey:"
}
public_key! {
    /// Encrypts path discovery between peers.
    DiscoPublic, "discokey:"
}

private_key! {
    /// A machine's (or the coordinator's) key for the Noise handshake.
    MachinePrivate, MachinePublic
}
private_key! {
    /// A node's WireGuard key.
    NodePrivate, NodePublic
}
private_key! {
    /// Decrypts path discovery messages.
    DiscoPrivate, DiscoPublic
}

#[cfg(test)]
mod tests;
