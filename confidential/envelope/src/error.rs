//! Errors.

use crate::candidates::MAX_CANDIDATES;

/// A message does not open. The cause (changed, truncated, another key or suite) is not distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("it cannot be opened")]
pub struct Unopenable;

/// Why a message was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SealError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// Encapsulation to the public key failed.
    #[error("the public key cannot be sealed to")]
    Key,
    /// A request to no node, to more than [`MAX_CANDIDATES`], or to one node twice.
    #[error("a request is sealed to 1 to {} nodes, each once", MAX_CANDIDATES)]
    Candidates,
    /// More messages than one key can seal.
    #[error("too many messages were sealed with one key")]
    Exhausted,
}

impl From<getrandom::Error> for SealError {
    fn from(_: getrandom::Error) -> Self {
        Self::Random
    }
}
