//! The policy's rules as the wire has them, and who sees whom.

use std::net::IpAddr;

use control_protocol::map::{CapGrant, FilterRule, NetPortRange, PortRange};
use ipnet::IpNet;

/// The policy that a network starts with.
pub const FIRST: &str = r#"// Who may reach what. Whatever is not allowed here is refused.
{
  "tagOwners": {
    // The machine at home that runs the AI. Only the admin makes one.
    "tag:home": [],
  },
  "acls": [
    // Everyone's devices reach the AI and the messenger at home, nothing else.
    { "action": "accept", "src": ["autogroup:member"], "dst": ["tag:home:80,443,18789"] },
  ],
}
"#;

/// Turns a rule of the policy into rules of the wire, each of which has either ports or capabilities.
#[must_use]
pub fn to_wire(rule: &acl::Rule) -> Vec<FilterRule> {
    let base = FilterRule {
        src_ips: rule.src_ips.clone(),
        ip_proto: rule.ip_proto.iter().copied().map(i64::from).collect(),
        ..FilterRule::default()
    };
    let dst_ports: Vec<NetPortRange> = rule
        .dst_ports
        .iter()
        .map(|port| NetPortRange {
            ip: port.ip.clone(),
            bits: None,
            ports: PortRange { first: port.first, last: port.last },
        })
        .collect();
    // A grant that does not fit the wire's shape gives nothing.
    let cap_grant: Vec<CapGrant> = rule
        .cap_grant
        .iter()
        .filter_map(|grant| serde_json::from_value(grant.clone()).ok())
        .collect();
    let ports = (!dst_ports.is_empty()).then(|| FilterRule { dst_ports, ..base.clone() });
    let grants =
        (!cap_grant.is_empty()).then(|| FilterRule { ip_proto: Vec::new(), cap_grant, ..base });
    ports.into_iter().chain(grants).collect()
}

/// The addresses that a node's rules let in, to find out who sees whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    any: bool,
    ranges: Vec<(IpAddr, IpAddr)>,
}

impl Sources {
    /// Collects the sources of all `rules`. An entry that is no address lets nobody in.
    #[must_use]
    pub fn of(rules: &[FilterRule]) -> Self {
        let mut sources = Self::default();
        for text in rules.iter().flat_map(|rule| &rule.src_ips) {
            if text == "*" {
                sources.any = true;
            } else if let Some(range) = parse_range(text) {
                sources.ranges.push(range);
            }
        }
        sources.ranges.sort_unstable();
        sources.ranges.dedup();
        sources
    }

    /// Whether any of `addresses` is let in.
    #[must_use]
    pub fn contain(&self, addresses: &[IpAddr]) -> bool {
        // The comparison of `IpAddr` puts every IPv4 address before every IPv6 one, so a range never mixes them.
        self.any
            || self
                .ranges
                .iter()
                .any(|(first, last)| addresses.iter().any(|ip| first <= ip && ip <= last))
    }
}

fn parse_range(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = text.split_once('-') {
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        return (first.is_ipv4() == last.is_ipv4() && first <= last).then_some((first, last));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address, address));
    }
    let net: IpNet = text.parse().ok()?;
    Some((net.network(), net.broadcast()))
}

#[cfg(test)]
mod tests;
