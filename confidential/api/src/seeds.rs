//! `OHTTP_SEEDS_JSON`: the seeds that gateway and auth derive their keys from (option A).
//!
//! An array, or an object with `OHTTP_KEYS` or `ohttp_seeds`, of `{key_id, seed_hex, active_from, active_until}`. There is no
//! default seed. No error quotes a seed.

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

/// What a key is derived from. `Debug` shows no seed.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    /// Names the key in requests.
    pub key_id: u8,
    /// What it is derived from.
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

/// Seeds cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedsError {
    /// Not JSON of one of the three shapes.
    #[error("no list of seeds at line {line}, column {column}: {reason}")]
    Shape {
        /// Where, counted from 1.
        line: usize,
        /// Likewise.
        column: usize,
        /// What is expected.
        reason: &'static str,
    },
    /// There are none, or too many.
    #[error("there must be 1 to {KEYS_MAX} seeds")]
    Number,
    /// Two have one id.
    #[error("two seeds have the key id {0}")]
    Twice(u8),
    /// It ends before it begins.
    #[error("the seed of key {0} ends before it begins")]
    Period(u8),
}

const SHAPE: &str =
    "write [{\"key_id\", \"seed_hex\" of at least 32 bytes, \"active_from\", \"active_until\"}, …]";

/// Reads seeds, in their order.
///
/// # Errors
///
/// [`SeedsError`]; none of them quotes what was read.
pub fn parse(json: &str) -> Result<Vec<Seed>, SeedsError> {
    if json.len() > TEXT_MAX {
        return Err(SeedsError::Number);
    }
    // Chosen by its first character, so that an error names the place.
    let read = if json.trim_start().starts_with('{') {
        serde_json::from_str::<Object>(json).map(|object| object.keys)
    } else {
        serde_json::from_str::<Vec<Entry>>(json)
    };
    let entries = read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        SeedsError::Shape { line, column, reason: SHAPE }
    })?;
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

/// A number, or text: hexadecimal with `0x` in front or one of a to f in it, else decimal.
struct KeyId(u8);

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u8),
            Text(String),
        }
        let text = match Written::deserialize(from)? {
            Written::Number(id) => return Ok(Self(id)),
            Written::Text(text) => text.trim().to_ascii_lowercase(),
        };
        let hex = text.strip_prefix("0x");
        let radix =
            if hex.is_some() || text.contains(|c: char| c.is_ascii_lowercase()) { 16 } else { 10 };
        let digits = hex.unwrap_or(&text);
        // `from_str_radix` would take a sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(D::Error::custom("no key id"));
        }
        u8::from_str_radix(digits, radix).map(Self).map_err(|_| D::Error::custom("no key id"))
    }
}

struct SeedHex(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for SeedHex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let seed = hex::decode(text.trim()).map(Zeroizing::new);
        let seed = seed.map_err(|_| D::Error::custom("a seed is not hexadecimal"))?;
        if !(SEED_MIN..=SEED_MAX).contains(&seed.len()) {
            return Err(D::Error::custom("a seed has 32 to 1,024 bytes"));
        }
        Ok(Self(seed))
    }
}
