use proptest::prelude::*;

use super::*;
use crate::{
    test_packet::{TestPacket, any_sample, fragment, tcp},
    vnet::LEN,
};

const MTU: usize = 1280;

/// What the kernel says of `whole` when it is to be cut.
fn header(whole: &TestPacket, size: usize) -> Header {
    let kind = match (whole.udp, whole.v6) {
        (true, _) => Kind::Udp,
        (false, false) => Kind::TcpV4,
        (false, true) => Kind::TcpV6,
    };
    let offset = if whole.udp { UDP_CHECKSUM } else { TCP_CHECKSUM };
    Header { checksum: Some((whole.ip_len(), offset)), segments: Some((kind, size)), headers: 7 }
}

fn all(header: &Header, packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let Some(mut split) = Split::new(header, packet, mtu) else { return Vec::new() };
    let mut segments = Vec::new();
    let mut room = vec![0xaa; mtu];
    loop {
        let left = split.left();
        let Some(len) = split.next_into(packet, &mut room) else {
            assert_eq!(left, 0);
            return segments;
        };
        assert_eq!(split.left(), left - 1, "what is left is known before");
        segments.push(room[..len].to_vec());
    }
}

proptest! {
    #[test]
    fn segments_are_what_cutting_field_by_field_gives(whole in any_sample(5000), size in 1..1100_usize) {
        let expected: Vec<_> = whole.cut(size).iter().map(TestPacket::bytes).collect();
        let packet = whole.bytes_with_partial_checksum();
        prop_assert_eq!(&all(&header(&whole, size), &packet, MTU), &expected);
        // The field's old content does not matter; only behind an extension header it is needed to find the transport's.
        if !whole.v6 || whole.ip_options.is_empty() {
            let without = Header { checksum: None, ..header(&whole, size) };
            prop_assert_eq!(&all(&without, &whole.bytes(), MTU), &expected);
        }
    }

    #[test]
    fn a_checksum_is_completed_also_where_nothing_is_cut(whole in any_sample(1000), eighth in 0..0x1fff_u16) {
        let header = Header { segments: None, ..header(&whole, 0) };
        let packet = whole.bytes_with_partial_checksum();
        prop_assert_eq!(all(&header, &packet, MTU), [whole.bytes()]);
        let complete = Header::default();
        for packet in [fragment(packet.clone(), eighth * 8), packet] {
            prop_assert_eq!(all(&complete, &packet, MTU), [packet]);
        }
    }

    /// Whatever a header says of whatever packet, no segment is longer than the MTU, and content is neither lost nor made.
    #[test]
    fn nothing_is_made_of_what_does_not_fit(
        head: [u8; LEN],
        packet in prop::collection::vec(any::<u8>(), 0..3000),
        first in prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()],
    ) {
        let mut packet = packet;
        if let Some(byte) = packet.first_mut() { *byte = first; }
        let Some(header) = Header::parse(&head) else { return Ok(()) };
        let segments = all(&header, &packet, MTU);
        prop_assert!(segments.iter().all(|segment| segment.len() <= MTU));
        if let (None, [whole]) = (header.segments, &segments[..]) {
            prop_assert_eq!(whole.len(), packet.len());
        }
    }
}

#[test]
fn a_udp_checksum_of_zero_is_written_as_ffff() {
    // The content is chosen so that the sum of all else is its complement.
    let mut datagram = TestPacket { udp: true, content: vec![0; 2], ..tcp() };
    let bytes = datagram.bytes();
    datagram.content = bytes[26..28].to_vec();
    let packet = datagram.bytes_with_partial_checksum();
    for segments in [None, Some((Kind::Udp, 2))] {
        let header = Header { segments, ..header(&datagram, 2) };
        assert_eq!(all(&header, &packet, MTU)[0][26..28], [0xff, 0xff]);
    }
}

#[test]
fn numbers_wrap_and_flags_stay_where_they_belong() {
    let whole = TestPacket {
        id: 0xffff,
        sequence: u32::MAX - 50,
        flags: 0x99,
        content: vec![3; 250],
        ..tcp()
    };
    let segments = all(&header(&whole, 100), &whole.bytes_with_partial_checksum(), MTU);
    let field = |segment: &Vec<u8>, at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
    let ids: Vec<_> = segments.iter().map(|segment| field(segment, 4)).collect();
    assert_eq!(ids, [0xffff, 0, 1]);
    let sequences: Vec<_> = segments
        .iter()
        .map(|bytes| u32::from_be_bytes(bytes[24..28].try_into().unwrap()))
        .collect();
    assert_eq!(sequences, [u32::MAX - 50, 49, 149]);
    let flags: Vec<_> = segments.iter().map(|segment| segment[33]).collect();
    assert_eq!(flags, [0x90, 0x10, 0x19], "CWR first, FIN and PSH last");
}

#[test]
fn what_would_be_longer_than_the_mtu_is_not_sent() {
    let whole = TestPacket { content: vec![0; 3000], ..tcp() };
    let packet = whole.bytes_with_partial_checksum();
    assert_eq!(all(&header(&whole, MTU - 40), &packet, MTU).len(), 3);
    assert_eq!(Split::new(&header(&whole, MTU - 39), &packet, MTU), None);
    assert_eq!(Split::new(&Header::default(), &packet, MTU), None);
}
