//! Which packets may be put together.

/// Which packets may be put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoalescedProtocols {
    /// TCP in IPv4.
    pub tcp_v4: bool,
    /// TCP in IPv6.
    pub tcp_v6: bool,
    /// UDP.
    pub udp: bool,
}
