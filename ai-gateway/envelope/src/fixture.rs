//! A gateway and a device for tests.

use ai_gateway_api::sealed::Request;
use ed25519_dalek::SigningKey;
use uuid::Uuid;

use crate::{
    Suite,
    client::{self, Keys, Reply},
    gateway::{KeyRing, Settings},
};

/// 2026-11-21, 14:00 UTC.
pub(crate) const NOW: u64 = 1_795_269_600_000;

pub(crate) fn ring() -> KeyRing {
    KeyRing::new(SigningKey::from_bytes(&[1; 32]), Settings::default(), 0, NOW).unwrap()
}

pub(crate) fn device() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

/// A UUID version 7 of that time, told apart by `seed`.
pub(crate) fn request_id(at: u64, seed: u128) -> Uuid {
    let random = (seed << 64) ^ seed;
    uuid::Builder::from_unix_timestamp_millis(at, &random.to_be_bytes()[6..].try_into().unwrap())
        .into_uuid()
}

pub(crate) fn keys(ring: &mut KeyRing, now: u64) -> Keys {
    let document = ring.document(now).unwrap();
    Keys::verify(&document, ring.identity(), 0).unwrap()
}

/// Seals as the device, with the gateway's key of the suite.
pub(crate) fn seal(
    ring: &mut KeyRing,
    suite: Suite,
    seed: u128,
    text: &[u8],
    now: u64,
) -> (Request, Reply) {
    let keys = keys(ring, now);
    let key = keys.select(suite, now).unwrap();
    client::seal(&device(), key, request_id(now, seed), text, now).unwrap()
}
