//! Packets for the TUN, put together where they follow each other, so that the kernel takes many at once (GRO).
//!
//! A [`Coalescer`] takes packets in the order in which they came and makes units of them. Packets of one unit are of one
//! flow and differ in nothing that cutting the unit again would not restore. A packet that cannot join its flow's unit
//! closes that unit: what comes later begins a new one, and units are written in the order in which they began, so that
//! no flow is reordered. Pure: no system call here.

use crate::{batch::Batch, vnet};

mod allowed;
mod segment;

pub use allowed::CoalescedProtocols;
use segment::Segment;

/// Most packets of a unit: what older kernels take of UDP.
pub const MAX_PACKETS: usize = 64;
/// Most datagrams of a unit. The kernel cuts it again and charges a socket for all pieces before their reader can run, so
/// that a long one overruns a small buffer; 16 of 1,200 bytes take 37 KiB there. What more would save is a sixteenth.
const MAX_DATAGRAMS: usize = 16;
/// Longest packet that an IP header can tell.
const MAX_LEN: usize = 65_535;
/// Longest headers of a unit: IPv6 and TCP with all its options.
const MAX_HEADERS: usize = 40 + 60;

/// Units of packets of one [`Batch`]. Its room is taken once.
#[derive(Debug)]
pub struct Coalescer {
    allowed: CoalescedProtocols,
    units: Vec<SuperPacket>,
    /// By packet number: the next packet of the same unit.
    next: Vec<usize>,
}

/// Packets that the kernel gets at once.
#[derive(Clone, Copy, Debug)]
struct SuperPacket {
    first: usize,
    last: usize,
    count: usize,
    /// Bytes of content in all.
    content: usize,
    /// What the first packet is; `None` for one that stays alone.
    segment: Option<Segment>,
    is_open: bool,
    /// Whether the first packet's checksums were found right.
    is_verified: bool,
    /// Whether the last packet bears PSH.
    push: bool,
}

/// What is written before the contents of a unit's packets.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    bytes: [u8; vnet::LEN + MAX_HEADERS],
    len: usize,
    /// Of what kind the unit is.
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

    /// Forgets all packets and says which may be put together from now on.
    pub fn clear(&mut self, allowed: CoalescedProtocols) {
        self.allowed = allowed;
        self.units.clear();
        self.next.clear();
    }

    /// Adds packet number `at` of `packets`, which has nothing after its end. Numbers ascend.
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

    /// Closes the unit of the flow that `packet` belongs to; where that is not known, those that it might belong to.
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
            // PSH asks that what came so far is handed on.
            is_open: !segment.push,
            push: segment.push,
            ..Self::alone(at)
        }
    }

    /// Takes a packet of the same flow at its end, if it fits there.
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
        // The kernel believes the checksum of a unit.
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
