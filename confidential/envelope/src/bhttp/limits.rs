//! How much of a message is read.

/// Bytes of all control data, fields and trailers of a message.
pub const MAX_HEAD: usize = 24 << 10;

/// Fields of a head or of trailers.
pub const MAX_FIELDS: usize = 100;

/// Informational responses in front of a response.
pub const MAX_INFORMATIONAL: usize = 4;

/// The bytes are no message of this kind, or one with more in it than is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not a Binary HTTP message")]
pub struct Malformed;
