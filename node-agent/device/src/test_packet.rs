//! Packets for tests, built field by field.

use proptest::prelude::*;

/// The extension headers of IPv6 that samples have (RFC 8200, section 4.1): a fragment's, and options for the destination.
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;
/// Both: the first byte of each is the protocol of what follows, 8 bytes on in the ones that tests use.
pub(crate) const EXTENSIONS: [u8; 2] = [FRAGMENT, OPTIONS];

/// A TCP segment or UDP datagram in an IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestPacket {
    pub(crate) v6: bool,
    pub(crate) udp: bool,
    pub(crate) port: u16,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    pub(crate) id: u16,
    pub(crate) dont_fragment: bool,
    /// Options of IPv4. In IPv6 those of an extension header before the transport's: 8n + 6 bytes, or none without one.
    pub(crate) ip_options: Vec<u8>,
    pub(crate) sequence: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

pub(crate) fn tcp() -> TestPacket {
    TestPacket {
        v6: false,
        udp: false,
        port: 1,
        tos: 0,
        ttl: 64,
        id: 0,
        dont_fragment: false,
        ip_options: Vec::new(),
        sequence: 0,
        ack: 7,
        flags: 0x10,
        window: 500,
        options: Vec::new(),
        content: vec![1; 100],
    }
}

/// The ones' complement sum, as RFC 1071 defines it.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

impl TestPacket {
    fn source(&self) -> Vec<u8> {
        if self.v6 { [0xfd; 16].to_vec() } else { vec![100, 64, 0, 1] }
    }

    fn destination(&self) -> Vec<u8> {
        if self.v6 { [0xfe; 16].to_vec() } else { vec![100, 64, 0, 2] }
    }

    /// Where the transport header begins.
    pub(crate) fn ip_len(&self) -> usize {
        if self.v6 { 40 + self.extension().len() } else { 20 + self.ip_options.len() }
    }

    fn protocol(&self) -> u8 {
        if self.udp { 17 } else { 6 }
    }

    /// The extension header, if there is one.
    fn extension(&self) -> Vec<u8> {
        if !self.v6 || self.ip_options.is_empty() {
            return Vec::new();
        }
        let eights = (2 + self.ip_options.len()) / 8;
        [&[self.protocol(), eights as u8 - 1], &self.ip_options[..]].concat()
    }

    fn pseudo(&self, len: usize) -> Vec<u8> {
        let mut bytes = [self.source(), self.destination()].concat();
        bytes.extend((len as u32).to_be_bytes());
        bytes.extend([0, 0, 0, self.protocol()]);
        bytes
    }

