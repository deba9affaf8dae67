//! The table's chains for WireGuard devices: what they, and others on them, may have open.
//!
//! The kernel forwards their packets; so here is their packet filter, for the kernel's interface and our own alike. Each packet
//! of a connection is judged, in both directions, by who began the connection and to where, as conntrack remembers it: what a
//! new policy no longer allows ends at once. Fragments are put together before; a packet of no connection is dropped.

use std::{fmt::Display, net::IpAddr};

use ipnet::IpNet;
use node_agent_core::{
    filter::{Ranges, packet::protocol},
    netmap::{ConnectionRule, WireguardPlan},
};

use super::routes::addresses;

/// Protocols whose ports conntrack remembers.
const WITH_PORTS: [u8; 3] = [protocol::TCP, protocol::UDP, protocol::SCTP];
/// What tells a sender that a packet of it did not arrive: ICMP and ICMPv6. `nft` knows few protocols by name where
/// `/etc/protocols` is missing (Debian without `netbase`), so the rules have numbers.
const ERRORS: &str = "ct state related meta l4proto { 1, 58 }";

/// The rules at the start: packets of this interface are from the devices' own addresses.
pub(super) fn arriving(interface: &str, plan: &WireguardPlan) -> Vec<String> {
    let all = plan.addresses();
    let of_family = |v4: bool| {
        let (family, ip) = if v4 { ("ipv4", "ip") } else { ("ipv6", "ip6") };
        match addresses(&all, v4) {
            none if none.is_empty() => {
                format!("iifname \"{interface}\" meta nfproto {family} counter drop")
            }
            own => format!("iifname \"{interface}\" {ip} saddr != {{ {own} }} counter drop"),
        }
    };
    vec![of_family(true), of_family(false)]
}

