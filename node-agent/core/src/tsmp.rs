//! Pings inside the tunnel: two messages of TSMP, the IP protocol 99 between Tailscale nodes.
//!
//! A node answers a ping itself, whatever the policy and the machine's firewall let through, as stock nodes do
//! (`net/packet/tsmp.go`). A packet is an IP header without options and one message:
//!
//! | message | bytes |
//! |---|---|
//! | ping | `p`, 8 bytes of data |
//! | pong | `o`, the same 8 bytes, a port (big endian; 0: none) |

use std::net::IpAddr;

use crate::filter::packet::{Packet, protocol};

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
/// Hops that a packet may take; a tunnel is one.
const TTL: u8 = 64;
const PING: u8 = b'p';
const PONG: u8 = b'o';
/// Longest packet that [`Message::packet`] writes.
pub const PACKET_MAX: usize = IPV6_HEADER + 11;

/// Data by which a pong is matched to its ping.
pub type PingId = [u8; 8];

/// A message that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks for a pong with the same data.
    Ping(PingId),
    /// The answer.
    Pong(PingId),
}

/// Whether the bytes are a packet of this protocol, as far as its fixed header says. Cheap, for the packet path.
#[must_use]
pub fn is_tsmp(bytes: &[u8]) -> bool {
    let at = match bytes.first().map(|first| first >> 4) {
        Some(4) => 9,
        Some(6) => 6,
        Some(_) | None => return false,
    };
    bytes.get(at) == Some(&protocol::TSMP)
}

impl Message {
    /// Reads the message of a packet, whose headers are `packet`; `None` for a fragment and for messages of other kinds.
    #[must_use]
    pub fn parse(packet: &Packet, bytes: &[u8]) -> Option<Self> {
        if packet.fragment.is_some() || packet.protocol != protocol::TSMP || !is_tsmp(bytes) {
            return None;
        }
        let header = match packet.source {
            IpAddr::V4(_) => usize::from(bytes.first()? & 0x0f) * 4,
            IpAddr::V6(_) => IPV6_HEADER,
        };
        let message = bytes.get(header..packet.len)?;
        let (kind, rest) = message.split_first()?;
        let id = *rest.first_chunk()?;
        match *kind {
            PING => Some(Self::Ping(id)),
            PONG => Some(Self::Pong(id)),
            _ => None,
        }
    }

    /// The IP packet with this message; `None` if the addresses are of two families.
    #[must_use]
    pub fn packet(self, from: IpAddr, to: IpAddr) -> Option<Vec<u8>> {
        let mut message = Vec::with_capacity(PACKET_MAX);
        match self {
            Self::Ping(id) => {
                message.push(PING);
                message.extend(id);
            }
            Self::Pong(id) => {
                message.push(PONG);
                message.extend(id);
                message.extend([0; 2]);
            }
        }
        let mut packet = Vec::with_capacity(PACKET_MAX);
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let len = u16::try_from(IPV4_HEADER + message.len()).ok()?.to_be_bytes();
                packet.extend([0x45, 0, len[0], len[1], 0, 0, 0, 0, TTL, protocol::TSMP, 0, 0]);
                packet.extend(from.octets());
                packet.extend(to.octets());
                let sum = checksum(&packet).to_be_bytes();
                packet[10..12].copy_from_slice(&sum);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let len = u16::try_from(message.len()).ok()?.to_be_bytes();
                packet.extend([0x60, 0, 0, 0, len[0], len[1], protocol::TSMP, TTL]);
                packet.extend(from.octets());
                packet.extend(to.octets());
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        }
        packet.extend(message);
        Some(packet)
    }
}

/// The checksum of an IPv4 header whose own is zero (RFC 1071).
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    words.fold(u16::MAX, |sum, word| {
        let (less, borrows) = sum.overflowing_sub(word);
        less - u16::from(borrows)
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A ping by hand, in the layout that stock nodes read.
    const BY_HAND: [u8; 29] = [
        0x45, 0, 0, 29, 0, 0, 0, 0, 64, 99, 0xb1, 0xfb, 100, 64, 0, 1, 100, 64, 0, 2, b'p', 1, 2,
        3, 4, 5, 6, 7, 8,
    ];
    const ID: PingId = [1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn a_ping_has_the_layout_that_stock_nodes_read() {
        let (from, to) = ("100.64.0.1".parse().unwrap(), "100.64.0.2".parse().unwrap());
        assert_eq!(Message::Ping(ID).packet(from, to).unwrap(), BY_HAND);
        assert_eq!(Message::Ping(ID).packet(from, "::1".parse().unwrap()), None);
    }

    #[test]
    fn fragments_and_other_messages_are_ignored() {
        let read = |bytes: &[u8]| Message::parse(&Packet::parse(bytes).unwrap(), bytes);
        assert_eq!(read(&BY_HAND), Some(Message::Ping(ID)));
        let mut fragment = BY_HAND;
        fragment[6] = 0x20;
        assert!(
            Packet::parse(&fragment)
                .map_or(true, |packet| Message::parse(&packet, &fragment).is_none())
        );
        let mut other = BY_HAND;
        other[20] = b'!';
        assert_eq!(read(&other), None);
        let mut short = BY_HAND;
        short[3] = 28;
        assert_eq!(read(&short), None);
    }

    #[test]
    fn only_a_peers_own_address_pings_and_only_this_node_answers() {
        use std::time::Instant;

        use crate::{
            drops::Cause,
            filter::{Flows, PacketFilter, PeerId},
        };
        let filter = PacketFilter::compile(&[], &["100.64.0.2/32".parse().unwrap()])
            .forwarding(["192.168.1.0/24".parse().unwrap()].into_iter().collect());
        let now = Instant::now();
        let mut flows = Flows::new(now);
        let peer: IpAddr = "100.64.0.1".parse().unwrap();
        let judge = filter.judge(&mut flows, PeerId(1), |address| address == peer, now);
        let ping = |from: &str, to: &str| {
            Message::Ping(ID).packet(from.parse().unwrap(), to.parse().unwrap()).unwrap()
        };
        let judged = |from, to| judge.check_own(&ping(from, to)).map(|packet| packet.source);
        assert_eq!(judged("100.64.0.1", "100.64.0.2"), Ok(peer));
        assert_eq!(judged("100.64.0.3", "100.64.0.2"), Err(Cause::Spoofed));
        assert_eq!(judged("100.64.0.2", "100.64.0.2"), Err(Cause::Spoofed));
        assert_eq!(judged("100.64.0.1", "192.168.1.1"), Err(Cause::NotForUs));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_no_bytes_panic(
            id in any::<PingId>(),
            pongs in any::<bool>(),
            v4 in any::<([u8; 4], [u8; 4])>(),
            v6 in any::<([u8; 16], [u8; 16])>(),
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let message = if pongs { Message::Pong(id) } else { Message::Ping(id) };
            for (from, to) in [(IpAddr::from(v4.0), IpAddr::from(v4.1)), (v6.0.into(), v6.1.into())] {
                let written = message.packet(from, to).unwrap();
                let packet = Packet::parse(&written).unwrap();
                prop_assert!(is_tsmp(&written) && written.len() <= PACKET_MAX);
                prop_assert_eq!((packet.source, packet.destination), (from, to));
                prop_assert_eq!(Message::parse(&packet, &written), Some(message));
            }
            let _ = is_tsmp(&bytes);
            if let Ok(packet) = Packet::parse(&bytes) {
                let _ = Message::parse(&packet, &bytes);
            }
        }
    }
}
