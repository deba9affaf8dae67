//! The table's chains for routes: the kill switch of an exit node's user, and what a router forwards.

use std::net::IpAddr;

use common::{mesh::RESOLVER, route::PRIVATE};
use ipnet::IpNet;
use node_agent_api::{leftovers::KILL_SWITCH, settings::Settings};

use crate::outside::MARK;

/// Interfaces of containers and virtual machines of this machine, which may use its resolver.
pub(super) const GUESTS: &str =
    r#""br-*", "cni-podman*", "docker*", "incusbr*", "lxcbr*", "lxdbr*", "podman*", "virbr*""#;

/// What machines of one network say to all of it: multicast that no router passes on, and UPnP's (SSDP).
const ON_LINK4: &str = "169.254.0.0/16, 224.0.0.0/24, 239.255.255.250, 255.255.255.255";
const ON_LINK6: &str = "fe80::/10, ff02::/16";

/// The settings' choice of routes, as far as the firewall is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteRules {
    /// Whether there is an exit node, and then whether private addresses of this machine's networks may be reached directly.
    kill_switch: Option<bool>,
    /// Whether packets from the mesh are forwarded, and the subnets (not those of an exit node) for which they are.
    forwards: bool,
    subnets: Vec<IpNet>,
    /// The interface of WireGuard devices, which has chains of its own.
    pub(super) wireguard: Option<String>,
}

impl RouteRules {
    pub(super) fn of(settings: &Settings, wireguard: Option<&str>) -> Self {
        Self {
            wireguard: wireguard.map(str::to_owned),
            kill_switch: settings.exit_node.as_ref().map(|_| settings.exit_node_allow_lan_access),
            forwards: settings.advertise_exit_node || !settings.advertise_routes.is_empty(),
            subnets: settings.advertise_routes.clone(),
        }
    }

    /// Whether this machine forwards connections of the mesh.
    pub(super) fn is_forwarding(&self) -> bool {
        self.forwards || self.wireguard.is_some()
    }

    pub(super) fn is_kill_switch(&self) -> bool {
        self.kill_switch.is_some()
    }

    /// The chains, for a node with the mesh addresses `own`.
    pub(super) fn chains(&self, interface: &str, own: &[IpAddr]) -> String {
        let mut chains = String::new();
        if let Some(has_lan) = self.kill_switch {
            chains += &kill_switch(interface, has_lan);
        }
        if self.forwards {
            chains += &self.forwarding(interface, own);
        }
        chains
    }

    fn subnets(&self, v4: bool) -> Vec<String> {
        let nets = self.subnets.iter().filter(|net| net.addr().is_ipv4() == v4);
        nets.map(ToString::to_string).collect()
    }

    /// Matches, by IPv4 and IPv6, what a peer or WireGuard device cannot mean if it arrives at this machine: all but its mesh
    /// addresses `own`, its resolver, and subnets that it routes.
    pub(super) fn not_here(&self, own: &[IpAddr]) -> [String; 2] {
        [true, false].map(|v4| {
            let own = own.iter().copied().chain([RESOLVER.into()]);
            let own = own.filter(|address| address.is_ipv4() == v4);
            let here = own.map(|address| address.to_string()).chain(self.subnets(v4)).collect();
            except("daddr", here, v4)
        })
    }

    /// A router's chains: from the mesh into its networks and back, under its own address.
    ///
    /// The packet filter has judged what comes from the mesh: who may go where. What these chains add: a peer reaches this
    /// machine itself by its mesh address, or an address of a subnet that it routes; and other machines of its networks cannot
    /// use it as a way into the mesh, unless it routes for them.
    fn forwarding(&self, interface: &str, own: &[IpAddr]) -> String {
        let [here4, here6] = self.not_here(own);
        let [from4, from6] = [true, false].map(|v4| except("saddr", self.subnets(v4), v4));
        let wireguard =
            self.wireguard.iter().map(|name| format!(", \"{name}\"")).collect::<String>();
        let elsewhere = format!(
            "iifname != {{ \"lo\", \"{interface}\", {GUESTS}{wireguard} }} oifname \"{interface}\" ct state new"
        );
        format!(
            "
    chain from_mesh {{
        type filter hook input priority filter; policy accept;
        iifname \"{interface}\" {here4} counter drop
        iifname \"{interface}\" {here6} counter drop
    }}
    chain passing {{
        type filter hook forward priority filter; policy accept;
        iifname \"{interface}\" oifname \"{interface}\" counter drop
        {elsewhere} {from4} counter drop
        {elsewhere} {from6} counter drop
    }}
    chain translating {{
        type nat hook postrouting priority srcnat; policy accept;
        iifname \"{interface}\" oifname != {{ \"lo\", \"{interface}\"{wireguard} }} masquerade
    }}"
        )
    }
}

/// Matches packets of one family whose source or destination is not in these networks.
fn except(side: &str, nets: Vec<String>, v4: bool) -> String {
    let (family, ip) = if v4 { ("ipv4", "ip") } else { ("ipv6", "ip6") };
    match nets.is_empty() {
        true => format!("meta nfproto {family}"),
        false => format!("{ip} {side} != {{ {} }}", nets.join(", ")),
    }
}

/// The chains that let nothing leave but by the tunnel: the agent's marked packets do, its answers to this machine's guests, and
/// what keeps this machine on its network (DHCP, neighbour discovery). A lease is renewed at the server's own address.
///
/// With `has_lan` also packets to private addresses, but no DNS. Public addresses never: whoever hands out this machine's address
/// could else name any server as its neighbour.
fn kill_switch(interface: &str, has_lan: bool) -> String {
    let lan = |v4: bool, more: &str| {
        let nets = PRIVATE.iter().filter(|net| net.addr().is_ipv4() == v4);
        let nets = nets.map(ToString::to_string).chain([more.to_owned()]).collect::<Vec<_>>();
        format!("{} daddr {{ {} }} accept", if v4 { "ip" } else { "ip6" }, nets.join(", "))
    };
    let lan = match has_lan {
        true => format!(
            "meta l4proto {{ tcp, udp }} th dport {{ 53, 853 }} counter drop
        {}
        {}
        ",
            lan(true, ON_LINK4),
            lan(false, ON_LINK6)
        ),
        false => String::new(),
    };
    format!(
        "
    chain {KILL_SWITCH} {{
        type filter hook output priority filter; policy accept;
        oifname {{ \"lo\", \"{interface}\" }} accept
        meta mark {MARK:#x} accept
        oifname {{ {GUESTS} }} ip saddr {RESOLVER} accept
        {lan}meta nfproto ipv4 udp sport 68 udp dport 67 accept
        meta nfproto ipv6 udp sport 546 udp dport 547 accept
        icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
        counter drop
    }}
    chain passing {{
        type filter hook forward priority filter; policy accept;
        oifname {{ \"lo\", \"{interface}\", {GUESTS} }} accept
        {lan}counter drop
    }}
    chain remember {{
        type filter hook postrouting priority mangle; policy accept;
        meta mark {MARK:#x} ct mark set meta mark
    }}
    chain recall {{
        type filter hook prerouting priority mangle; policy accept;
        iifname != \"{interface}\" ct mark {MARK:#x} meta mark set ct mark
    }}"
    )
}

/// A list of the addresses of one family.
pub(super) fn addresses(of: &[IpAddr], v4: bool) -> String {
    let of = of.iter().filter(|address| address.is_ipv4() == v4);
    of.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
