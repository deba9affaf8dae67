//! Errors of a channel.

use super::header::MAX_PLAINTEXT_LEN;

/// The channel failed. Open a new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// A frame has a wrong type or length.
    #[error("malformed Noise frame")]
    Malformed,
    /// The peer has another key, or the message was altered.
    #[error("Noise handshake failed: the peer has another key, or the message was altered")]
    Handshake,
    /// The coordinator refused the handshake. The text is not authenticated.
    #[error("the coordinator refused the Noise handshake: {0}")]
    Refused(String),
    /// A record was altered, omitted or repeated.
    #[error("Noise record was altered, omitted or repeated")]
    Tampered,
    /// The plaintext does not fit into one record.
    #[error("Noise record is limited to {MAX_PLAINTEXT_LEN} bytes")]
    TooLong,
    /// The channel has no unused nonces.
    #[error("Noise channel is exhausted")]
    Exhausted,
}
