//! Segments super-packets of the TUN.
//!
//! The kernel's [`Header`] of a packet asks to complete a checksum, or to segment the packet (TSO, USO). Each segment gets the
//! packet's headers with its own lengths, IPv4 identification, TCP sequence number, flags and checksums. No system calls here.

use crate::{
    checksum,
    vnet::{Header, Kind},
};

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
/// Offsets of the checksum in TCP and UDP headers.
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
const TCP_SEQUENCE: usize = 4;
const TCP_FLAGS: usize = 13;
/// Flags of the last segment only: FIN and PSH.
const LAST_ONLY: u8 = 0x01 | 0x08;
/// Flag of the first segment only: CWR (RFC 3168, section 6.1.2).
const FIRST_ONLY: u8 = 0x80;

/// The segmentation of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    plan: Plan,
    /// Length of the packet.
    len: usize,
    /// Where the content of the next segment begins.
    next: usize,
    /// The next segment's number.
    number: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// One packet; with a partial checksum, the offsets of the transport header and of the field in it.
    Whole(Option<(usize, usize)>),
    /// Segments of `size` bytes of content.
    Segments { kind: Kind, transport: usize, headers: usize, size: usize },
}

impl Split {
    /// Starts segmenting a packet. `None` if header and packet do not match, or a segment would be longer than `mtu`.
    #[must_use]
    pub fn new(header: &Header, packet: &[u8], mtu: usize) -> Option<Self> {
        let plan = match header.segments {
            None => Plan::whole(header.checksum, packet, mtu)?,
            Some((kind, size)) => Plan::segments(kind, size, header.checksum, packet, mtu)?,
        };
        let next = match plan {
            Plan::Whole(_) => 0,
            Plan::Segments { headers, .. } => headers,
        };
        Some(Self { plan, len: packet.len(), next, number: 0 })
    }

    /// How many segments are left.
    #[must_use]
    pub fn left(&self) -> usize {
        match self.plan {
            Plan::Segments { size, .. } if self.number > 0 => (self.len - self.next).div_ceil(size),
            // At least one segment, even without content.
            Plan::Segments { size, .. } => (self.len - self.next).div_ceil(size).max(1),
            Plan::Whole(_) => usize::from(self.number == 0),
        }
    }

    /// Writes the next segment of `packet` (the same as in [`Self::new`]) to the beginning of `room`, and returns its length.
    /// `None` if all were written, or `room` is too short.
    pub fn next_into(&mut self, packet: &[u8], room: &mut [u8]) -> Option<usize> {
        if self.left() == 0 || packet.len() != self.len {
            return None;
        }
        let Plan::Segments { kind, transport, headers, size } = self.plan else {
            return self.whole_into(packet, room);
        };
        let end = (self.next + size).min(self.len);
        let content = &packet[self.next..end];
        let segment = room.get_mut(..headers + content.len())?;
        segment[..headers].copy_from_slice(&packet[..headers]);
        segment[headers..].copy_from_slice(content);
        finish_ip(segment, self.number);
        if kind == Kind::Udp {
            finish_udp(segment, transport);
        } else {
            let (is_first, is_last) = (self.number == 0, end == self.len);
            finish_tcp(segment, transport, self.next - headers, is_first, is_last);
        }
        self.next = end;
        self.number += 1;
        Some(segment.len())
    }

    fn whole_into(&mut self, packet: &[u8], room: &mut [u8]) -> Option<usize> {
        let whole = room.get_mut(..packet.len())?;
        whole.copy_from_slice(packet);
        if let Plan::Whole(Some((start, offset))) = self.plan {
            // The field contains the sum of the pseudo-header.
            let sum = !checksum::fold(checksum::add(0, &whole[start..]));
            let is_udp = offset == UDP_CHECKSUM;
            write_checksum(whole, start + offset, sum, is_udp);
        }
        self.number = 1;
        Some(whole.len())
    }
}

