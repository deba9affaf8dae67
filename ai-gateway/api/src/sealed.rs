//! Sealed chat: the wire format, and the plaintext under the seal.
//!
//! `docs/protocols/sealed-chat.md` is the specification; `hpke-envelope` seals and opens. Times are Unix milliseconds.

use chat_vocabulary::sse;
use common::surrogate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::wire::{Bytes, DecodeError, Fixed, Version, decode, decode_version};

mod events;
mod memory;
mod operation;
mod plaintext;
mod session;

pub use events::{Conversation, Event, Found, SessionMessage, decode_events, encode_events};
pub use memory::{MemoryFile, MemoryName, MemoryOperation, NotAMemoryName};
pub use operation::{
    Branch, Chat, Export, ExportFormat, History, Input, Operation, Recover, Rename, Search,
};
pub use plaintext::PlaintextError;
pub use session::{NameTooLong, SessionName};

/// Largest request body that a gateway reads, in bytes: a full plaintext bucket, base64url, and the other fields.
pub use telmeet_api::plugin::MAX_BODY;

/// Paths of sealed chat.
pub mod path {
    /// `POST`: a sealed request, answered by server-sent events.
    pub const CHAT: &str = "/maru/v1/chat";
    /// `GET`: the signed key document.
    pub const KEYS: &str = "/maru/v1/keys";
    /// `POST` binds a device key to the calling node, `GET` lists its keys; on the agent's listener only.
    pub const DEVICES: &str = "/maru/v1/devices";
    /// `DELETE` revokes a device key of the calling node.
    pub const DEVICE: &str = "/maru/v1/devices/{key}";
    /// Alias of [`CHAT`], on `chat.<network>` only.
    pub const CHAT_ALIAS: &str = "/api/chat";
    /// Alias of [`KEYS`], on `chat.<network>` only.
    pub const KEYS_ALIAS: &str = "/api/pubkey";
}

/// Mesh port of the gateway's own listener.
pub const PORT: u16 = services::GATEWAY_MESH.port;

/// First 8 bytes of SHA-256 of a key configuration.
pub type KeyId = Fixed<8>;

/// An Ed25519 public key: a gateway's identity or a device's.
pub type Ed25519Public = Fixed<32>;

/// An Ed25519 signature.
pub type Signature = Fixed<64>;

/// The gateway's keys, signed by its identity. Clients seal requests to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyDocument {
    /// Format.
    #[schema(value_type = u32)]
    pub version: Version,
    /// The gateway's long-term identity, which the client compares with the pinned one.
    #[schema(value_type = String)]
    pub identity: Ed25519Public,
    /// Increases with each rotation and each start of the gateway.
    pub epoch: u64,
    /// The gateway's clock when it signed.
    pub server_time: u64,
    /// One key per suite, to seal to now.
    pub current: Vec<PublishedKey>,
    /// One key per suite, to seal to from its `not_before`.
    pub next: Vec<PublishedKey>,
    /// By the identity, over all of the above.
    #[schema(value_type = String)]
    pub signature: Signature,
}

/// A key configuration with its validity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishedKey {
    /// First 8 bytes of SHA-256 of the key configuration.
    #[schema(value_type = String)]
    pub key_id: KeyId,
    /// HPKE KEM: 0x647a X-Wing, 0x0020 X25519.
    pub kem: u16,
    /// HPKE KDF: 0x0001 HKDF-SHA256.
    pub kdf: u16,
    /// HPKE AEAD: 0x0003 ChaCha20-Poly1305.
    pub aead: u16,
    /// The KEM's public key.
    #[schema(value_type = String)]
    pub public_key: Bytes,
    /// Start of its validity.
    pub not_before: u64,
    /// End of its validity.
    pub not_after: u64,
}

/// A sealed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// Format.
    #[schema(value_type = u32)]
    pub version: Version,
    /// The gateway's key that it is sealed to.
    #[schema(value_type = String)]
    pub key_id: KeyId,
    /// The KEM's encapsulated key.
    #[schema(value_type = String)]
    pub encapsulated_key: Bytes,
    /// The sealed, padded [`Operation`].
    #[schema(value_type = String)]
    pub ciphertext: Bytes,
    /// The client's clock.
    pub timestamp: u64,
    /// UUID version 7, made once for each question; a retry keeps it.
    #[schema(value_type = String)]
    pub request_id: Uuid,
    /// The app's own Ed25519 key, bound to its node beforehand.
    #[schema(value_type = String)]
    pub device_pubkey: Ed25519Public,
    /// By the device key, over the transcript.
    #[schema(value_type = String)]
    pub signature: Signature,
}

