//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

/// At least one address to listen on, without duplicates. In a file it is an address or a list of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Addresses")]
pub struct Listen {
    first: SocketAddr,
    others: Vec<SocketAddr>,
}

impl From<SocketAddr> for Listen {
    fn from(first: SocketAddr) -> Self {
        Self { first, others: Vec::new() }
    }
}

impl Listen {
    /// A port on all addresses of both families.
    #[must_use]
    pub fn any(port: u16) -> Self {
        let first = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        Self { first, others: vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)] }
    }

    /// The port of the first address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.first.port()
    }

    /// Whether listening goes on without `address`: this machine has no IPv6, and the address is IPv6's wildcard beside others.
    #[must_use]
    pub fn is_optional(&self, address: SocketAddr) -> bool {
        address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && self.addresses().any(|it| it.is_ipv4())
    }

    /// Keeps the order of the addresses; `None` if there are none, or duplicates.
    #[must_use]
    pub fn new(addresses: &[SocketAddr]) -> Option<Self> {
        let (first, others) = addresses.split_first()?;
        let twice = addresses.iter().enumerate().any(|(at, it)| addresses[..at].contains(it));
        (!twice).then(|| Self { first: *first, others: others.to_vec() })
    }

    /// Every address.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    /// The address for clients on this machine: a loopback one if possible.
    #[must_use]
    pub fn reachable(&self) -> SocketAddr {
        let here = |mut address: SocketAddr| {
            match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
                IpAddr::V4(_) | IpAddr::V6(_) => {}
            }
            address
        };
        self.addresses().map(here).find(|at| at.ip().is_loopback()).unwrap_or(self.first)
    }
}

/// The forms of the setting.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "name an address with a port, such as \"0.0.0.0:8443\" or \"[::]:8443\", or a list of different ones"
)]
enum Addresses {
    One(SocketAddr),
    Several(Vec<SocketAddr>),
}

impl TryFrom<Addresses> for Listen {
    type Error = &'static str;

    fn try_from(addresses: Addresses) -> Result<Self, Self::Error> {
        match addresses {
            Addresses::One(address) => Ok(address.into()),
            Addresses::Several(all) => {
                Self::new(&all).ok_or("name at least one address, and none of them twice")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, serde_json::Error> {
        let listen: Listen = serde_json::from_str(text)?;
        Ok(listen.addresses().map(|address| address.to_string()).collect())
    }

    #[test]
    fn one_address_and_a_list_are_read() {
        assert_eq!(read(r#""0.0.0.0:8443""#).unwrap(), ["0.0.0.0:8443"]);
        let both = read(r#"["0.0.0.0:8443", "[::]:8443"]"#).unwrap();
        assert_eq!(both, ["0.0.0.0:8443", "[::]:8443"]);
        for text in ["[]", r#"["[::]:1", "[::]:1"]"#, r#""8443""#, r#"["home:1"]"#, "8443"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn this_machine_calls_itself_by_loopback_if_it_can() {
        let reachable = |texts: &[&str]| {
            let all: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
            Listen::new(&all).unwrap().reachable().to_string()
        };
        assert_eq!(reachable(&["0.0.0.0:1"]), "127.0.0.1:1");
        assert_eq!(reachable(&["[::]:1"]), "[::1]:1");
        assert_eq!(reachable(&["192.0.2.1:1", "[::]:2"]), "[::1]:2");
        assert_eq!(reachable(&["192.0.2.1:1", "192.0.2.2:1"]), "192.0.2.1:1");
    }
}
