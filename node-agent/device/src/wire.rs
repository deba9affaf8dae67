//! Classifies datagrams of the shared UDP socket.

use node_agent_core::disco;

/// Length of a handshake initiation.
pub const INITIATION_LEN: usize = 148;
/// Length of a handshake response.
pub const RESPONSE_LEN: usize = 92;
/// Length of a cookie reply.
pub const COOKIE_LEN: usize = 64;
/// Bytes that a transport message adds to its content; also the length of a keepalive.
pub const DATA_OVERHEAD: usize = 32;

/// The type of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// WireGuard: handshake initiation.
    Initiation,
    /// WireGuard: handshake response.
    Response {
        /// Index that the receiver chose.
        receiver: u32,
    },
    /// WireGuard: cookie reply.
    Cookie {
        /// Index that the receiver chose.
        receiver: u32,
    },
    /// WireGuard: transport data.
    Data {
        /// Index that the receiver chose.
        receiver: u32,
        /// Its nonce.
        counter: u64,
        /// Whether it has no content.
        empty: bool,
    },
    /// Disco: it begins with [`disco::MAGIC`] and has room for a box.
    Disco,
    /// Neither: STUN, or noise.
    Foreign,
}

/// Classifies a datagram. WireGuard's messages have their full header.
#[must_use]
pub fn classify(datagram: &[u8]) -> Message {
    let Some((kind, rest)) = datagram.split_first_chunk::<4>() else {
        return Message::Foreign;
    };
    match (u32::from_le_bytes(*kind), datagram.len()) {
        (1, INITIATION_LEN) => Message::Initiation,
        (2, RESPONSE_LEN) => Message::Response { receiver: u32_at(&rest[4..]) },
        (3, COOKIE_LEN) => Message::Cookie { receiver: u32_at(rest) },
        (4, DATA_OVERHEAD..) => Message::Data {
            receiver: u32_at(rest),
            counter: u64::from(u32_at(&rest[4..])) | u64::from(u32_at(&rest[8..])) << 32,
            empty: datagram.len() == DATA_OVERHEAD,
        },
        _ if disco::sender(datagram).is_some() => Message::Disco,
        _ => Message::Foreign,
    }
}

fn u32_at(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stun_is_foreign_and_disco_is_known_by_its_first_bytes() {
        let stun = [&[1, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &[0; 20]].concat();
        assert_eq!(classify(&stun), Message::Foreign);
        let disco = [&b"TS\xf0\x9f\x92\xac"[..], &[0; 32 + 24 + 16]].concat();
        assert_eq!(classify(&disco), Message::Disco);
        assert_eq!(classify(&disco[..disco.len() - 1]), Message::Foreign, "too short");
    }

    #[test]
    fn headers_are_read_where_they_are() {
        let mut data = vec![0; 48];
        data[..16].copy_from_slice(&[4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let counter = 0x0c0b_0a09_0807_0605;
        assert_eq!(classify(&data), Message::Data { receiver: 0x0403_0201, counter, empty: false });
        assert!(matches!(classify(&data[..32]), Message::Data { empty: true, .. }));
        assert_eq!(classify(&data[..31]), Message::Foreign);
        let mut response = vec![0; RESPONSE_LEN];
        response[..12].copy_from_slice(&[2, 0, 0, 0, 9, 9, 9, 9, 1, 2, 3, 4]);
        assert_eq!(classify(&response), Message::Response { receiver: 0x0403_0201 });
        let mut cookie = vec![0; COOKIE_LEN];
        cookie[..8].copy_from_slice(&[3, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(classify(&cookie), Message::Cookie { receiver: 0x0403_0201 });
    }

    proptest! {
        /// Whatever comes, it is classified as the protocol library would.
        #[test]
        fn agrees_with_the_protocol_library(
            kind in prop_oneof![0..6_u32, any::<u32>()],
            len in prop_oneof![Just(148_usize), Just(92), Just(64), 0..200_usize],
            fill: u8,
        ) {
            let mut datagram = vec![fill; len];
            if let Some(head) = datagram.first_chunk_mut::<4>() {
                *head = kind.to_le_bytes();
            }
            let theirs = boringtun::noise::Tunn::parse_incoming_packet(&datagram).is_ok();
            let is_wireguard = !matches!(classify(&datagram), Message::Foreign | Message::Disco);
            prop_assert_eq!(is_wireguard, theirs);
        }
    }
}
