//! What can go wrong.

use crate::inner::MAX_CANDIDATES;

/// Something that was sealed does not open: changed, cut, of another key or suite, or never sealed. Nobody outside is
/// told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("it cannot be opened")]
pub struct Unopenable;

/// Why something was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SealError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The public key takes no encapsulation.
    #[error("the public key cannot be sealed to")]
    Key,
    /// A request to no node, to more than [`MAX_CANDIDATES`], or to one of them twice.
    #[error("a request is sealed to 1 to {} nodes, each once", MAX_CANDIDATES)]
    Candidates,
    /// More than one key can seal.
    #[error("too much was sealed with one key")]
    Exhausted,
}

impl From<getrandom::Error> for SealError {
    fn from(_: getrandom::Error) -> Self {
        Self::Random
    }
}
