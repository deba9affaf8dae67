//! What a policy becomes for one node: rules of a packet filter.

/// One destination of a [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DstPort {
    /// Address, prefix or `*`.
    pub ip: String,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// A packet-filter rule for one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Addresses, prefixes or `*`.
    pub src_ips: Vec<String>,
    /// Destinations.
    pub dst_ports: Vec<DstPort>,
    /// IP protocol numbers; empty means TCP, UDP and ICMP.
    pub ip_proto: Vec<u8>,
    /// Application capabilities, as in the policy.
    pub cap_grant: Vec<serde_json::Value>,
}
