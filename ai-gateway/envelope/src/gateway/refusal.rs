//! Why a request was not opened.

/// Why a request was refused, for counters and tests. The client gets the same text for every reason
/// ([`OpenError::Refused`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// Older than [`TTL`](crate::TTL).
    #[error("stale")]
    Stale,
    /// More than [`SKEW`](crate::SKEW) in the future.
    #[error("early")]
    Early,
    /// The request id is not a UUID version 7 of the last [`ID_LIFE`](crate::ID_LIFE).
    #[error("request id")]
    RequestId,
    /// No key with this id is valid now.
    #[error("unknown key")]
    UnknownKey,
    /// The device's signature is invalid.
    #[error("signature")]
    Signature,
    /// The encapsulated key, or the device's request id, was used before.
    #[error("replayed")]
    Replayed,
    /// HPKE cannot open it, or the padding is wrong.
    #[error("unopenable")]
    Unopenable,
}

/// Why a request was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// 400 `sealed`; the text is the same for every reason.
    #[error("the request cannot be opened")]
    Refused(Reason),
    /// 503 `busy`: the replay cache is full. The same request may succeed in a few minutes.
    #[error("the replay cache is full")]
    CacheFull,
    /// 503 `busy`: the system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<Reason> for OpenError {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// The system gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct RandomError;

impl From<getrandom::Error> for RandomError {
    fn from(_: getrandom::Error) -> Self {
        Self
    }
}
