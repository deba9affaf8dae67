//! Why a channel cannot be set up or go on.

use super::header::MAX_PLAINTEXT_LEN;

/// The channel cannot be set up or go on. None can be repaired: start anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// A frame has a wrong type or length.
    #[error("malformed Noise frame")]
    Malformed,
    /// The handshake does not fit: the other side has another key, or the message was altered.
    #[error("Noise handshake failed: the other side has another key, or the message was altered")]
    Handshake,
    /// The coordinator refused the handshake. The text is not authenticated.
    #[error("the coordinator refused the Noise handshake: {0}")]
    Refused(String),
    /// A record was altered, left out or repeated.
    #[error("Noise record was altered, left out or repeated")]
    Tampered,
    /// What should be sealed does not fit into one record.
    #[error("Noise record is limited to {MAX_PLAINTEXT_LEN} bytes")]
    TooLong,
    /// Every nonce of the channel has been used.
    #[error("Noise channel is used up")]
    Exhausted,
}
