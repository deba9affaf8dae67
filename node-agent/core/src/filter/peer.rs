//! Which peer a packet comes from or goes to.

/// Which peer a packet comes from or goes to: a number that no other peer has at the time. Flows are charged to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(pub u32);
