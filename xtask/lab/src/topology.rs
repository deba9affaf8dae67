//! The network that `cargo xtask up` and the end-to-end tests share: a home, a router, laptops.
//!
//! ```text
//!  home 10.77.1.2 ── 10.77.1.1 router 10.77.2.1 ── 10.77.2.2 laptop
//!                               (masquerades)  3.1 ── 3.2   second laptop …
//!                                    10.78.1.1 ── 10.78.1.2 router of a site 192.168.1.1 ── .2, .3 … its machines
//!                                    10.79.1.1 ── 10.79.1.2 a server somewhere
//! ```
//!
//! The router is the one of [`crate::internet`]. It masquerades laptops, but not packets from sites. Only the product's own
//! binaries run on the machines. A laptop has one route, to the home machine.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Context as _, Result};

use crate::{Machine, internet::Internet, link, nat::Nat, site::Site};

/// Address of the home machine.
pub const HOME: &str = "10.77.1.2";
/// Three or more cabled machines.
#[derive(Debug)]
pub struct Topology {
    /// Where `maru up` runs.
    pub home: Arc<Machine>,
    /// Between them; captures are taken here.
    pub router: Arc<Machine>,
    /// Everybody else.
    pub laptops: Vec<Arc<Machine>>,
    internet: Internet,
}

impl Topology {
    /// Makes a home, a router and one laptop by each name.
    ///
    /// # Errors
    ///
    /// A machine cannot be made.
    pub fn new(laptops: &[&str]) -> Result<Self> {
        let home = Machine::new("home")?;
        let internet = Internet::of(["10.78", "10.79"])?;
        let router = Arc::clone(&internet.router);
        link((&home, "eth0", "10.77.1.2/24"), (&router, "home0", "10.77.1.1/24"))?;
        home.sh("ip route add default via 10.77.1.1")?;
        router.sh("nft add table ip nat
            nft 'add chain ip nat out { type nat hook postrouting priority 100; }'
            nft add rule ip nat out oifname home0 ip saddr != 10.78.0.0/16 masquerade")?;
        let mut topology = Self { home: Arc::new(home), router, laptops: Vec::new(), internet };
        for name in laptops {
            topology.add(name)?;
        }
        Ok(topology)
    }

    /// Adds a laptop behind the router.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn add(&mut self, name: &str) -> Result<Arc<Machine>> {
        let net = self.laptops.len() + 2;
        let laptop = Machine::new(name)?;
        link(
            (&laptop, "eth0", &format!("10.77.{net}.2/24")),
            (&self.router, &format!("lap{net}"), &format!("10.77.{net}.1/24")),
        )?;
        laptop.sh(&format!("ip route add {HOME}/32 via 10.77.{net}.1"))?;
        let laptop = Arc::new(laptop);
        self.laptops.push(Arc::clone(&laptop));
        Ok(laptop)
    }

    /// Adds a server that everybody's packets reach by its address, which is returned with it.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn server(&mut self, name: &str) -> Result<(Arc<Machine>, Ipv4Addr)> {
        let server = self.internet.server(name)?;
        Ok((server.machine, server.v4))
    }

    /// Adds a site with its own router and no machines.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn site(&mut self, nat: Nat) -> Result<Site> {
        self.internet.site(nat)
    }

    /// Drops all packets between a laptop and a TCP port of the home machine from now on.
    ///
    /// # Errors
    ///
    /// It is not a laptop of this topology.
    pub fn lose(&self, laptop: &Machine, port: u16) -> Result<()> {
        let at = self.laptops.iter().position(|other| other.pid() == laptop.pid());
        let net = at.context("not a laptop of this topology")? + 2;
        self.router.sh(&format!(
            "nft add table ip lose
            nft 'add chain ip lose through {{ type filter hook forward priority 0; }}'
            nft add rule ip lose through iifname lap{net} tcp dport {port} drop
            nft add rule ip lose through oifname lap{net} tcp sport {port} drop"
        ))?;
        Ok(())
    }
}
