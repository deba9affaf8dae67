//! Proof that an app has the private device key that it wants to bind, and the node to bind it to.

use ai_gateway_api::{
    sealed::{BindDevice, Ed25519Public},
    wire::{Fixed, Version},
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::{SKEW, TTL, gateway::Reason, ms, transcript::signed_device};

/// Makes the body of `POST /maru/v1/devices` for the gateway of this identity, to be sent from this node. The name for
/// the list is empty; it is not signed, so the caller may set it.
#[must_use]
pub fn prove(device: &SigningKey, identity: Ed25519Public, node: &str, now: u64) -> BindDevice {
    let device_pubkey = Fixed(device.verifying_key().to_bytes());
    let signature = device.sign(&signed_device(identity, device_pubkey, now, node));
    BindDevice {
        version: Version,
        device_pubkey,
        name: String::new(),
        timestamp: now,
        signature: Fixed(signature.to_bytes()),
    }
}

/// Verifies such a body; `identity` is this gateway's own, `node` is the connection's node.
///
/// # Errors
///
/// [`Reason::Stale`], [`Reason::Early`] or [`Reason::Signature`]; none of them is sent to the client.
pub fn verify(
    bind: &BindDevice,
    identity: Ed25519Public,
    node: &str,
    now: u64,
) -> Result<(), Reason> {
    check_time(bind.timestamp, now)?;
    let transcript = signed_device(identity, bind.device_pubkey, bind.timestamp, node);
    check_signature(bind.device_pubkey, &transcript, bind.signature.0)
}

/// Whether a client's time is fresh.
pub(crate) fn check_time(timestamp: u64, now: u64) -> Result<(), Reason> {
    if timestamp > now.saturating_add(ms(SKEW)) {
        return Err(Reason::Early);
    }
    if now > timestamp.saturating_add(ms(TTL)) {
        return Err(Reason::Stale);
    }
    Ok(())
}

/// Whether the key signed the transcript.
pub(crate) fn check_signature(
    key: Ed25519Public,
    transcript: &[u8],
    signature: [u8; 64],
) -> Result<(), Reason> {
    VerifyingKey::from_bytes(&key.0)
        .and_then(|key| key.verify_strict(transcript, &Signature::from_bytes(&signature)))
        .map_err(|_| Reason::Signature)
}
