//! A packet that can be coalesced: TCP or UDP with content and plain headers.

use crate::{checksum, vnet::Kind};

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
/// "Don't fragment", the only bit of its field that may be set.
const DONT_FRAGMENT: u16 = 0x4000;

/// The protocols whose packets are coalesced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoalescedProtocols {
    /// TCP in IPv4.
    pub tcp_v4: bool,
    /// TCP in IPv6.
    pub tcp_v6: bool,
    /// UDP.
    pub udp: bool,
}

/// The headers of a packet that coalescing needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) kind: Kind,
    /// Length of the IP header.
    pub(super) ip: usize,
    /// Length of all headers.
    pub(super) headers: usize,
    /// Length of what follows them.
    pub(super) content: usize,
    pub(super) push: bool,
}

impl Segment {
    /// Reads a packet's headers; `None` if it cannot be coalesced: another protocol, IPv4 options, IPv6 extension headers, a
    /// fragment, TCP flags other than ACK and PSH, no content, UDP without a checksum.
    pub(super) fn parse(packet: &[u8], allowed: CoalescedProtocols) -> Option<Self> {
        let (is_v4, ip, protocol) = match packet.first()? {
            0x45 => (true, IPV4_HEADER, *packet.get(9)?),
            first if first >> 4 == 6 => (false, IPV6_HEADER, *packet.get(6)?),
            _ => return None,
        };
        if packet.len() < ip || !is_whole(packet, is_v4) {
            return None;
        }
        let transport = &packet[ip..];
        let (kind, own) = match protocol {
            TCP if is_v4 && allowed.tcp_v4 => (Kind::TcpV4, tcp_header(transport)?),
            TCP if !is_v4 && allowed.tcp_v6 => (Kind::TcpV6, tcp_header(transport)?),
            UDP if allowed.udp => (Kind::Udp, udp_header(transport)?),
            _ => return None,
        };
        let content = transport.len().checked_sub(own).filter(|content| *content > 0)?;
        let push = kind != Kind::Udp && transport[13] & PSH != 0;
        Some(Self { kind, ip, headers: ip + own, content, push })
    }

    /// Where in the transport header the checksum lies.
    pub(super) fn checksum_offset(&self) -> usize {
        if self.kind == Kind::Udp { 6 } else { 16 }
    }

    fn protocol(&self) -> u8 {
        if self.kind == Kind::Udp { UDP } else { TCP }
    }

    /// Whether both packets have the same addresses, ports and protocol.
    pub(super) fn is_same_flow(&self, packet: &[u8], other: &Self, other_packet: &[u8]) -> bool {
        self.ip == other.ip
            && self.protocol() == other.protocol()
            && packet[self.ip..self.ip + 4] == other_packet[self.ip..self.ip + 4]
            && addresses(packet) == addresses(other_packet)
    }

    /// Whether segmentation would produce `next`, of the same flow, after `count` packets with `content` bytes, of which this is
    /// the first.
    pub(super) fn is_followed_by(
        &self,
        packet: &[u8],
        count: usize,
        content: usize,
        next: &Self,
        next_packet: &[u8],
    ) -> bool {
        if self.headers != next.headers || !self.has_same_ip(packet, count, next_packet) {
            return false;
        }
        if self.kind == Kind::Udp {
            return true;
        }
        let (ours, theirs) = (&packet[self.ip..self.headers], &next_packet[self.ip..self.headers]);
        let sequence = |tcp: &[u8]| u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        sequence(theirs) == sequence(ours).wrapping_add(content as u32)
            // Acknowledgement and header length; window; urgent pointer and options.
            && ours[8..13] == theirs[8..13]
            && ours[14..16] == theirs[14..16]
            && ours[18..] == theirs[18..]
    }

    fn has_same_ip(&self, packet: &[u8], count: usize, next: &[u8]) -> bool {
        if self.ip == IPV6_HEADER {
            // Traffic class, flow label; hop limit.
            return packet[..4] == next[..4] && packet[7] == next[7];
        }
        let number = |packet: &[u8]| u16::from_be_bytes([packet[4], packet[5]]);
        // The identification of an atomic datagram has no meaning (RFC 6864, section 4.1).
        let is_numbered = u16::from_be_bytes([packet[6], packet[7]]) == DONT_FRAGMENT
            || number(next) == number(packet).wrapping_add(count as u16);
        // Type of service; the flags of fragments and the time to live.
        is_numbered && packet[1] == next[1] && packet[6..9] == next[6..9]
    }

