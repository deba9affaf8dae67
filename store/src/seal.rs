//! Encrypts values before they are stored.
//!
//! ```text
//! version (1) | nonce (24 bytes, random) | ciphertext, as long as the value | tag (16 bytes)
//! ```
//!
//! The cipher is XChaCha20-Poly1305, whose nonces are long enough to be random: after 2^64 values under one key the
//! probability of a repeated nonce is below 2^-64. The associated data contains version, table, column and row, so a value
//! that was moved elsewhere does not open. Replacing a value by an older one of the same cell is not detected.
//!
//! The length of the value is visible; callers pad if it is sensitive. Files are sealed in chunks: see [`chunk`].

pub mod chunk;

use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    error::Unspecified,
};
use chacha20::{cipher::consts::U10, hchacha};
use zeroize::Zeroizing;

/// The first byte of a sealed value.
const VERSION: u8 = 1;
/// Bytes of a nonce.
const NONCE: usize = 24;
/// Bytes of a tag.
const TAG: usize = 16;
/// Length that sealing adds, in bytes.
pub const OVERHEAD: usize = 1 + NONCE + TAG;

/// The place of a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// A unique key of the row that never changes.
    pub row: &'a [u8],
}

/// A value cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The system has no random bytes.
    #[error("the system has no random bytes")]
    Random(#[source] getrandom::Error),
    /// It is longer than 256 GiB, the cipher's limit.
    #[error("the value is too long to be sealed")]
    Long,
}

/// A stored value does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A newer version sealed it.
    #[error("a stored value was sealed in the unknown version {0}; it needs a newer Maru")]
    Version(u8),
    /// It was modified, truncated, moved, or sealed with another key.
    #[error("a stored value is damaged, moved, or sealed with another key")]
    Refused,
}

/// The key; it is erased from memory when it is dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key([redacted])")
    }
}

impl Key {
    /// Keep the bytes apart from the database and its backups.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The key and the nonce of ChaCha20-Poly1305 that follow from a nonce (draft-irtf-cfrg-xchacha-03, section 2.3).
    fn of_nonce(&self, nonce: &[u8; NONCE]) -> Result<(LessSafeKey, Nonce), Unspecified> {
        let (first, last) = nonce.split_at(16);
        let subkey =
            Zeroizing::new(<[u8; 32]>::from(hchacha::<U10>((&*self.0).into(), first.into())));
        let mut short = [0; 12];
        short[4..].copy_from_slice(last);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*subkey)?;
        Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key(short)))
    }

    /// Seals a value for one cell.
    pub fn seal(&self, cell: Cell<'_>, value: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(SealError::Random)?;
        let mut sealed = Vec::with_capacity(value.len().saturating_add(OVERHEAD));
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let text = &mut sealed[1 + NONCE..];
        let tag = self.of_nonce(&nonce).and_then(|(key, nonce)| {
            key.seal_in_place_separate_tag(nonce, Aad::from(associated(cell)), text)
        });
        sealed.extend_from_slice(tag.map_err(|_| SealError::Long)?.as_ref());
        Ok(sealed)
    }

    /// Opens a value that was sealed for this cell.
    pub fn open(&self, cell: Cell<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut value = Zeroizing::default();
        self.open_into(cell, sealed, &mut value)?;
        Ok(value)
    }

    /// The same, in the memory of a value that was opened before. After an error there is nothing in it to be read.
    pub fn open_into(
        &self,
        cell: Cell<'_>,
        sealed: &[u8],
        value: &mut Zeroizing<Vec<u8>>,
    ) -> Result<(), OpenError> {
        value.clear();
        let (&version, rest) = sealed.split_first().ok_or(OpenError::Refused)?;
        if version != VERSION {
            return Err(OpenError::Version(version));
        }
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(OpenError::Refused)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(OpenError::Refused)?;
        value.resize(text.len(), 0);
        let opened = self.of_nonce(nonce).and_then(|(key, nonce)| {
            key.open_separate_gather(nonce, Aad::from(associated(cell)), text, tag, value)
        });
        opened.map_err(|_| {
            value.clear();
            OpenError::Refused
        })
    }
}

/// Associated data: the version, then each part with its length, so that it is unique for each cell.
fn associated(cell: Cell<'_>) -> Vec<u8> {
    const LABEL: &[u8] = b"maru sealed value ";
    let parts = [cell.table.as_bytes(), cell.column.as_bytes(), cell.row];
    let length = parts.iter().map(|part| size_of::<u64>() + part.len()).sum::<usize>();
    let mut data = Vec::with_capacity(LABEL.len() + 1 + length);
    data.extend_from_slice(LABEL);
    data.push(VERSION);
    for part in parts {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

#[cfg(test)]
mod tests;
