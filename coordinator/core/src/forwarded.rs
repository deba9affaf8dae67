//! Determines the client behind a reverse proxy.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// An address or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// Neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an address nor a network")]
pub struct ParseNetworkError;

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let address = text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical())).ok();
        address.or_else(|| text.parse().ok()).map(Self).ok_or(ParseNetworkError)
    }
}

impl Network {
    /// Whether it contains the address. IPv4-mapped IPv6 addresses are IPv4 addresses.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// The address of the client that sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// The peer's address, without a proxy.
    Direct(IpAddr),
    /// The address in the header of a trusted proxy.
    Forwarded(IpAddr),
    /// A trusted proxy did not send the header.
    Missing,
    /// The address of a peer that sent the header and is not trusted.
    Untrusted(IpAddr),
}

/// Determines the client of a request from `peer` with these `X-Forwarded-For` headers, in their order.
///
/// Each proxy appends the address of its caller, and earlier entries can be forged. So the client is the last address that is
/// not `trusted`. An entry may have a port, and an IPv6 address brackets.
pub fn client_address<'a>(
    peer: IpAddr,
    trusted: &[Network],
    headers: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> ClientAddress {
    let peer = peer.to_canonical();
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let mut headers = headers.peekable();
    if !is_trusted(peer) {
        let pretends = !trusted.is_empty() && headers.peek().is_some();
        return if pretends { ClientAddress::Untrusted(peer) } else { ClientAddress::Direct(peer) };
    }
    let mut farthest = None;
    for part in headers.rev().flat_map(|header| header.rsplit(|byte| *byte == b',')) {
        // Entries before an invalid one may be forged.
        let Some(address) = read(part) else { break };
        farthest = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    farthest.map_or(ClientAddress::Missing, ClientAddress::Forwarded)
}

/// Whether a trusted proxy with these `X-Forwarded-Proto` headers was called over HTTPS: no entry says otherwise. Without the
/// header HTTPS is assumed.
pub fn is_https<'a>(mut headers: impl Iterator<Item = &'a [u8]>) -> bool {
    headers.all(|header| {
        let mut parts = header.split(|byte| *byte == b',');
        parts.all(|part| part.trim_ascii().eq_ignore_ascii_case(b"https"))
    })
}

/// Parses an address, with or without a port.
fn read(part: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(part).ok()?.trim();
    let address = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|at| at.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
