//! `OHTTP_SEEDS_JSON`: the seeds from which gateway and auth derive keys (option A).
//!
//! An array of `{key_id, seed_hex, active_from, active_until}`, or an object with it in `OHTTP_KEYS` or `ohttp_seeds`. No error
//! contains a seed.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error as _};
use zeroize::Zeroizing;

use crate::{bundle::KEYS_MAX, text::rfc3339};

/// Shortest seed, in bytes.
pub const SEED_MIN: usize = 32;
/// Longest seed, in bytes.
pub const SEED_MAX: usize = 1024;
/// Longest text, in bytes.
pub const TEXT_MAX: usize = 64 << 10;

/// The seed of a key, which `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    /// The ID of the key.
    pub key_id: u8,
    /// The seed.
    pub seed: Zeroizing<Vec<u8>>,
    /// Accepted from, in milliseconds since 1970.
    pub active_from: u64,
    /// Accepted before, in milliseconds since 1970.
    pub active_until: u64,
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The seeds cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedsError {
    /// Not JSON of one of the three shapes; with line and column from 1.
    #[error("invalid seeds at line {0}, column {1}: {SHAPE}")]
    Shape(usize, usize),
    /// There are no seeds, or too many.
    #[error("there must be 1 to {KEYS_MAX} seeds")]
    Number,
    /// Two seeds have the same ID.
    #[error("two seeds have the key ID {0}")]
    Twice(u8),
    /// A seed ends before it begins.
    #[error("the seed of key {0} ends before it begins")]
    Period(u8),
}

const SHAPE: &str =
    "write [{\"key_id\", \"seed_hex\" of at least 32 bytes, \"active_from\", \"active_until\"}, …]";

/// Reads seeds.
///
/// # Errors
///
/// [`SeedsError`].
pub fn parse(json: &str) -> Result<Vec<Seed>, SeedsError> {
    if json.len() > TEXT_MAX {
        return Err(SeedsError::Number);
    }
    // Chosen by the first character, so that errors have a position.
    let read = if json.trim_start().starts_with('{') {
        serde_json::from_str::<Object>(json).map(|object| object.keys)
    } else {
        serde_json::from_str::<Vec<Entry>>(json)
    };
    let entries = read.map_err(|error| SeedsError::Shape(error.line(), error.column()))?;
    if entries.is_empty() || entries.len() > KEYS_MAX {
        return Err(SeedsError::Number);
    }
    let mut seeds: Vec<Seed> = Vec::with_capacity(entries.len());
    for Entry { key_id: KeyId(key_id), seed_hex: SeedHex(seed), active_from, active_until } in
        entries
    {
        if seeds.iter().any(|known| known.key_id == key_id) {
            return Err(SeedsError::Twice(key_id));
        }
        if active_from >= active_until {
            return Err(SeedsError::Period(key_id));
        }
        seeds.push(Seed { key_id, seed, active_from, active_until });
    }
    Ok(seeds)
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "OHTTP_KEYS", alias = "ohttp_seeds")]
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    key_id: KeyId,
    seed_hex: SeedHex,
    #[serde(deserialize_with = "rfc3339::deserialize")]
    active_from: u64,
    #[serde(deserialize_with = "rfc3339::deserialize")]
    active_until: u64,
}

/// A number, or text: hexadecimal with `0x` or a digit from a to f, else decimal.
struct KeyId(u8);

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum RawKeyId {
            Number(u8),
            Text(String),
        }
        let text = match RawKeyId::deserialize(from)? {
            RawKeyId::Number(id) => return Ok(Self(id)),
            RawKeyId::Text(text) => text.trim().to_ascii_lowercase(),
        };
        let hex = text.strip_prefix("0x");
        let radix =
            if hex.is_some() || text.contains(|c: char| c.is_ascii_lowercase()) { 16 } else { 10 };
        let digits = hex.unwrap_or(&text);
        // `from_str_radix` would accept a sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(D::Error::custom("not a key ID"));
        }
        u8::from_str_radix(digits, radix).map(Self).map_err(|_| D::Error::custom("not a key ID"))
    }
}

struct SeedHex(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for SeedHex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let seed = hex::decode(text.trim()).map(Zeroizing::new);
        let seed = seed.map_err(|_| D::Error::custom("a seed must be hexadecimal"))?;
        if !(SEED_MIN..=SEED_MAX).contains(&seed.len()) {
            return Err(D::Error::custom("a seed must have 32 to 1,024 bytes"));
        }
        Ok(Self(seed))
    }
}
