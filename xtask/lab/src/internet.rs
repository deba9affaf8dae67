//! The network between sites: one router, which translates nothing.
//!
//! ```text
//!  198.18.1.1 ── 198.18.1.2 router of a site 192.168.1.1 ── .2, .3 … its machines
//!  2001:db8:18:2::1 ── router of another 2001:db8:118:2::1 ── ::2, ::3 … its machines
//!  198.19.1.1, 2001:db8:19:1::1 ── 198.19.1.2, 2001:db8:19:1::2 a server
//! ```
//!
//! The addresses outside are none of a LAN's (RFC 2544, RFC 3849).

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
    /// What the addresses of sites and servers begin with.
    nets: [&'static str; 2],
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
        Self::of(["198.18", "198.19"])
    }

    /// With these networks for sites and servers, of 16 bits.
    pub(crate) fn of(nets: [&'static str; 2]) -> Result<Self> {
        let router = Machine::new("router")?;
        router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward
            echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")?;
        Ok(Self { router: Arc::new(router), nets, sites: 0, servers: 0 })
    }

    /// Adds a server.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn server(&mut self, name: &str) -> Result<Server> {
        self.servers += 1;
        let (machine, number) = (Machine::new(name)?, self.servers);
        let (v4, v6) = (format!("{}.{number}.", self.nets[1]), format!("2001:db8:19:{number}::"));
        let port = format!("server{number}");
        link(
            (&machine, "eth0", &format!("{v4}2/24")),
            (&self.router, &port, &format!("{v4}1/24")),
        )?;
        self.router.sh(&format!("ip addr add {v6}1/64 dev {port} nodad"))?;
        machine.sh(&format!(
            "ip route add default via {v4}1
            ip addr add {v6}2/64 dev eth0 nodad
            ip route add default via {v6}1"
        ))?;
        let [v4, v6] = [v4, v6].map(|net| format!("{net}2"));
        Ok(Server { machine: Arc::new(machine), v4: v4.parse()?, v6: v6.parse()? })
    }

    /// Adds a site with its own router and no machines.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn site(&mut self, nat: Nat) -> Result<Site> {
        let number = self.number();
        Site::new(&self.router, (self.nets[0], number), nat)
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