impl Request {
    /// Decodes a request body.
    ///
    /// # Errors
    ///
    /// The body names another version, or is not this JSON.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        decode(body)
    }
}

/// Names of the reply's server-sent events.
pub mod event {
    /// [`Start`](super::Start), once, first.
    pub const START: &str = "start";
    /// [`Chunk`](super::Chunk), any number.
    pub const CHUNK: &str = "chunk";
    /// [`Final`](super::Final), once, last. Without it the reply was cut.
    pub const FINAL: &str = "final";
}

/// Data of the event `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Format.
    pub version: Version,
    /// Nonce that the reply's key is derived from, with the request's context.
    pub response_nonce: Fixed<32>,
}

/// Data of the event `chunk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// 0, 1, 2 …
    pub seq: u64,
    /// Sealed, padded [`Event`]s.
    pub data: Bytes,
}

/// Data of the event `final`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Final {
    /// Sealed, padded [`Event`]s, authenticated as the last chunk.
    pub data: Bytes,
}

/// The version of [`BindDevice`]. In version 1 the proof did not name the node.
pub const BIND_VERSION: u32 = 2;

/// Body of `POST /maru/v1/devices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BindDevice {
    /// Format.
    #[schema(value_type = u32)]
    pub version: Version<BIND_VERSION>,
    /// The key to bind to the calling node.
    #[schema(value_type = String)]
    pub device_pubkey: Ed25519Public,
    /// Name of the app, for the list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The client's clock.
    pub timestamp: u64,
    /// By the device key, over the gateway's identity, the key, the time and the calling node. It proves that the
    /// caller holds the key and wants it bound there.
    #[schema(value_type = String)]
    pub signature: Signature,
}

impl BindDevice {
    /// Decodes a request body.
    ///
    /// Lone surrogates are replaced by U+FFFD in place, so it takes the body by value.
    ///
    /// # Errors
    ///
    /// The body names another version, or is not this JSON.
    pub fn decode(body: impl Into<Vec<u8>>) -> Result<Self, DecodeError> {
        let mut body = body.into();
        surrogate::replace_lone(&mut body);
        decode_version(&body, BIND_VERSION)
    }
}

/// A bound device key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// The key.
    #[schema(value_type = String)]
    pub device_pubkey: Ed25519Public,
    /// Name of the app.
    #[serde(default)]
    pub name: String,
    /// When it was bound.
    pub bound_at: u64,
}

/// Answer to `GET /maru/v1/devices`: the calling node's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Devices {
    /// Format.
    #[schema(value_type = u32)]
    pub version: Version,
    /// The calling node's stable id, which a proof must name; an app without an agent gets it here.
    pub node: String,
    /// In the order of binding.
    pub devices: Vec<Device>,
}

/// Decodes a key document. `hpke-envelope` verifies it.
///
/// # Errors
///
/// The body names another version, or is not this JSON.
pub fn decode_keys(body: &[u8]) -> Result<KeyDocument, DecodeError> {
    decode(body)
}

/// Decodes the events of a reply's stream. A relay is not trusted with this device's memory: no event is larger than
/// the largest sealed chunk in base64url with its frame.
#[must_use]
pub fn event_decoder() -> sse::Decoder {
    sse::Decoder::new(1_500_000)
}

/// One decoded event of a reply's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyPart {
    /// First.
    Start(Start),
    /// In the middle.
    Chunk(Chunk),
    /// Last.
    Final(Final),
}

/// A server-sent event that is not part of a sealed reply.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// A reply has no event of this name.
    #[error("the reply contains an event of an unknown name")]
    Name,
    /// The data does not fit the event's name.
    #[error("the reply contains an event that cannot be decoded")]
    Data(#[source] DecodeError),
}

impl ReplyPart {
    /// Decodes a server-sent event.
    ///
    /// # Errors
    ///
    /// See [`PartError`].
    pub fn decode(name: &str, data: &[u8]) -> Result<Self, PartError> {
        match name {
            event::START => decode(data).map(Self::Start),
            event::CHUNK => decode(data).map(Self::Chunk),
            event::FINAL => decode(data).map(Self::Final),
            _ => return Err(PartError::Name),
        }
        .map_err(PartError::Data)
    }
}

#[cfg(test)]
mod tests;
