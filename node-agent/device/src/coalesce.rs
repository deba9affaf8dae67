//! Coalesces consecutive packets for the TUN into super-packets (GRO).
//!
//! A [`Coalescer`] takes packets in the order of arrival. The packets of one unit are of one flow, and segmenting the unit
//! restores them exactly. A packet that cannot join its flow's unit closes it, and starts a new one; units are written in the
//! order in which they began, so that no flow is reordered. No system calls here.

use crate::{batch::Batch, vnet};

mod segment;

pub use segment::CoalescedProtocols;
use segment::Segment;

/// Most packets of a unit: the limit of older kernels for UDP.
pub const MAX_PACKETS: usize = 64;
/// Most datagrams of a unit. The kernel segments it again and charges the socket's buffer for all pieces at once, so that a
/// long unit overruns a small buffer; 16 datagrams of 1,200 bytes take 37 KiB. A longer unit would save at most a sixteenth.
const MAX_DATAGRAMS: usize = 16;
/// Longest IP packet.
const MAX_LEN: usize = 65_535;
/// Longest headers of a unit: IPv6 and TCP with all its options.
const MAX_HEADERS: usize = 40 + 60;

/// Units of packets of one [`Batch`]. Allocates once.
#[derive(Debug)]
pub struct Coalescer {
    allowed: CoalescedProtocols,
    units: Vec<SuperPacket>,
    /// By packet number: the next packet of the same unit.
    next: Vec<usize>,
}

/// A unit: packets that are written to the kernel at once.
#[derive(Clone, Copy, Debug)]
struct SuperPacket {
    first: usize,
    last: usize,
    count: usize,
    /// Bytes of content in all.
    content: usize,
    /// The first packet's headers; `None` for one that cannot be coalesced.
    segment: Option<Segment>,
    is_open: bool,
    /// Whether the first packet's checksums were verified.
    is_verified: bool,
    /// Whether the last packet has PSH.
    push: bool,
}

/// The headers of a unit, written before its packets' contents.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    bytes: [u8; vnet::LEN + MAX_HEADERS],
    len: usize,
    /// The unit's kind.
    pub kind: vnet::Kind,
    /// Where the content begins in each of its packets.
    pub content: usize,
}

impl Headers {
    /// The [`vnet::Header`] and the packet's headers.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Coalescer {
    /// Room for `max_packets` packets.
    #[must_use]
    pub fn new(max_packets: usize) -> Self {
        Self {
            allowed: CoalescedProtocols::default(),
            units: Vec::with_capacity(max_packets),
            next: Vec::with_capacity(max_packets),
        }
    }

    /// Removes all packets and sets the protocols to coalesce.
    pub fn clear(&mut self, allowed: CoalescedProtocols) {
        self.allowed = allowed;
        self.units.clear();
        self.next.clear();
    }

    /// Adds packet number `at` of `packets`, which is not padded. Numbers ascend.
    pub fn add(&mut self, packets: &Batch, at: usize) {
        self.next.resize(at + 1, at);
        let packet = packets.get(at);
        let Some(segment) = Segment::parse(packet, self.allowed) else {
            self.close(packets, packet);
            self.units.push(SuperPacket::alone(at));
            return;
        };
        let of_same_flow = |unit: &&mut SuperPacket| {
            let first = unit.segment.filter(|_| unit.is_open);
            first.is_some_and(|first| first.is_same_flow(packets.get(unit.first), &segment, packet))
        };
        if let Some(unit) = self.units.iter_mut().rev().find(of_same_flow) {
            if unit.take(packets, at, &segment) {
                self.next[unit.last] = at;
                unit.last = at;
                return;
            }
            unit.is_open = false;
        }
        self.units.push(SuperPacket::of(at, segment));
    }

    /// Closes the unit of `packet`'s flow, or all units that it might belong to.
    fn close(&mut self, packets: &Batch, packet: &[u8]) {
        let (between, ends) = (segment::addresses(packet), segment::ends(packet));
        for unit in &mut self.units {
            let first = packets.get(unit.first);
            let may_be = ends.is_none() || ends == segment::ends(first);
            if unit.is_open && may_be && segment::addresses(first) == between {
                unit.is_open = false;
            }
        }
    }

    /// How many units there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The numbers of the packets of unit number `unit`, in their order.
    pub fn packets(&self, unit: usize) -> impl Iterator<Item = usize> + '_ {
        let unit = self.units.get(unit);
        let mut next = unit.map_or(0, |unit| unit.first);
        (0..unit.map_or(0, |unit| unit.count)).map(move |_| {
            let at = next;
            next = self.next[at];
            at
        })
    }

    /// The headers of unit number `unit`; `None` if it has one packet only, which is written as it is.
    #[must_use]
    pub fn headers(&self, packets: &Batch, unit: usize) -> Option<Headers> {
        let unit = self.units.get(unit).filter(|unit| unit.count > 1)?;
        let segment = unit.segment?;
        let first = packets.get(unit.first);
        let mut headers = Headers {
            bytes: [0; vnet::LEN + MAX_HEADERS],
            len: vnet::LEN + segment.headers,
            kind: segment.kind,
            content: segment.headers,
        };
        let told = vnet::Header {
            checksum: Some((segment.ip, segment.checksum_offset())),
            segments: Some((segment.kind, segment.content)),
            headers: segment.headers,
        };
        headers.bytes[..vnet::LEN].copy_from_slice(&told.write());
        let packet = &mut headers.bytes[vnet::LEN..][..segment.headers];
        packet.copy_from_slice(&first[..segment.headers]);
        segment.describe(packet, unit.content, unit.push);
        Some(headers)
    }
}

impl SuperPacket {
    fn alone(at: usize) -> Self {
        Self {
            first: at,
            last: at,
            count: 1,
            content: 0,
            segment: None,
            is_open: false,
            is_verified: false,
            push: false,
        }
    }

    fn of(at: usize, segment: Segment) -> Self {
        Self {
            segment: Some(segment),
            content: segment.content,
            // PSH asks for immediate delivery.
            is_open: !segment.push,
            push: segment.push,
            ..Self::alone(at)
        }
    }

    /// Appends a packet of the same flow, if it fits.
    fn take(&mut self, packets: &Batch, at: usize, segment: &Segment) -> bool {
        let Some(first) = self.segment else { return false };
        let (packet, first_packet) = (packets.get(at), packets.get(self.first));
        let follows = first.is_followed_by(first_packet, self.count, self.content, segment, packet);
        let most = if first.kind == vnet::Kind::Udp { MAX_DATAGRAMS } else { MAX_PACKETS };
        let has_room = self.count < most
            && first.headers + self.content + segment.content <= MAX_LEN
            && segment.content <= first.content;
        if !follows || !has_room {
            return false;
        }
        // The kernel does not verify a unit's checksums.
        self.is_verified = self.is_verified || first.is_intact(first_packet);
        if !self.is_verified || !segment.is_intact(packet) {
            return false;
        }
        self.count += 1;
        self.content += segment.content;
        self.push = segment.push;
        self.is_open = !segment.push && segment.content == first.content;
        true
    }
}

#[cfg(test)]
mod tests;
