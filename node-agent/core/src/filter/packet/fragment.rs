//! What the fragments of one packet have in common.

/// A later fragment that starts below this byte could overwrite the ports (RFC 1858).
pub(super) const LATER_FRAGMENT_MIN: usize = 80;

/// What the fragments of one packet have in common, besides their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Chosen by the sender; 16 bits in IPv4.
    pub id: u32,
    /// The protocol, in IPv6 the header after the fragment header.
    pub protocol: u8,
}
