//! The headers of an IP packet that the filter needs.

use std::net::IpAddr;

mod chain;
mod icmp;
mod malformed;
mod outer;
pub mod protocol;

pub use chain::Fragment;
use chain::{Chain, LATER_FRAGMENT_MIN, TCP_HEADER, ports};
pub use icmp::{Icmp, QuotedPacket};
pub use malformed::Malformed;
use outer::IpHeader;
pub use outer::destination;

/// Largest reassembled packet.
const PACKET_MAX: usize = u16::MAX as usize;
const UDP_HEADER: usize = 8;
const SCTP_HEADER: usize = 12;
const ICMP_HEADER: usize = 8;
const TCP_FLAGS_AT: usize = 13;
const TCP_FIN: u8 = 0x01;
const TCP_SYN: u8 = 0x02;
const TCP_RST: u8 = 0x04;
const TCP_ACK: u8 = 0x10;

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
        /// Whether it closes the connection: FIN or RST.
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
    /// The fragmented packet that it is a part of; `None` for a whole packet.
    pub fragment: Option<Fragment>,
    /// Length of the packet by its own header; what follows is padding.
    pub len: usize,
}

impl Packet {
    /// Reads the headers of `bytes`, which may have padding after the packet.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let outer = IpHeader::parse(bytes)?;
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
                // The quoted packet could be in another fragment.
                if more && matches!(icmp, Icmp::Error(_)) {
                    return Err(Malformed::Fragment);
                }
                Self::Icmp(icmp)
            }
            _ => Self::Datagram { source, destination },
        })
    }
}
