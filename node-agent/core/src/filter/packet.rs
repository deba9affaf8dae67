//! What the filter needs to know of an IP packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol numbers (IANA).
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// A later fragment that starts below this byte could overwrite the ports (RFC 1858).
const LATER_FRAGMENT_MIN: usize = 80;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const IPV6_FRAGMENT: u8 = 44;
const IPV6_FRAGMENT_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const SCTP_HEADER: usize = 12;
const ICMP_HEADER: usize = 4;
const TCP_FLAGS_AT: usize = 13;
const TCP_SYN: u8 = 0x02;
const TCP_ACK: u8 = 0x10;

/// Why bytes are not an IP packet that the filter can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither version 4 nor 6.
    #[error("not an IP packet")]
    Version,
    /// Shorter than a header or than the header says.
    #[error("packet is cut short")]
    Short,
    /// A fragment that hides or could overwrite the ports.
    #[error("fragment without a complete transport header")]
    Fragment,
}

/// The transport header, as far as the filter looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Whether it opens a connection: SYN without ACK.
        opens: bool,
    },
    /// UDP or SCTP.
    Datagram {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// Whether it answers: an echo reply or an error.
        answer: bool,
    },
    /// Any other protocol.
    Other,
    /// A fragment without a transport header.
    LaterFragment,
}

/// The headers of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// IP protocol number; in IPv6 that of the header after the fixed one and a fragment header.
    pub protocol: u8,
    /// The transport header.
    pub transport: Transport,
    /// Length of the packet by its own header; what follows is padding.
    pub len: usize,
}

impl Packet {
    /// Reads the headers of `bytes`, which may have padding after the packet.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says why the filter cannot judge it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => Self::parse_v4(bytes),
            Some(6) => Self::parse_v6(bytes),
            Some(_) | None => Err(Malformed::Version),
        }
    }

    fn parse_v4(bytes: &[u8]) -> Result<Self, Malformed> {
        let header = bytes.first_chunk::<IPV4_HEADER>().ok_or(Malformed::Short)?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < IPV4_HEADER || len < header_len {
            return Err(Malformed::Short);
        }
        let payload = bytes.get(header_len..len).ok_or(Malformed::Short)?;
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        let fragment =
            Fragment { offset: usize::from(fragment & 0x1fff) * 8, more: fragment & 0x2000 != 0 };
        let protocol = header[9];
        Ok(Self {
            source: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
            destination: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
            protocol,
            transport: Transport::parse(protocol, fragment, payload)?,
            len,
        })
    }

    fn parse_v6(bytes: &[u8]) -> Result<Self, Malformed> {
        let header = bytes.first_chunk::<IPV6_HEADER>().ok_or(Malformed::Short)?;
        let len = IPV6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut payload = bytes.get(IPV6_HEADER..len).ok_or(Malformed::Short)?;
        let mut protocol = header[6];
        let mut fragment = Fragment { offset: 0, more: false };
        if protocol == IPV6_FRAGMENT {
            let (extension, rest) =
                payload.split_first_chunk::<IPV6_FRAGMENT_HEADER>().ok_or(Malformed::Short)?;
            let field = u16::from_be_bytes([extension[2], extension[3]]);
            fragment = Fragment { offset: usize::from(field & 0xfff8), more: field & 1 != 0 };
            protocol = extension[0];
            payload = rest;
        }
        Ok(Self {
            source: IpAddr::V6(address_v6(header, 8)),
            destination: IpAddr::V6(address_v6(header, 24)),
            protocol,
            transport: Transport::parse(protocol, fragment, payload)?,
            len,
        })
    }
}

/// The destination of an IP packet, without judging the rest: what routing needs.
#[must_use]
pub fn destination(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 => {
            let header = bytes.first_chunk::<IPV4_HEADER>()?;
            Some(IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])))
        }
        6 => Some(IpAddr::V6(address_v6(bytes.first_chunk::<IPV6_HEADER>()?, 24))),
        _ => None,
    }
}

fn address_v6(header: &[u8; IPV6_HEADER], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&header[at..at + 16]);
    Ipv6Addr::from(octets)
}

#[derive(Clone, Copy)]
struct Fragment {
    offset: usize,
    more: bool,
}

impl Transport {
    fn parse(protocol: u8, fragment: Fragment, payload: &[u8]) -> Result<Self, Malformed> {
        if fragment.offset != 0 {
            let harmless = fragment.offset >= LATER_FRAGMENT_MIN;
            return if harmless { Ok(Self::LaterFragment) } else { Err(Malformed::Fragment) };
        }
        let short = if fragment.more { Malformed::Fragment } else { Malformed::Short };
        let need = match protocol {
            protocol::TCP => TCP_HEADER,
            protocol::UDP => UDP_HEADER,
            protocol::SCTP => SCTP_HEADER,
            protocol::ICMP | protocol::ICMPV6 => ICMP_HEADER,
            _ => return Ok(Self::Other),
        };
        let header = payload.get(..need).ok_or(short)?;
        let source = u16::from_be_bytes([header[0], header[1]]);
        let destination = u16::from_be_bytes([header[2], header[3]]);
        Ok(match protocol {
            protocol::TCP => {
                let flags = header[TCP_FLAGS_AT];
                let opens = flags & (TCP_SYN | TCP_ACK) == TCP_SYN;
                Self::Tcp { source, destination, opens }
            }
            protocol::ICMP => Self::Icmp { answer: matches!(header[0], 0 | 3 | 4 | 11 | 12) },
            protocol::ICMPV6 => Self::Icmp { answer: matches!(header[0], 1..=4 | 129) },
            _ => Self::Datagram { source, destination },
        })
    }
}
