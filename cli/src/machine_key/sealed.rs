//! The machine's key under a passphrase: Argon2id (RFC 9106), then XChaCha20-Poly1305.

use anyhow::{Context as _, anyhow, bail, ensure};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{AeadInPlace as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use common::wire::Fixed;
use messages::message;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::MachineKey;

/// The second recommended option of RFC 9106, section 4: 64 MiB, three passes, four lanes.
const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3, lanes: 4 };
/// The most that a stored file may ask for: a damaged one must not take the machine's memory.
const MOST: Cost = Cost { memory_kib: 1 << 20, passes: 64, lanes: 64 };
/// Associated data: what is sealed.
const LABEL: &[u8] = b"maru machine key 1";

/// What a try costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

/// The sealed key, with all that opens it but the passphrase.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SealedKey {
    #[serde(flatten)]
    cost: Cost,
    salt: Fixed<16>,
    nonce: Fixed<24>,
    sealed: Fixed<32>,
    tag: Fixed<16>,
}

impl SealedKey {
    /// Seals the key.
    pub(super) fn new(key: &MachineKey, passphrase: &str) -> anyhow::Result<Self> {
        Self::with(COST, key, passphrase)
    }

    pub(super) fn with(cost: Cost, key: &MachineKey, passphrase: &str) -> anyhow::Result<Self> {
        let (mut salt, mut nonce, mut sealed) = ([0; 16], [0; 24], *key.0);
        getrandom::fill(&mut salt)
            .and_then(|()| getrandom::fill(&mut nonce))
            .map_err(|error| anyhow!(message!("no-random-bytes", error)))?;
        let cipher = cipher(cost, &salt, passphrase)?;
        let tag = cipher.encrypt_in_place_detached(XNonce::from_slice(&nonce), LABEL, &mut sealed);
        let tag = tag.ok().context("32 bytes are never too long")?;
        Ok(Self {
            cost,
            salt: Fixed(salt),
            nonce: Fixed(nonce),
            sealed: Fixed(sealed),
            tag: Fixed(tag.into()),
        })
    }

    /// Opens the key.
    ///
    /// # Errors
    ///
    /// The passphrase is wrong, or the file is damaged.
    pub(super) fn open(&self, passphrase: &str) -> anyhow::Result<MachineKey> {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let is_bounded =
            memory_kib <= MOST.memory_kib && passes <= MOST.passes && lanes <= MOST.lanes;
        ensure!(is_bounded, message!("machine-key-damaged"));
        let cipher = cipher(self.cost, &self.salt.0, passphrase)?;
        let mut key = Zeroizing::new(self.sealed.0);
        let (nonce, tag) = (XNonce::from_slice(&self.nonce.0), Tag::from_slice(&self.tag.0));
        if cipher.decrypt_in_place_detached(nonce, LABEL, &mut *key, tag).is_err() {
            bail!(message!("passphrase-wrong"));
        }
        Ok(MachineKey(key))
    }
}

fn cipher(cost: Cost, salt: &[u8], passphrase: &str) -> anyhow::Result<XChaCha20Poly1305> {
    let mut derived = Zeroizing::new([0; 32]);
    let Cost { memory_kib, passes, lanes } = cost;
    let done = Params::new(memory_kib, passes, lanes, Some(derived.len())).and_then(|params| {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
            passphrase.as_bytes(),
            salt,
            &mut *derived,
        )
    });
    // The error is none of the standard library's.
    done.map_err(|error| anyhow!(error.to_string())).context(message!("machine-key-damaged"))?;
    Ok(XChaCha20Poly1305::new((&*derived).into()))
}