/// The chains, for a node with the mesh addresses `own`. Queries for names reach these if the node answers them: otherwise another
/// program may. What `not_here` matches does not arrive at this machine, whatever the rules open: the internet of a full tunnel has
/// addresses of its own.
pub(super) fn chains(
    interface: &str,
    tunnel: &str,
    own: &[IpAddr],
    [not_here4, not_here6]: &[String; 2],
    plan: &WireguardPlan,
    answers: bool,
) -> String {
    let ranges = |of: &[IpAddr]| of.iter().copied().map(IpNet::from).collect::<Ranges>();
    let names = ConnectionRule {
        sources: ranges(&plan.addresses()),
        destinations: ranges(if answers { own } else { &[] }),
        protocols: vec![protocol::TCP, protocol::UDP],
        ports: (53, 53),
    };
    let rules: Vec<_> = [&names].into_iter().chain(&plan.rules).flat_map(lines).collect();
    let rules = rules.join("\n        ");
    format!(
        "
    chain wireguard {{
        {rules}
        counter drop
    }}
    chain wireguard_to_us {{
        type filter hook input priority filter; policy accept;
        iifname \"{interface}\" {not_here4} counter drop
        iifname \"{interface}\" {not_here6} counter drop
        iifname \"{interface}\" jump wireguard
    }}
    chain wireguard_from_us {{
        type filter hook output priority filter; policy accept;
        oifname \"{interface}\" jump wireguard
    }}
    # Nobody but the mesh begins anything with a device.
    chain wireguard_passing {{
        type filter hook forward priority filter; policy accept;
        iifname != {{ \"{tunnel}\", \"{interface}\" }} oifname \"{interface}\" ct direction original counter drop
        iifname \"{interface}\" jump wireguard
        oifname \"{interface}\" jump wireguard
    }}
    chain wireguard_translating {{
        type nat hook postrouting priority srcnat; policy accept;
        iifname \"{interface}\" oifname != {{ \"lo\", \"{tunnel}\", \"{interface}\" }} masquerade
    }}"
    )
}

/// A rule as lines of nftables: for each family one for the protocols without ports, one for each with them, and the errors.
fn lines(rule: &ConnectionRule) -> Vec<String> {
    let (from, to) = (&rule.sources, &rule.destinations);
    let families = [
        ("ip", elements(from.v4()), elements(to.v4())),
        ("ip6", elements(from.v6()), elements(to.v6())),
    ];
    let families = families.into_iter().filter(|(_, from, to)| !from.is_empty() && !to.is_empty());
    let mut lines = Vec::new();
    for (ip, from, to) in families {
        let between =
            format!("ct original {ip} saddr {{ {from} }} ct original {ip} daddr {{ {to} }}");
        for what in judged(rule) {
            lines.push(format!("{between} {what} accept"));
        }
    }
    lines
}

/// What a rule is about, beside addresses.
fn judged(rule: &ConnectionRule) -> Vec<String> {
    let (first, last) = rule.ports;
    let is_icmp = |number: u8| number == protocol::ICMP || number == protocol::ICMPV6;
    let any_port = (first, last) == (0, u16::MAX);
    // A protocol without ports needs a rule for all ports.
    let whole = |number: &&u8| any_port || is_icmp(**number);
    let mut whole: Vec<_> = rule.protocols.iter().filter(whole).collect();
    whole.sort_unstable();
    whole.dedup();
    let mut judged = vec![ERRORS.to_owned()];
    if !whole.is_empty() {
        let list: Vec<_> = whole.iter().map(ToString::to_string).collect();
        judged.push(format!("meta l4proto {{ {} }}", list.join(", ")));
    }
    let ports = range(first, last);
    for number in WITH_PORTS {
        if !any_port && rule.protocols.contains(&number) {
            judged.push(format!("meta l4proto {number} ct original proto-dst {ports}"));
        }
    }
    judged
}

fn elements<A: Display + Copy + PartialEq>(ranges: &[(A, A)]) -> String {
    let ranges = ranges.iter().map(|(first, last)| range(*first, *last));
    ranges.collect::<Vec<_>>().join(", ")
}

fn range<A: Display + PartialEq>(first: A, last: A) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Ranges {
        text.split(' ').map(|net| net.parse::<IpNet>().unwrap()).collect()
    }

    #[test]
    fn a_rule_is_about_who_began_a_connection_in_each_family_that_both_have() {
        let rule = ConnectionRule {
            sources: ranges("100.64.0.9/32 fd7a:115c:a1e0::9/128"),
            destinations: ranges("100.64.0.0/30"),
            protocols: vec![protocol::TCP, protocol::ICMP, 47],
            ports: (80, 90),
        };
        let between =
            "ct original ip saddr { 100.64.0.9 } ct original ip daddr { 100.64.0.0-100.64.0.3 }";
        assert_eq!(
            lines(&rule),
            [
                format!("{between} {ERRORS} accept"),
                format!("{between} meta l4proto {{ 1 }} accept"),
                format!("{between} meta l4proto 6 ct original proto-dst 80-90 accept"),
            ]
        );
        for line in lines(&rule) {
            let (_, protocols) = line.split_once("meta l4proto ").unwrap();
            let first = protocols.trim_start_matches("{ ");
            assert!(first.starts_with(|first: char| first.is_ascii_digit()), "{line}");
        }
        let all = ConnectionRule { ports: (0, u16::MAX), ..rule };
        assert_eq!(lines(&all)[1..], [format!("{between} meta l4proto {{ 1, 6, 47 }} accept")]);
    }

    #[test]
    fn without_a_device_nothing_comes_in() {
        let plan = WireguardPlan::default();
        let not_here = ["ip daddr != 100.64.0.1", "meta nfproto ipv6"].map(str::to_owned);
        let text =
            chains("maruwg", "maru0", &["100.64.0.1".parse().unwrap()], &not_here, &plan, true);
        assert!(!text.contains(" accept\n"), "{text}");
        for not_here in ["ip daddr != 100.64.0.1", "meta nfproto ipv6"] {
            assert!(
                text.contains(&format!("iifname \"maruwg\" {not_here} counter drop")),
                "{text}"
            );
        }
        let arriving = arriving("maruwg", &plan);
        assert_eq!(arriving[0], "iifname \"maruwg\" meta nfproto ipv4 counter drop");
        assert_eq!(arriving[1], "iifname \"maruwg\" meta nfproto ipv6 counter drop");
    }
}
