//! What both sides of the handshake share: boxes and what is in them.

use control_protocol::key::{NodePrivate, NodePublic};
use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::Aead};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::frame::PROTOCOL_VERSION;

/// Length of a box's nonce, in bytes.
pub const NONCE_LEN: usize = 24;

/// The handshake failed; the connection is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Another frame was due.
    #[error("relay handshake: unexpected frame of type {kind:#04x}")]
    Unexpected {
        /// Type of the frame that came.
        kind: u8,
    },
    /// The other side does not have the key that it names.
    #[error("relay handshake: the other side does not have the key that it names")]
    Key,
    /// What the other side says of itself is no JSON object of that kind.
    #[error("relay handshake: what the other side says of itself cannot be read")]
    Info,
    /// The other side speaks another version.
    #[error(
        "relay handshake: the other side speaks version {version} instead of {PROTOCOL_VERSION}"
    )]
    Version {
        /// The version.
        version: u32,
    },
}

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Version of the relay protocol.
    #[serde(default)]
    pub version: u32,
    /// Whether it answers [`crate::frame::Frame::Ping`].
    #[serde(rename = "CanAckPings", alias = "canAckPings", default)]
    pub can_ack_pings: bool,
    /// Whether it only measures.
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

/// What a relay says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Version of the relay protocol.
    #[serde(default)]
    pub version: u32,
    /// Bytes per second that a client may send for long; 0: no limit.
    #[serde(rename = "TokenBucketBytesPerSecond", default, skip_serializing_if = "is_zero")]
    pub bytes_per_second: u64,
    /// Bytes that it may send at once.
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

/// Makes nonce and box. The caller gives a nonce that it never gave before with these keys: a random one.
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
