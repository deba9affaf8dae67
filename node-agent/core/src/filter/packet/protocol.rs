//! IP protocol numbers (IANA).

/// ICMP.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// TSMP, the messages between Tailscale nodes ("any private encryption scheme").
pub const TSMP: u8 = 99;
/// SCTP.
pub const SCTP: u8 = 132;
