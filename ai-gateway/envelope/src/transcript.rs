//! The bytes that are authenticated but not sent: `info`, associated data, and the input of signatures.

use ai_gateway_api::sealed::{Ed25519Public, KeyDocument, KeyId, PublishedKey, Request};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::suite::{Suite, config_bytes};

/// Name of the operation, and first part of every label.
const PROTOCOL: &str = "maru-sealed-chat/1";

/// Content type of the plaintext.
const CONTENT_TYPE: &str = "application/json";

/// Starts a transcript with a unique label.
fn labelled(label: &str) -> Vec<u8> {
    let mut bytes = PROTOCOL.as_bytes().to_vec();
    bytes.extend_from_slice(label.as_bytes());
    bytes.push(0);
    bytes
}

/// HPKE's `info`: protocol, direction, key and suite.
pub(crate) fn info(suite: Suite, key_id: KeyId) -> Vec<u8> {
    let mut bytes = labelled(" request");
    bytes.extend_from_slice(&key_id.0);
    bytes.extend_from_slice(&suite.identifiers());
    bytes
}

/// A request's associated data.
pub(crate) fn aad(request_id: Uuid, timestamp: u64, device: Ed25519Public) -> Vec<u8> {
    let mut bytes = labelled("");
    bytes.extend_from_slice(request_id.as_bytes());
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    bytes.extend_from_slice(&device.0);
    bytes.extend_from_slice(CONTENT_TYPE.as_bytes());
    bytes
}

/// The bytes that the device signs in a request.
pub(crate) fn signed_request(request: &Request) -> Vec<u8> {
    let mut bytes = labelled(" signature");
    bytes.extend_from_slice(&request.key_id.0);
    bytes.extend_from_slice(&Sha256::digest(&request.encapsulated_key.0));
    bytes.extend_from_slice(&Sha256::digest(&request.ciphertext.0));
    bytes.extend_from_slice(&aad(request.request_id, request.timestamp, request.device_pubkey));
    bytes
}

/// The bytes that the device signs to be bound. The node comes last, because only it has a variable length.
pub(crate) fn signed_device(
    identity: Ed25519Public,
    device: Ed25519Public,
    timestamp: u64,
    node: &str,
) -> Vec<u8> {
    // The first version of this proof, " device", did not name the node.
    let mut bytes = labelled(" device/2");
    bytes.extend_from_slice(&identity.0);
    bytes.extend_from_slice(&device.0);
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    bytes.extend_from_slice(node.as_bytes());
    bytes
}

/// The bytes that the gateway's identity signs in a key document.
pub(crate) fn signed_document(document: &KeyDocument) -> Vec<u8> {
    let mut bytes = labelled(" keys");
    bytes.extend_from_slice(&document.identity.0);
    bytes.extend_from_slice(&document.epoch.to_be_bytes());
    bytes.extend_from_slice(&document.server_time.to_be_bytes());
    for keys in [&document.current, &document.next] {
        // `document::verify` refuses longer lists.
        bytes.push(u8::try_from(keys.len()).unwrap_or(u8::MAX));
        keys.iter().for_each(|key| sign_key(&mut bytes, key));
    }
    bytes
}

fn sign_key(bytes: &mut Vec<u8>, key: &PublishedKey) {
    bytes.extend_from_slice(&key.not_before.to_be_bytes());
    bytes.extend_from_slice(&key.not_after.to_be_bytes());
    bytes.extend_from_slice(&config_bytes(key.kem, key.kdf, key.aead, &key.public_key.0));
}
