//! Converts the policy's rules to packet filters, and evaluates their addresses.

use std::net::IpAddr;

use control_protocol::map::{CapGrant, FilterRule, NetPortRange, PortRange};
use ipnet::IpNet;

/// The initial policy: members reach the mesh services of the home node.
#[must_use]
pub fn first() -> String {
    let ports: Vec<_> = services::mesh_ports().iter().map(u16::to_string).collect();
    let ports = ports.join(",");
    format!(
        r#"// Who may reach what. Whatever is not allowed here is refused.
{{
  "tagOwners": {{
    // The machine at home that runs the AI. Only the admin makes one.
    "tag:home": [],
  }},
  "acls": [
    // Everyone's devices reach the AI and the messenger at home, nothing else.
    {{ "action": "accept", "src": ["autogroup:member"], "dst": ["tag:home:{ports}"] }},
  ],
}}
"#
    )
}

/// Converts a rule of the policy to filter rules, each with either ports or capabilities.
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
    // Invalid grants are dropped.
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

/// A set of addresses from rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRanges {
    any: bool,
    /// Sorted; none overlaps another.
    ranges: Vec<(IpAddr, IpAddr)>,
}

impl AddressRanges {
    /// Collects addresses, prefixes, ranges and `*`. Other entries are ignored.
    #[must_use]
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a String>) -> Self {
        let (mut any, mut ranges) = (false, Vec::new());
        for text in texts {
            if text == "*" {
                any = true;
            } else if let Some(range) = parse_range(text) {
                ranges.push(range);
            }
        }
        Self::merged(any, ranges)
    }

    fn merged(any: bool, mut all: Vec<(IpAddr, IpAddr)>) -> Self {
        all.sort_unstable();
        let mut ranges: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match ranges.last_mut() {
                // `IpAddr` orders IPv4 before IPv6, so a range never mixes them.
                Some((_, end)) if first <= *end => *end = last.max(*end),
                Some(_) | None => ranges.push((first, last)),
            }
        }
        Self { any, ranges }
    }

    /// The addresses of prefixes, and with `internet` those of the internet.
    pub(crate) fn of_nets(nets: impl IntoIterator<Item = IpNet>, internet: bool) -> Self {
        let nets = nets.into_iter().map(|net| (net.network(), net.broadcast()));
        let internet = acl::INTERNET.iter().filter(|_| internet);
        Self::merged(false, nets.chain(internet.filter_map(|text| parse_range(text))).collect())
    }

    /// The sources of all `rules`.
    #[must_use]
    pub fn sources(rules: &[FilterRule]) -> Self {
        Self::of(rules.iter().flat_map(|rule| &rule.src_ips))
    }

    /// Whether it contains any of `addresses`.
    #[must_use]
    pub fn contain(&self, addresses: &[IpAddr]) -> bool {
        let holds = |ip: &IpAddr| {
            let begun = self.ranges.partition_point(|(first, _)| first <= ip);
            begun
                .checked_sub(1)
                .and_then(|at| self.ranges.get(at))
                .is_some_and(|(_, last)| ip <= last)
        };
        self.any || addresses.iter().any(holds)
    }

    /// Whether it contains any address of `net`.
    #[must_use]
    pub fn overlap(&self, net: &IpNet) -> bool {
        let (start, end) = (net.network(), net.broadcast());
        let at = self.ranges.partition_point(|(_, last)| *last < start);
        self.any || self.ranges.get(at).is_some_and(|(first, _)| *first <= end)
    }

    /// The part that is in `places`, as texts; `places` has no `*`.
    pub(crate) fn within(&self, places: &Self) -> Vec<String> {
        let both = |(first, last): &(IpAddr, IpAddr)| {
            let parts = self.ranges.iter().filter_map(|(start, end)| {
                let (first, last) = (*first.max(start), *last.min(end));
                (first <= last).then_some((first, last))
            });
            if self.any { vec![(*first, *last)] } else { parts.collect() }
        };
        let text = |(first, last): (IpAddr, IpAddr)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        places.ranges.iter().flat_map(both).map(text).collect()
    }

    /// Whether it contains the whole internet, as [`acl::INTERNET`] begins.
    fn hold_internet(&self) -> bool {
        let Some((start, end)) = acl::INTERNET.first().and_then(|text| parse_range(text)) else {
            return false;
        };
        self.any || self.ranges.iter().any(|(first, last)| *first <= start && end <= *last)
    }
}

/// The sources and destinations that a router's rules forward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterAccess(Vec<(AddressRanges, AddressRanges)>);

impl RouterAccess {
    /// Collects the sources and destinations of `rules`.
    #[must_use]
    pub fn of(rules: &[FilterRule]) -> Self {
        let rule = |rule: &FilterRule| {
            let to = AddressRanges::of(rule.dst_ports.iter().map(|port| &port.ip));
            (AddressRanges::of(&rule.src_ips), to)
        };
        Self(rules.iter().filter(|rule| !rule.dst_ports.is_empty()).map(rule).collect())
    }

    /// Whether a node with these addresses may reach any address of `net` through the router.
    #[must_use]
    pub fn leads(&self, from: &[IpAddr], net: &IpNet) -> bool {
        self.0.iter().any(|(sources, to)| sources.contain(from) && to.overlap(net))
    }

    /// Whether a node with these addresses may use the router as an exit node.
    #[must_use]
    pub fn leads_out(&self, from: &[IpAddr]) -> bool {
        self.0.iter().any(|(sources, to)| sources.contain(from) && to.hold_internet())
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
