//! The key document: signed by the gateway, verified by the client.

use ai_gateway_api::{
    sealed::{Ed25519Public, KeyDocument, PublishedKey},
    wire::{Fixed, Version},
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::transcript::signed_document;

/// Most keys of one list; a gateway publishes one for each suite.
const MAX_KEYS: usize = 16;

/// Signs a document.
pub(crate) fn sign(
    identity: &SigningKey,
    epoch: u64,
    server_time: u64,
    current: Vec<PublishedKey>,
    next: Vec<PublishedKey>,
) -> KeyDocument {
    let mut document = KeyDocument {
        version: Version,
        identity: Fixed(identity.verifying_key().to_bytes()),
        epoch,
        server_time,
        current,
        next,
        signature: Fixed([0; 64]),
    };
    document.signature = Fixed(identity.sign(&signed_document(&document)).to_bytes());
    document
}

/// Whether the pinned identity signed the document.
pub(crate) fn verify(document: &KeyDocument, pinned: Ed25519Public) -> bool {
    let signature = Signature::from_bytes(&document.signature.0);
    document.identity == pinned
        && document.current.len() <= MAX_KEYS
        && document.next.len() <= MAX_KEYS
        && VerifyingKey::from_bytes(&pinned.0)
            .is_ok_and(|key| key.verify_strict(&signed_document(document), &signature).is_ok())
}
