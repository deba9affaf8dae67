//! A site whose machines reach other networks through a router.

use std::sync::Arc;

use anyhow::Result;

use crate::{Machine, link, machine::cable, nat};

pub use crate::nat::Nat;

/// A router with a bridge, and the machines on it.
#[derive(Debug)]
pub struct Site {
    /// The router: `wan` leads out, `lan` is the bridge.
    pub router: Arc<Machine>,
    net: Net,
    machines: u8,
    /// The router that this one is behind.
    _outer: Option<Arc<Machine>>,
}

/// The addresses of the machines.
#[derive(Clone, Debug)]
struct Net {
    /// What they begin with.
    prefix: String,
    /// The router's last number; the machines have the next ones.
    first: u8,
    /// Of the network's prefix, in bits.
    bits: u8,
}

impl Net {
    fn at(&self, machine: u8) -> String {
        format!("{}{}", self.prefix, self.first + machine)
    }
}

impl Site {
    /// Cables a router to the one in the middle; `net` is what their addresses begin with.
    pub(crate) fn new(middle: &Machine, (net, number): (&str, u8), nat: Nat) -> Result<Self> {
        let router = Machine::new(&format!("router{number}"))?;
        let (outside, port) = (format!("{net}.{number}"), format!("site{number}"));
        link(
            (&router, "wan", &format!("{outside}.2/25")),
            (middle, &port, &format!("{outside}.1/25")),
        )?;
        router.sh(&format!("ip route add default via {outside}.1"))?;
        if nat == Nat::Open {
            middle.sh(&format!("ip route add {outside}.128/25 via {outside}.2"))?;
            let net = Net { prefix: format!("{outside}."), first: 129, bits: 25 };
            return Self::of(router, net, "");
        }
        Self::translated(router, number, nat)
    }

    /// The same with IPv6 and nothing else.
    pub(crate) fn ipv6(middle: &Machine, number: u8) -> Result<Self> {
        let router = Machine::new(&format!("router{number}"))?;
        let (outside, port) = (format!("2001:db8:18:{number}::"), format!("site{number}"));
        link(
            (&router, "wan", &format!("{outside}2/64")),
            (middle, &port, &format!("{outside}1/64")),
        )?;
        router.sh(&format!("ip route add default via {outside}1"))?;
        let net = Net { prefix: format!("2001:db8:118:{number}::"), first: 1, bits: 64 };
        middle.sh(&format!("ip route add {}/{} via {outside}2", net.prefix, net.bits))?;
        Self::of(router, net, &nat::ipv6_rules())
    }

    /// A site whose router is a machine of this one: what it sends is translated twice. `number` is that of no other site.
    ///
    pub(crate) fn behind(&mut self, number: u8, nat: Nat) -> Result<Self> {
        let router = self.add_by(&format!("router{number}"), "wan")?;
        let inner = Self::translated(router, number, nat)?;
        Ok(Self { _outer: Some(Arc::clone(&self.router)), ..inner })
    }

    fn translated(router: Machine, number: u8, nat: Nat) -> Result<Self> {
        let net = Net { prefix: format!("192.168.{number}."), first: 1, bits: 24 };
        Self::of(router, net, &nat.rules())
    }

    /// Gives a router its bridge and its rules.
    fn of(router: Machine, net: Net, rules: &str) -> Result<Self> {
        let Net { bits, .. } = net;
        router.sh(&format!(
            "echo 1 > /proc/sys/net/ipv4/ip_forward
            echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
            ip link add lan type bridge
            ip addr add {}/{bits} dev lan
            ip link set lan up
            nft -f - <<'RULES'\n{rules}\nRULES",
            net.at(0)
        ))?;
        Ok(Self { router: Arc::new(router), net, machines: 0, _outer: None })
    }

    /// Adds a machine, with this router as its way to everywhere.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn add(&mut self, name: &str) -> Result<Arc<Machine>> {
        self.add_by(name, "eth0").map(Arc::new)
    }

    fn add_by(&mut self, name: &str, interface: &str) -> Result<Machine> {
        self.machines += 1;
        let (machine, net) = (Machine::new(name)?, &self.net);
        let port = format!("lan{}", self.machines);
        cable((&machine, interface), (&self.router, &port))?;
        self.router.sh(&format!("ip link set {port} master lan up"))?;
        let family = if net.bits == 64 { " nodad" } else { "" };
        machine.sh(&format!(
            "ip addr add {}/{} dev {interface}{family}
            ip link set {interface} up
            ip route add default via {}",
            net.at(self.machines),
            net.bits,
            net.at(0)
        ))?;
        Ok(machine)
    }

    /// The address of the machine that was added as this one, from 1.
    #[must_use]
    pub fn address(&self, machine: u8) -> String {
        self.net.at(machine)
    }

    /// Forwards ports of the router's outer address to the machine that was added as this one, from 1, as `("udp", 41641)`.
    /// From inside they are closed: the router has no hairpin.
    ///
    /// # Errors
    ///
    /// The site's router translates nothing.
    pub fn forward(&self, machine: u8, ports: &[(&str, u16)]) -> Result<()> {
        let to = self.address(machine);
        let mut rules =
            "add chain ip nat forwarded { type nat hook prerouting priority -101; }\n".to_owned();
        for (protocol, port) in ports {
            rules.push_str(&format!(
                "add rule ip nat forwarded iifname wan {protocol} dport {port} dnat to {to}:{port}
                insert rule inet guard unasked ip daddr {to} {protocol} dport {port} accept\n"
            ));
        }
        self.router.sh(&format!("nft -f - <<'RULES'\n{rules}\nRULES")).map(drop)
    }

    /// Drops all UDP between the site and other networks from now on, so that its machines have only the relay.
    ///
    /// # Errors
    ///
    /// The rules cannot be set.
    pub fn lose_udp(&self) -> Result<()> {
        self.router
            .sh("nft add table inet lose
                nft 'add chain inet lose through { type filter hook forward priority 0; }'
                nft add rule inet lose through meta l4proto udp drop")
            .map(drop)
    }
}