impl Plan {
    fn whole(checksum: Option<(usize, usize)>, packet: &[u8], mtu: usize) -> Option<Self> {
        let is_inside = checksum.is_none_or(|(start, offset)| start + offset + 2 <= packet.len());
        (packet.len() <= mtu && is_inside).then_some(Self::Whole(checksum))
    }

    fn segments(
        kind: Kind,
        size: usize,
        checksum: Option<(usize, usize)>,
        packet: &[u8],
        mtu: usize,
    ) -> Option<Self> {
        let (is_v4, ip) = match packet.first()? >> 4 {
            4 => (true, usize::from(packet[0] & 15) * 4),
            6 => (false, IPV6_HEADER),
            _ => return None,
        };
        // The kernel gives the transport header's offset, also after extension headers.
        let transport = checksum.map_or(ip, |(start, _)| start);
        let is_ip = ip >= if is_v4 { IPV4_HEADER } else { IPV6_HEADER } && transport >= ip;
        let fits = match kind {
            Kind::TcpV4 => is_v4,
            Kind::TcpV6 => !is_v4,
            Kind::Udp => true,
        };
        let own = match kind {
            Kind::Udp => UDP_HEADER,
            Kind::TcpV4 | Kind::TcpV6 => usize::from(packet.get(transport + 12)? >> 4) * 4,
        };
        let least = if kind == Kind::Udp { UDP_HEADER } else { TCP_HEADER };
        let headers = transport + own;
        let is_sound = is_ip && fits && own >= least && size > 0;
        let is_cut_well = headers <= packet.len() && headers + size <= mtu;
        (is_sound && is_cut_well).then_some(Self::Segments { kind, transport, headers, size })
    }
}

/// Source and destination, as in the IP header.
fn addresses(packet: &[u8]) -> &[u8] {
    if packet[0] >> 4 == 4 { &packet[12..20] } else { &packet[8..40] }
}

/// Sets a segment's length and identification.
fn finish_ip(segment: &mut [u8], number: usize) {
    let len = segment.len();
    if segment[0] >> 4 == 6 {
        segment[4..6].copy_from_slice(&((len - IPV6_HEADER) as u16).to_be_bytes());
        return;
    }
    let header = usize::from(segment[0] & 15) * 4;
    segment[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    let id = u16::from_be_bytes([segment[4], segment[5]]).wrapping_add(number as u16);
    segment[4..6].copy_from_slice(&id.to_be_bytes());
    segment[10..12].fill(0);
    let sum = !checksum::fold(checksum::add(0, &segment[..header]));
    segment[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn finish_tcp(segment: &mut [u8], start: usize, offset: usize, is_first: bool, is_last: bool) {
    let at = start + TCP_SEQUENCE;
    let sequence = segment[at..at + 4].try_into().map_or(0, u32::from_be_bytes);
    segment[at..at + 4].copy_from_slice(&sequence.wrapping_add(offset as u32).to_be_bytes());
    if !is_first {
        segment[start + TCP_FLAGS] &= !FIRST_ONLY;
    }
    if !is_last {
        segment[start + TCP_FLAGS] &= !LAST_ONLY;
    }
    let at = start + TCP_CHECKSUM;
    segment[at..at + 2].fill(0);
    let sum = checksum::transport(addresses(segment), TCP, &segment[start..]);
    write_checksum(segment, at, sum, false);
}

fn finish_udp(segment: &mut [u8], start: usize) {
    let len = (segment.len() - start) as u16;
    segment[start + 4..start + 6].copy_from_slice(&len.to_be_bytes());
    let at = start + UDP_CHECKSUM;
    segment[at..at + 2].fill(0);
    let sum = checksum::transport(addresses(segment), UDP, &segment[start..]);
    write_checksum(segment, at, sum, true);
}

/// A UDP checksum of zero would mean that there is none (RFC 768).
fn write_checksum(packet: &mut [u8], at: usize, sum: u16, is_udp: bool) {
    let sum = if is_udp && sum == 0 { u16::MAX } else { sum };
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests;
