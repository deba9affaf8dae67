//! Addresses to listen on.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// At least one address to listen on, none of them twice. In a file it is an address, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The addresses in the order in which they were given; `None` without any, or if one is there twice.
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

    /// Where this machine itself reaches who listens there: by loopback if that is listened on.
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

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl OneOrSeveral {
    fn read<E: Error>(text: &str) -> Result<SocketAddr, E> {
        text.parse().map_err(|_| {
            E::custom(format!(
                "{text:?} is no address with a port, such as \"0.0.0.0:8443\" or \"[::]:8443\""
            ))
        })
    }
}

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Listen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address with a port, or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Listen, E> {
        Self::read(text).map(Listen::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listen, A::Error> {
        let mut addresses = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            addresses.push(Self::read(&text)?);
        }
        Listen::new(&addresses)
            .ok_or_else(|| A::Error::custom("name at least one address, and none of them twice"))
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
