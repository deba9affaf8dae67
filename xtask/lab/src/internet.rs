//! The network between sites: one router, which translates nothing.
//!
//! ```text
//!   10.78.1.1, fd78:1::1 ── router of a site 192.168.1.1 (fd78:1:1::1) ── .2, .3 … its machines
//!   10.79.1.1, fd79:1::1 ── 10.79.1.2, fd79:1::2 a server somewhere
//! ```

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use anyhow::Result;

use crate::{Machine, link, nat::Nat, site::Site};

/// Where sites and servers meet, by IPv4 and IPv6.
#[derive(Debug)]
pub struct Internet {
    /// Its router; captures are taken here.
    pub router: Arc<Machine>,
    sites: u8,
    servers: u8,
}

/// A machine that everybody reaches.
#[derive(Clone, Debug)]
pub struct Server {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl Internet {
    /// Without sites and servers.
    ///
    /// # Errors
    ///
    /// The router cannot be made.
    pub fn new() -> Result<Self> {
        let router = Machine::new("router")?;
        router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward
            echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")?;
        Ok(Self { router: Arc::new(router), sites: 0, servers: 0 })
    }

    /// Adds a server.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn server(&mut self, name: &str) -> Result<Server> {
        self.servers += 1;
        let (machine, net) = (Machine::new(name)?, self.servers);
        let port = format!("server{net}");
        link(
            (&machine, "eth0", &format!("10.79.{net}.2/24")),
            (&self.router, &port, &format!("10.79.{net}.1/24")),
        )?;
        machine.sh(&format!(
            "ip route add default via 10.79.{net}.1
            ip addr add fd79:{net}::2/64 dev eth0 nodad
            ip route add default via fd79:{net}::1"
        ))?;
        self.router.sh(&format!("ip addr add fd79:{net}::1/64 dev {port} nodad"))?;
        let v6 = format!("fd79:{net}::2").parse()?;
        Ok(Server { machine: Arc::new(machine), v4: Ipv4Addr::new(10, 79, net, 2), v6 })
    }

    /// Adds a site with its own router and no machines.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn site(&mut self, nat: Nat) -> Result<Site> {
        let number = self.number();
        Site::new(&self.router, number, nat)
    }

    /// Adds a site behind the router of another.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn site_behind(&mut self, outer: &mut Site, nat: Nat) -> Result<Site> {
        let number = self.number();
        outer.behind(number, nat)
    }

    /// Adds a site that has IPv6 and nothing else.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn ipv6_site(&mut self) -> Result<Site> {
        let number = self.number();
        Site::ipv6(&self.router, number)
    }

    fn number(&mut self) -> u8 {
        self.sites += 1;
        self.sites
    }
}
