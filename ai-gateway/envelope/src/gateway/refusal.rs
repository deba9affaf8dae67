//! Why a request is not opened.

/// Why a request was refused: for counters and tests. The client is told [`Refused`]'s text and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// Older than [`TTL`](crate::TTL).
    #[error("stale")]
    Stale,
    /// From the future, by more than [`SKEW`](crate::SKEW).
    #[error("early")]
    Early,
    /// The request id is no UUID version 7 of the last [`ID_LIFE`](crate::ID_LIFE).
    #[error("request id")]
    RequestId,
    /// No such key holds now.
    #[error("unknown key")]
    UnknownKey,
    /// The device did not sign this.
    #[error("signature")]
    Signature,
    /// The encapsulated key, or the device's request id, was used before.
    #[error("replayed")]
    Replayed,
    /// HPKE does not open it, or the padding is wrong.
    #[error("unopenable")]
    Unopenable,
}

/// A request was refused; the text is the same for every reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be opened")]
pub struct Refused(pub Reason);

/// Why a request was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// 400 `sealed`.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// 503 `busy`: the replay cache is full.
    #[error(transparent)]
    CacheFull(#[from] CacheFull),
    /// 503 `busy`: the system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<Reason> for OpenError {
    fn from(reason: Reason) -> Self {
        Self::Refused(Refused(reason))
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

/// The cache is full; the same request may succeed in a few minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are remembered")]
pub struct CacheFull;
