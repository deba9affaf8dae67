//! The key.

use std::fmt;

use zeroize::Zeroizing;

/// The key's bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MachineKey(pub(super) Zeroizing<[u8; 32]>);

impl fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineKey([redacted])")
    }
}