    /// Whether the checksums are right.
    pub(super) fn is_intact(&self, packet: &[u8]) -> bool {
        let ip = &packet[..self.ip];
        let has_sound_ip =
            self.ip == IPV6_HEADER || checksum::fold(checksum::add(0, ip)) == u16::MAX;
        has_sound_ip
            && checksum::transport(addresses(packet), self.protocol(), &packet[self.ip..]) == 0
    }

    /// Turns the headers of the first packet into those of a super-packet with `content` bytes: lengths, PSH of the last
    /// packet, and the sum of the pseudo-header as a partial checksum for the kernel.
    pub(super) fn describe(&self, headers: &mut [u8], content: usize, push: bool) {
        let len = self.headers + content;
        if self.ip == IPV4_HEADER {
            headers[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            headers[10..12].fill(0);
            let sum = !checksum::fold(checksum::add(0, &headers[..IPV4_HEADER]));
            headers[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            headers[4..6].copy_from_slice(&((len - IPV6_HEADER) as u16).to_be_bytes());
        }
        if self.kind == Kind::Udp {
            let length = (len - self.ip) as u16;
            headers[self.ip + 4..self.ip + 6].copy_from_slice(&length.to_be_bytes());
        } else if push {
            headers[self.ip + 13] |= PSH;
        }
        let sum = checksum::pseudo_header(addresses(headers), self.protocol(), len - self.ip);
        let at = self.ip + self.checksum_offset();
        headers[at..at + 2].copy_from_slice(&checksum::fold(sum).to_be_bytes());
    }
}

/// Protocol and ports of unfragmented TCP or UDP directly after the IP header; `None` for other packets.
pub(super) fn ends(packet: &[u8]) -> Option<(u8, &[u8])> {
    let (is_v4, ip, protocol) = match packet.first()? {
        0x45 => (true, IPV4_HEADER, *packet.get(9)?),
        first if first >> 4 == 6 => (false, IPV6_HEADER, *packet.get(6)?),
        _ => return None,
    };
    let is_whole =
        !is_v4 || packet.get(6..8)? == [0, 0] || packet.get(6..8)? == DONT_FRAGMENT.to_be_bytes();
    let ports = packet.get(ip..ip + 4)?;
    (is_whole && matches!(protocol, TCP | UDP)).then_some((protocol, ports))
}

/// Source and destination of an IP packet, as in its header; else empty.
pub(super) fn addresses(packet: &[u8]) -> &[u8] {
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(12..20).unwrap_or_default(),
        Some(6) => packet.get(8..40).unwrap_or_default(),
        Some(_) | None => &[],
    }
}

/// Whether the packet is as long as its header says, and no fragment.
fn is_whole(packet: &[u8], is_v4: bool) -> bool {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    if is_v4 {
        usize::from(number(2)) == packet.len() && number(6) & !DONT_FRAGMENT == 0
    } else {
        usize::from(number(4)) + IPV6_HEADER == packet.len()
    }
}

/// Length of a TCP header that bears ACK, maybe PSH, and no other flag.
fn tcp_header(tcp: &[u8]) -> Option<usize> {
    let header = tcp.first_chunk::<TCP_HEADER>()?;
    let is_plain = header[12] & 0x0f == 0 && header[13] & !PSH == ACK;
    let len = usize::from(header[12] >> 4) * 4;
    (is_plain && (TCP_HEADER..=tcp.len()).contains(&len)).then_some(len)
}

/// Length of the header of a UDP datagram that has a checksum and ends where the packet does.
fn udp_header(udp: &[u8]) -> Option<usize> {
    let header = udp.first_chunk::<UDP_HEADER>()?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    (len == udp.len() && header[6..8] != [0, 0]).then_some(UDP_HEADER)
}
