//! The header of each packet on `/dev/net/tun` with `IFF_VNET_HDR` (virtio 1.2, section 5.1.6): a checksum to complete, and
//! the segmentation.

/// Length of the header.
pub const LEN: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const NONE: u8 = 0;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const UDP: u8 = 5;
/// Flag for TCP segments with CWR.
const ECN: u8 = 0x80;

/// The kind of segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP in IPv4.
    TcpV4,
    /// TCP in IPv6.
    TcpV6,
    /// UDP in either.
    Udp,
}

/// The header of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// With a partial checksum: offset of the transport header, and of the checksum in it.
    pub checksum: Option<(usize, usize)>,
    /// Kind of the segments, and bytes of content in each; the last may have fewer.
    pub segments: Option<(Kind, usize)>,
    /// Length of each segment's headers. Only written: the kernel's value is not reliable.
    pub headers: usize,
}

impl Header {
    /// Reads a header; `None` if it uses an offload that was not enabled.
    #[must_use]
    pub fn parse(bytes: &[u8; LEN]) -> Option<Self> {
        let number = |at: usize| usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        let kind = match bytes[1] & !ECN {
            NONE => None,
            TCP_V4 => Some(Kind::TcpV4),
            TCP_V6 => Some(Kind::TcpV6),
            UDP => Some(Kind::Udp),
            _ => return None,
        };
        Some(Self {
            checksum: (bytes[0] & NEEDS_CHECKSUM != 0).then(|| (number(6), number(8))),
            segments: kind.map(|kind| (kind, number(4))),
            headers: number(2),
        })
    }

    /// Writes the header. Numbers of 65,536 and more do not occur in packets.
    #[must_use]
    pub fn write(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let mut number = |at: usize, value: usize| {
            bytes[at..at + 2].copy_from_slice(&(value as u16).to_ne_bytes());
        };
        number(2, self.headers);
        if let Some((_, size)) = self.segments {
            number(4, size);
        }
        if let Some((start, offset)) = self.checksum {
            number(6, start);
            number(8, offset);
        }
        bytes[0] = if self.checksum.is_some() { NEEDS_CHECKSUM } else { 0 };
        bytes[1] = match self.segments {
            None => NONE,
            Some((Kind::TcpV4, _)) => TCP_V4,
            Some((Kind::TcpV6, _)) => TCP_V6,
            Some((Kind::Udp, _)) => UDP,
        };
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_was(bytes: [u8; LEN]) {
            if let Some(header) = Header::parse(&bytes) {
                let again = header.write();
                prop_assert_eq!(Header::parse(&again), Some(header));
                prop_assert_eq!(again[1], bytes[1] & !ECN);
            } else {
                prop_assert!(![0, 1, 4, 5].contains(&(bytes[1] & !ECN)));
            }
        }
    }
}
