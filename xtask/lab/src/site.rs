//! A site whose machines reach other networks through a router with address translation.

use std::sync::Arc;

use anyhow::Result;

use crate::{Machine, link, machine::cable};

/// How a router translates UDP: both let in only what answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Keeps the port while it is free, as most routers at homes do: peers meet directly.
    Masquerade,
    /// Another random port towards each peer: two sites of this kind meet only over the relay.
    FullyRandom,
}

impl Nat {
    fn rule(self) -> &'static str {
        match self {
            Self::Masquerade => "masquerade",
            Self::FullyRandom => "masquerade fully-random",
        }
    }
}

/// A router with a bridge, and the machines on it.
#[derive(Debug)]
pub struct Site {
    /// The router: `wan` leads out, `lan` is the bridge.
    pub router: Arc<Machine>,
    number: u8,
    machines: u8,
}

impl Site {
    /// Cables a router to the one in the middle.
    pub(crate) fn new(middle: &Machine, number: u8, nat: Nat) -> Result<Self> {
        let router = Machine::new(&format!("router{number}"))?;
        let outside = format!("10.78.{number}");
        link(
            (&router, "wan", &format!("{outside}.2/24")),
            (middle, &format!("site{number}"), &format!("{outside}.1/24")),
        )?;
        router.sh(&format!(
            "ip route add default via {outside}.1
            echo 1 > /proc/sys/net/ipv4/ip_forward
            ip link add lan type bridge
            ip addr add 192.168.{number}.1/24 dev lan
            ip link set lan up
            nft add table ip nat
            nft 'add chain ip nat out {{ type nat hook postrouting priority 100; }}'
            nft add rule ip nat out oifname wan {}",
            nat.rule()
        ))?;
        Ok(Self { router: Arc::new(router), number, machines: 0 })
    }

    /// Adds a machine, with this router as its way to everywhere.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn add(&mut self, name: &str) -> Result<Arc<Machine>> {
        self.machines += 1;
        let (machine, net) = (Machine::new(name)?, format!("192.168.{}", self.number));
        let port = format!("lan{}", self.machines);
        cable((&machine, "eth0"), (&self.router, &port))?;
        self.router.sh(&format!("ip link set {port} master lan up"))?;
        machine.sh(&format!(
            "ip addr add {net}.{}/24 dev eth0
            ip link set eth0 up
            ip route add default via {net}.1",
            self.machines + 1
        ))?;
        Ok(Arc::new(machine))
    }

    /// Drops all UDP between the site and other networks from now on, so that its machines have only the relay.
    ///
    /// # Errors
    ///
    /// The rules cannot be set.
    pub fn lose_udp(&self) -> Result<()> {
        self.router
            .sh("nft add table ip lose
                nft 'add chain ip lose through { type filter hook forward priority 0; }'
                nft add rule ip lose through meta l4proto udp drop")
            .map(drop)
    }
}
