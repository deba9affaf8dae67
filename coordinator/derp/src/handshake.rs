//! The boxes of the handshake.

use control_protocol::key::{NodePrivate, NodePublic};
use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::Aead};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::frame::PROTOCOL_VERSION;

/// Length of a box's nonce, in bytes.
pub const NONCE_LEN: usize = 24;

/// The handshake failed. Close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A frame of another type was expected.
    #[error("relay handshake: unexpected frame of type {kind:#04x}")]
    Unexpected {
        /// Type of the received frame.
        kind: u8,
    },
    /// The peer did not prove its key.
    #[error("relay handshake: the peer did not prove its key")]
    Key,
    /// The peer's parameters are not valid JSON.
    #[error("relay handshake: the peer's parameters are invalid")]
    Info,
    /// The peer has another version.
    #[error("relay handshake: the peer has version {version} instead of {PROTOCOL_VERSION}")]
    Version {
        /// The version.
        version: u32,
    },
}

/// Parameters of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Version of the relay protocol.
    #[serde(default)]
    pub version: u32,
    /// Whether it answers [`crate::frame::Frame::Ping`].
    #[serde(rename = "CanAckPings", alias = "canAckPings", default)]
    pub can_ack_pings: bool,
    /// Whether it only measures latency.
    #[serde(
        rename = "IsProber",
        alias = "isProber",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub is_prober: bool,
}

impl Default for ClientInfo {
    fn default() -> Self {
        Self { version: PROTOCOL_VERSION, can_ack_pings: true, is_prober: false }
    }
}

/// Parameters of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Version of the relay protocol.
    #[serde(default)]
    pub version: u32,
    /// Sustained rate for a client, in bytes per second; 0: no limit.
    #[serde(rename = "TokenBucketBytesPerSecond", default, skip_serializing_if = "is_zero")]
    pub bytes_per_second: u64,
    /// Burst for a client, in bytes.
    #[serde(rename = "TokenBucketBytesBurst", default, skip_serializing_if = "is_zero")]
    pub bytes_burst: u64,
}

impl Default for ServerInfo {
    fn default() -> Self {
        Self { version: PROTOCOL_VERSION, bytes_per_second: 0, bytes_burst: 0 }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn sealer(own: &NodePrivate, other: &NodePublic) -> SalsaBox {
    SalsaBox::new(&PublicKey::from(*other.as_bytes()), &SecretKey::from(*own.as_bytes()))
}

/// Seals into nonce and box. The nonce must never repeat for these keys: it is random.
pub(crate) fn seal<T: Serialize>(
    own: &NodePrivate,
    other: &NodePublic,
    nonce: [u8; NONCE_LEN],
    info: &T,
) -> Result<Vec<u8>, HandshakeError> {
    let text = serde_json::to_vec(info).map_err(|_| HandshakeError::Info)?;
    let sealed = sealer(own, other)
        .encrypt(&nonce.into(), text.as_slice())
        .map_err(|_| HandshakeError::Key)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens nonce and box.
pub(crate) fn open<T: DeserializeOwned>(
    own: &NodePrivate,
    other: &NodePublic,
    sealed: &[u8],
) -> Result<T, HandshakeError> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(HandshakeError::Key)?;
    let text = sealer(own, other).decrypt(nonce.into(), sealed).map_err(|_| HandshakeError::Key)?;
    serde_json::from_slice(&text).map_err(|_| HandshakeError::Info)
}
