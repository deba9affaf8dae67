//! Limits of a message.

/// Maximum length of control data, fields and trailers together, in bytes.
pub const MAX_HEAD: usize = 24 << 10;

/// Maximum number of fields in a head or in trailers.
pub const MAX_FIELDS: usize = 100;

/// Maximum number of informational responses before a response.
pub const MAX_INFORMATIONAL: usize = 4;

/// The bytes are not a message of this kind, or exceed a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not a Binary HTTP message")]
pub struct Malformed;
