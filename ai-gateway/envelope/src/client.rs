//! The client: verifies the gateway's keys, seals a request, opens the reply.

use ai_gateway_api::{
    sealed::{Ed25519Public, KeyDocument, Request},
    wire::{Bytes, Fixed, Version},
};
use confidential_envelope::random::SystemRandom;
use ed25519_dalek::{Signer, SigningKey};
use hpke::rand_core::CryptoRng;
use uuid::Uuid;

use crate::{
    KeyConfig, SKEW, Suite, TooLong, document, ms,
    padding::{self, pad},
    transcript::{aad, info, signed_request},
};

mod reply;

pub use reply::{Reply, ReplyError};

/// Why a key document must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not signed by the pinned identity.
    #[error("the keys are not signed by this network's gateway")]
    Identity,
    /// Older than one seen before.
    #[error("the keys are older (epoch {offered}) than keys seen before (epoch {seen})")]
    Rollback {
        /// The document's epoch.
        offered: u64,
        /// The highest one seen before.
        seen: u64,
    },
}

/// This device's clock and the gateway's differ by more than [`SKEW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    /// How far this device's clock is ahead, in milliseconds; negative if it is behind.
    pub ahead_ms: i64,
}

/// The gateway's keys, verified.
#[derive(Clone, Debug)]
pub struct Keys {
    epoch: u64,
    server_time: u64,
    keys: Vec<(KeyConfig, u64, u64)>,
}

impl Keys {
    /// Verifies a document against the pinned identity and the highest epoch seen of it (0 if none).
    ///
    /// Keys with an unknown suite or a wrong id are ignored.
    ///
    /// # Errors
    ///
    /// See [`DocumentError`].
    pub fn verify(
        document: &KeyDocument,
        pinned: Ed25519Public,
        seen: u64,
    ) -> Result<Self, DocumentError> {
        if !document::verify(document, pinned) {
            return Err(DocumentError::Identity);
        }
        if document.epoch < seen {
            return Err(DocumentError::Rollback { offered: document.epoch, seen });
        }
        let keys = document.current.iter().chain(&document.next).filter_map(|key| {
            KeyConfig::from_published(key)
                .ok()
                .map(|config| (config, key.not_before, key.not_after))
        });
        Ok(Self { epoch: document.epoch, server_time: document.server_time, keys: keys.collect() })
    }

    /// The document's epoch; the caller stores the highest.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Compares this device's clock with the gateway's; `sent` and `received` are this device's times before and after
    /// the request.
    ///
    /// # Errors
    ///
    /// [`ClockSkew`]; do not seal anything.
    pub fn check_clock(&self, sent: u64, received: u64) -> Result<(), ClockSkew> {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let skew = |own_time: u64| ClockSkew {
            ahead_ms: signed(own_time).saturating_sub(signed(self.server_time)),
        };
        if self.server_time < sent.saturating_sub(ms(SKEW)) {
            return Err(skew(sent));
        }
        if self.server_time > received.saturating_add(ms(SKEW)) {
            return Err(skew(received));
        }
        Ok(())
    }

    /// The newest key of the suite that is valid at `now`, or at the gateway's time if that is later: the keys of a
    /// gateway that just started are not valid yet by a slower clock.
    #[must_use]
    pub fn select(&self, suite: Suite, now: u64) -> Option<&KeyConfig> {
        let now = now.max(self.server_time);
        self.keys
            .iter()
            .filter(|(config, not_before, not_after)| {
                config.suite() == suite && *not_before <= now && now < *not_after
            })
            .max_by_key(|(_, not_before, _)| *not_before)
            .map(|(config, ..)| config)
    }
}

/// Why a request was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The plaintext is too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Encapsulation to the gateway's key failed.
    #[error("the request cannot be sealed to the gateway's key")]
    Key,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// Seals a plaintext to the key, signed by the device.
///
/// `request_id` is a UUID version 7, made when the question was sent for the first time; `now` is the request's
/// timestamp.
///
/// # Errors
///
/// See [`SealError`].
pub fn seal(
    device: &SigningKey,
    key: &KeyConfig,
    request_id: Uuid,
    plaintext: &[u8],
    now: u64,
) -> Result<(Request, Reply), SealError> {
    let mut rng = SystemRandom::default();
    let sealed = seal_with_rng(device, key, request_id, plaintext, now, &mut rng)?;
    if rng.failed() { Err(SealError::Random) } else { Ok(sealed) }
}

/// [`seal`] with the given randomness, for test vectors.
pub(crate) fn seal_with_rng(
    device: &SigningKey,
    key: &KeyConfig,
    request_id: Uuid,
    plaintext: &[u8],
    now: u64,
    rng: &mut impl CryptoRng,
) -> Result<(Request, Reply), SealError> {
    let key_id = key.id();
    let device_pubkey = Fixed(device.verifying_key().to_bytes());
    let padded = pad(plaintext, padding::REQUEST)?;
    let info = info(key.suite(), key_id);
    let aad = aad(request_id, now, device_pubkey);
    let sealed = key.seal(&info, &aad, &padded, rng).map_err(|_| SealError::Key)?;
    let mut request = Request {
        version: Version,
        key_id,
        encapsulated_key: Bytes(sealed.encapsulated_key),
        ciphertext: Bytes(sealed.ciphertext),
        timestamp: now,
        request_id,
        device_pubkey,
        signature: Fixed([0; 64]),
    };
    request.signature = Fixed(device.sign(&signed_request(&request)).to_bytes());
    let reply = Reply::new(sealed.secret, request.encapsulated_key.0.clone());
    Ok((request, reply))
}

#[cfg(test)]
mod tests;
