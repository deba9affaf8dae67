//! ICMP and ICMPv6: echo requests and replies, and errors with the quoted packet.

use std::net::IpAddr;

use super::{chain::ports, malformed::Malformed, outer::IpHeader, protocol};

/// An ICMP message, as far as the filter looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    /// An echo request with this identifier.
    EchoRequest(u16),
    /// An echo reply with this identifier.
    EchoReply(u16),
    /// An error about this packet.
    Error(QuotedPacket),
    /// For machines of one link only: redirects, router and neighbour discovery (RFC 4861).
    LinkOnly,
    /// Anything else.
    Other,
}

/// The headers of the packet that an ICMP error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotedPacket {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source and destination port, for an echo twice its identifier. `None` if there are none in the quoted part.
    pub ports: Option<(u16, u16)>,
}

impl Icmp {
    /// Reads a message whose first 8 bytes are `header`.
    pub(super) fn parse(protocol: u8, header: &[u8], body: &[u8]) -> Result<Self, Malformed> {
        let id = u16::from_be_bytes([header[4], header[5]]);
        let error = || QuotedPacket::parse(body).map(Self::Error).map_err(|_| Malformed::Quote);
        Ok(match (protocol, header[0]) {
            (protocol::ICMP, 8) | (protocol::ICMPV6, 128) => Self::EchoRequest(id),
            (protocol::ICMP, 0) | (protocol::ICMPV6, 129) => Self::EchoReply(id),
            (protocol::ICMP, 3 | 4 | 11 | 12) => error()?,
            // All types below 128 are errors (RFC 4443, section 2.1).
            (protocol::ICMPV6, 0..128) => error()?,
            (protocol::ICMP, 5 | 9 | 10) | (protocol::ICMPV6, 133..=137) => Self::LinkOnly,
            _ => Self::Other,
        })
    }
}

impl QuotedPacket {
    /// Reads the quoted beginning of a packet, which has at least 8 bytes of the transport header (RFC 792).
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there is no valid IP header.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let outer = IpHeader::parse(bytes)?;
        let end = outer.len.min(bytes.len());
        let chain = outer.chain(bytes.get(outer.header..end).ok_or(Malformed::Short)?)?;
        let begins = chain.part.is_none_or(|part| part.offset == 0);
        let ports = match chain.protocol {
            _ if !begins => None,
            protocol::TCP | protocol::UDP | protocol::SCTP => ports(chain.payload),
            protocol::ICMP | protocol::ICMPV6 => echo_id(chain.protocol, chain.payload),
            _ => None,
        };
        Ok(Self {
            source: outer.source,
            destination: outer.destination,
            protocol: chain.protocol,
            ports,
        })
    }
}

/// The identifier of an echo request, as both ports.
fn echo_id(protocol: u8, message: &[u8]) -> Option<(u16, u16)> {
    let header = message.first_chunk::<8>()?;
    let id = u16::from_be_bytes([header[4], header[5]]);
    matches!((protocol, header[0]), (protocol::ICMP, 8) | (protocol::ICMPV6, 128))
        .then_some((id, id))
}
