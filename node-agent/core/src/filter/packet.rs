//! What the filter needs to know of an IP packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::drops::Cause;

mod chain;
mod icmp;

use chain::Chain;
pub use icmp::{Icmp, Quoted};

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
/// What fragments can be put together to, at most.
const PACKET_MAX: usize = u16::MAX as usize;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const SCTP_HEADER: usize = 12;
const ICMP_HEADER: usize = 8;
const TCP_FLAGS_AT: usize = 13;
const TCP_FIN: u8 = 0x01;
const TCP_SYN: u8 = 0x02;
const TCP_RST: u8 = 0x04;
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
    /// Options or extension headers that no sender writes.
    #[error("headers that no sender writes")]
    Header,
    /// It asks to be sent on to addresses that its sender names (RFC 791, LSRR and SSRR; RFC 8200, routing header).
    #[error("source-routed packet")]
    SourceRouted,
    /// A fragment that hides or could overwrite the ports, or that fits into no packet.
    #[error("fragment without a complete transport header")]
    Fragment,
    /// An ICMP error about something that is no packet.
    #[error("ICMP error about no packet")]
    Quote,
}

impl Malformed {
    /// As what it is counted.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Self::Version | Self::Short | Self::Header | Self::Quote => Cause::Malformed,
            Self::SourceRouted => Cause::SourceRouted,
            Self::Fragment => Cause::Fragment,
        }
    }
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
        /// Whether its sender says that it sends no more: FIN or RST.
        closes: bool,
    },
    /// UDP or SCTP.
    Datagram {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP in IPv4, ICMPv6 in IPv6.
    Icmp(Icmp),
    /// Any other protocol.
    Other,
    /// A fragment without a transport header.
    LaterFragment,
}

/// What the fragments of one packet have in common, besides their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Chosen by the sender; 16 bits in IPv4.
    pub id: u32,
    /// The protocol, in IPv6 the header after the fragment header.
    pub protocol: u8,
}

/// The headers of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// IP protocol number; in IPv6 that of the header after the extension headers.
    pub protocol: u8,
    /// The transport header.
    pub transport: Transport,
    /// Which packet it is a part of, unless it is a whole one.
    pub fragment: Option<Fragment>,
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
        let outer = Outer::parse(bytes)?;
        let payload = bytes.get(outer.header..outer.len).ok_or(Malformed::Short)?;
        let chain = outer.chain(payload)?;
        let part = chain.part.filter(|part| part.offset != 0 || part.more);
        if let Some(part) = part {
            let fits = part.offset + chain.payload.len() <= PACKET_MAX;
            if !fits || (part.more && !chain.payload.len().is_multiple_of(8)) {
                return Err(Malformed::Fragment);
            }
        }
        Ok(Self {
            source: outer.source,
            destination: outer.destination,
            protocol: chain.protocol,
            transport: Transport::parse(&chain)?,
            fragment: part.map(|part| part.fragment),
            len: outer.len,
        })
    }
}

/// The fixed header of an IP packet, and IPv4's options.
struct Outer {
    source: IpAddr,
    destination: IpAddr,
    /// Length of the header, in bytes.
    header: usize,
    /// Length of the packet, by its header.
    len: usize,
    kind: Kind,
}

enum Kind {
    V4 { protocol: u8, part: chain::Part },
    V6 { next: u8 },
}

impl Outer {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
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
        let part = chain::Part {
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

    /// What follows the header, of which `payload` is all that is there.
    fn chain<'a>(&self, payload: &'a [u8]) -> Result<Chain<'a>, Malformed> {
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

/// The destination of an IP packet, without judging the rest: what routing needs.
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

impl Transport {
    fn parse(chain: &Chain<'_>) -> Result<Self, Malformed> {
        let (offset, more) = chain.part.map_or((0, false), |part| (part.offset, part.more));
        if offset != 0 {
            let harmless = offset >= LATER_FRAGMENT_MIN;
            return if harmless { Ok(Self::LaterFragment) } else { Err(Malformed::Fragment) };
        }
        let need = match chain.protocol {
            protocol::TCP => TCP_HEADER,
            protocol::UDP => UDP_HEADER,
            protocol::SCTP => SCTP_HEADER,
            protocol::ICMP | protocol::ICMPV6 => ICMP_HEADER,
            _ => return Ok(Self::Other),
        };
        let short = if more { Malformed::Fragment } else { Malformed::Short };
        let header = chain.payload.get(..need).ok_or(short)?;
        let (source, destination) = ports(header).ok_or(short)?;
        Ok(match chain.protocol {
            protocol::TCP => {
                let flags = header[TCP_FLAGS_AT];
                let opens = flags & (TCP_SYN | TCP_ACK) == TCP_SYN;
                let closes = flags & (TCP_FIN | TCP_RST) != 0;
                Self::Tcp { source, destination, opens, closes }
            }
            protocol::ICMP | protocol::ICMPV6 => {
                let icmp = Icmp::parse(chain.protocol, header, &chain.payload[ICMP_HEADER..])?;
                // What it quotes could lie in another fragment.
                if more && matches!(icmp, Icmp::Error(_)) {
                    return Err(Malformed::Fragment);
                }
                Self::Icmp(icmp)
            }
            _ => Self::Datagram { source, destination },
        })
    }
}

/// The first four bytes of TCP, UDP and SCTP.
fn ports(header: &[u8]) -> Option<(u16, u16)> {
    let bytes = header.first_chunk::<4>()?;
    Some((u16::from_be_bytes([bytes[0], bytes[1]]), u16::from_be_bytes([bytes[2], bytes[3]])))
}
