//! The fixed header of an IP packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    chain::{self, Chain, Fragment},
    malformed::Malformed,
    protocol,
};

const IPV4_HEADER: usize = 20;

const IPV6_HEADER: usize = 40;

/// The fixed header of an IP packet, and IPv4's options.
pub(super) struct IpHeader {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Length of the header, in bytes.
    pub(super) header: usize,
    /// Length of the packet, by its header.
    pub(super) len: usize,
    kind: Kind,
}

enum Kind {
    V4 { protocol: u8, part: chain::FragmentPart },
    V6 { next: u8 },
}

impl IpHeader {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => Self::parse_v4(bytes),
            Some(6) => Self::parse_v6(bytes),
            Some(_) | None => Err(Malformed::Version),
        }
    }

    fn parse_v4(bytes: &[u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk::<IPV4_HEADER>().ok_or(Malformed::Short)?;
        let header = usize::from(fixed[0] & 0x0f) * 4;
        let len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if header < IPV4_HEADER || len < header {
            return Err(Malformed::Short);
        }
        chain::check_options(bytes.get(IPV4_HEADER..header).ok_or(Malformed::Short)?)?;
        let protocol = fixed[9];
        let field = u16::from_be_bytes([fixed[6], fixed[7]]);
        let id = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let part = chain::FragmentPart {
            offset: usize::from(field & 0x1fff) * 8,
            more: field & 0x2000 != 0,
            fragment: Fragment { id, protocol },
        };
        Ok(Self {
            source: IpAddr::V4(address_v4(fixed, 12)),
            destination: IpAddr::V4(address_v4(fixed, 16)),
            header,
            len,
            kind: Kind::V4 { protocol, part },
        })
    }

    fn parse_v6(bytes: &[u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk::<IPV6_HEADER>().ok_or(Malformed::Short)?;
        Ok(Self {
            source: IpAddr::V6(address_v6(fixed, 8)),
            destination: IpAddr::V6(address_v6(fixed, 24)),
            header: IPV6_HEADER,
            len: IPV6_HEADER + usize::from(u16::from_be_bytes([fixed[4], fixed[5]])),
            kind: Kind::V6 { next: fixed[6] },
        })
    }

    /// The headers after this one; `payload` may be cut short.
    pub(super) fn chain<'a>(&self, payload: &'a [u8]) -> Result<Chain<'a>, Malformed> {
        match self.kind {
            Kind::V4 { protocol: protocol::ICMPV6, .. } => Err(Malformed::Header),
            Kind::V4 { protocol, part } => Ok(Chain { protocol, payload, part: Some(part) }),
            Kind::V6 { next } => match Chain::walk(next, payload)? {
                Chain { protocol: protocol::ICMP, .. } => Err(Malformed::Header),
                chain => Ok(chain),
            },
        }
    }
}

/// The destination of an IP packet, for routing; the rest is not checked.
#[must_use]
pub fn destination(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 => Some(IpAddr::V4(address_v4(bytes.first_chunk()?, 16))),
        6 => Some(IpAddr::V6(address_v6(bytes.first_chunk()?, 24))),
        _ => None,
    }
}

fn address_v4(header: &[u8; IPV4_HEADER], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3])
}

fn address_v6(header: &[u8; IPV6_HEADER], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&header[at..at + 16]);
    Ipv6Addr::from(octets)
}