    /// The packet, complete.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.write(true)
    }

    /// The packet as the kernel gives it, when the rest is left to us: with the pseudo-header's sum for a checksum.
    pub(crate) fn bytes_with_partial_checksum(&self) -> Vec<u8> {
        self.write(false)
    }

    fn write(&self, complete: bool) -> Vec<u8> {
        let mut transport = [self.port.to_be_bytes(), 9_u16.to_be_bytes()].concat();
        if self.udp {
            transport.extend(((8 + self.content.len()) as u16).to_be_bytes());
            transport.extend([0; 2]);
        } else {
            transport.extend(self.sequence.to_be_bytes());
            transport.extend(self.ack.to_be_bytes());
            transport.extend([((20 + self.options.len()) / 4 * 16) as u8, self.flags]);
            transport.extend(self.window.to_be_bytes());
            transport.extend([0; 4]);
            transport.extend(&self.options);
        }
        transport.extend(&self.content);
        let pseudo = self.pseudo(transport.len());
        let checksum = if complete {
            let checksum = !sum(&[&pseudo[..], &transport].concat());
            if self.udp && checksum == 0 { 0xffff } else { checksum }
        } else {
            sum(&pseudo)
        };
        let at = if self.udp { 6 } else { 16 };
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        [self.ip_header(transport.len()), transport].concat()
    }

    fn ip_header(&self, content: usize) -> Vec<u8> {
        let protocol = self.protocol();
        let mut ip = if self.v6 {
            let extension = self.extension();
            let next = if extension.is_empty() { protocol } else { OPTIONS };
            let mut ip = vec![0x60 | self.tos >> 4, self.tos << 4, 0, 0];
            ip.extend(((extension.len() + content) as u16).to_be_bytes());
            ip.extend([next, self.ttl]);
            ip
        } else {
            let mut ip = vec![0x40 | (self.ip_len() / 4) as u8, self.tos];
            ip.extend(((self.ip_len() + content) as u16).to_be_bytes());
            ip.extend(self.id.to_be_bytes());
            ip.extend([if self.dont_fragment { 0x40 } else { 0 }, 0, self.ttl, protocol, 0, 0]);
            ip
        };
        ip.extend(self.source());
        ip.extend(self.destination());
        if self.v6 {
            ip.extend(self.extension());
        } else {
            ip.extend(&self.ip_options);
            let checksum = !sum(&ip);
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        ip
    }

    /// What cutting this into segments of `size` bytes must give.
    pub(crate) fn cut(&self, size: usize) -> Vec<Self> {
        let mut pieces: Vec<_> = self.content.chunks(size).map(<[u8]>::to_vec).collect();
        if pieces.is_empty() {
            pieces.push(Vec::new());
        }
        let last = pieces.len() - 1;
        let of = |(number, content): (usize, Vec<u8>)| {
            let mut flags = self.flags;
            if number != 0 {
                flags &= 0x7f;
            }
            if number != last {
                flags &= !0x09;
            }
            Self {
                id: self.id.wrapping_add(number as u16),
                sequence: self.sequence.wrapping_add((number * size) as u32),
                flags,
                content,
                ..self.clone()
            }
        };
        pieces.into_iter().enumerate().map(of).collect()
    }
}

/// Makes a packet a fragment that begins at `offset`, a multiple of 8, and is not the last.
pub(crate) fn fragment(mut packet: Vec<u8>, offset: u16) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        packet[6..8].copy_from_slice(&(0x2000 | (offset / 8)).to_be_bytes());
        packet[10..12].fill(0);
        let header = usize::from(packet[0] & 15) * 4;
        let checksum = !sum(&packet[..header]);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        return packet;
    }
    let [high, low] = (offset | 1).to_be_bytes();
    let header = [packet[6], 0, high, low, 0, 0, 0, 9];
    packet[6] = FRAGMENT;
    let len = u16::from_be_bytes([packet[4], packet[5]]) + header.len() as u16;
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    packet.splice(40..40, header);
    packet
}

/// Any packet with up to `content` bytes.
pub(crate) fn any_sample(content: usize) -> impl Strategy<Value = TestPacket> {
    let ip = (any::<bool>(), any::<u8>(), any::<u8>(), any::<u16>(), any::<bool>(), 0..3_usize);
    let tcp = (any::<u32>(), any::<u32>(), any::<u8>(), any::<u16>(), 0..=10_usize);
    let content = prop::collection::vec(any::<u8>(), 0..=content);
    (ip, any::<bool>(), tcp, content).prop_map(|(ip, udp, tcp, content)| {
        let (v6, tos, ttl, id, dont_fragment, ip_options) = ip;
        let (sequence, ack, flags, window, options) = tcp;
        let ip_options = match (v6, ip_options) {
            (false, words) => vec![1; words * 4],
            (true, 0) => Vec::new(),
            (true, eights) => vec![0; eights * 8 - 2],
        };
        let options = (0..options * 4).map(|at| at as u8).collect();
        TestPacket {
            v6,
            udp,
            port: 1,
            tos,
            ttl,
            id,
            dont_fragment,
            ip_options,
            sequence,
            ack,
            flags,
            window,
            options,
            content,
        }
    })
}
