//! How many nodes may open one request.

/// Maximum number of nodes that one request is sealed to.
pub const MAX_CANDIDATES: usize = 8;
