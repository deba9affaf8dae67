use proptest::prelude::*;

use super::*;
use crate::test_packet::{EXTENSIONS, TestPacket, any_sample, fragment, tcp};

const ALL: CoalescedProtocols = CoalescedProtocols { tcp_v4: true, tcp_v6: true, udp: true };

/// The units that packets become: numbers, and headers where there are several.
fn units(packets: &[Vec<u8>], allowed: CoalescedProtocols) -> Vec<(Vec<usize>, Option<Headers>)> {
    let bytes = packets.iter().map(Vec::len).sum();
    let mut batch = Batch::new(packets.len(), bytes);
    for packet in packets {
        batch.push(packet, 0);
    }
    let mut coalescer = Coalescer::new(packets.len());
    coalescer.clear(allowed);
    (0..packets.len()).for_each(|at| coalescer.add(&batch, at));
    let unit = |at| (coalescer.packets(at).collect(), coalescer.headers(&batch, at));
    (0..coalescer.len()).map(unit).collect()
}

fn numbers(samples: &[TestPacket]) -> Vec<Vec<usize>> {
    let packets: Vec<_> = samples.iter().map(TestPacket::bytes).collect();
    units(&packets, ALL).into_iter().map(|(numbers, _)| numbers).collect()
}

/// Packets of a few flows, mostly such that they follow one another, now and then with something different.
fn traffic() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let change = (0..24_u8, any::<u8>());
    let packet =
        (0..6_u16, change, prop_oneof![8 => Just(40_usize), 1 => 1..40_usize, 1 => Just(0)]);
    let start = (any::<u32>(), any::<u16>(), any::<bool>());
    (start, prop::collection::vec(packet, 1..60)).prop_map(
        |((sequence, id, dont_fragment), plan)| {
            let flow = |number: u16| TestPacket {
                port: number,
                v6: number & 1 == 1,
                udp: number >= 4,
                sequence,
                id,
                dont_fragment,
                ..tcp()
            };
            let mut flows: Vec<_> = (0..6).map(flow).collect();
            plan.into_iter()
                .map(|(flow, change, content)| next(&mut flows[usize::from(flow)], change, content))
                .collect()
        },
    )
}

/// The next packet of a flow.
fn next(flow: &mut TestPacket, (change, value): (u8, u8), content: usize) -> Vec<u8> {
    let mut packet = TestPacket { content: vec![value; content], ..flow.clone() };
    match change {
        0 => packet.flags |= 0x08,
        1 => packet.flags = value,
        2 => flow.ack = flow.ack.wrapping_add(1),
        3 => flow.window = flow.window.wrapping_add(1),
        4 => packet.tos = value,
        5 => packet.ttl = value,
        6 => packet.options = vec![value; 4],
        7 => packet.ip_options = if flow.v6 { vec![0; 6] } else { vec![1; 4] },
        8 => packet.sequence = packet.sequence.wrapping_add(u32::from(value)),
        9 => packet.id = packet.id.wrapping_add(u16::from(value)),
        10 => packet.dont_fragment ^= true,
        _ => {}
    }
    flow.sequence = packet.sequence.wrapping_add(content as u32);
    flow.id = packet.id.wrapping_add(1);
    let mut bytes = packet.bytes();
    let at = usize::from(value) % bytes.len();
    match change {
        // A fragment: the first, or a later one, in which what stands where ports are means nothing.
        11 => bytes = fragment(bytes, u16::from(value & 1) * 8),
        // A wrong bit anywhere, checksums left as they were.
        12 => bytes[at] ^= 1,
        13 if flow.udp => bytes[packet.ip_len() + 6..][..2].fill(0),
        _ => {}
    }
    bytes
}

/// The packets that cutting a unit gives, with its checksums made anew.
fn cut(headers: &Headers, contents: &[u8]) -> Vec<Vec<u8>> {
    let head = vnet::Header::parse(headers.bytes().first_chunk().unwrap()).unwrap();
    let packet = [&headers.bytes()[vnet::LEN..], contents].concat();
    let mut split = crate::split::Split::new(&head, &packet, 65_535).unwrap();
    let mut room = vec![0; 65_535];
    std::iter::from_fn(|| split.next_into(&packet, &mut room).map(|len| room[..len].to_vec()))
        .collect()
}

/// A packet that is never cut may lose its number, and with it its header's checksum.
fn without_number(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] == 0x45 && packet[6] & 0x40 != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

fn flow(packet: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut ip = if packet[0] >> 4 == 6 { 40 } else { usize::from(packet[0] & 15) * 4 };
    if packet[0] >> 4 == 6 {
        let mut next = packet[6];
        while let (true, Some(after)) = (EXTENSIONS.contains(&next), packet.get(ip)) {
            (next, ip) = (*after, ip + 8);
        }
    }
    (segment::addresses(packet).to_vec(), packet.get(ip..ip + 4).unwrap_or_default().to_vec())
}

fn is_intact(packet: &[u8]) -> bool {
    Segment::parse(packet, ALL).is_some_and(|segment| segment.is_intact(packet))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Cut again, units give the packets that went in, bit for bit, each flow in its order.
    #[test]
    fn nothing_is_lost_changed_or_reordered(packets in traffic()) {
        let mut written = Vec::new();
        for (numbers, headers) in units(&packets, ALL) {
            let Some(headers) = headers else {
                prop_assert_eq!(numbers.len(), 1);
                written.push((numbers[0], packets[numbers[0]].clone()));
                continue;
            };
            let contents: Vec<u8> = numbers.iter().flat_map(|at| packets[*at][headers.content..].to_vec()).collect();
            let pieces = cut(&headers, &contents);
            prop_assert_eq!(pieces.len(), numbers.len());
            for (at, piece) in numbers.iter().zip(pieces) {
                prop_assert!(is_intact(&packets[*at]), "a wrong checksum was made right");
                written.push((*at, piece));
            }
        }
        prop_assert_eq!(written.len(), packets.len());
        for (at, packet) in &written {
            prop_assert_eq!(without_number(packet), without_number(&packets[*at]));
        }
        for (place, (at, packet)) in written.iter().enumerate() {
            let overtaken = written[..place].iter().any(|(other, earlier)| other > at && flow(earlier) == flow(packet));
            prop_assert!(!overtaken, "{at} was overtaken");
        }
    }

    /// Any packet at all passes once.
    #[test]
    fn any_bytes_pass(packets in prop::collection::vec(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..90),
        any_sample(50).prop_map(|sample| sample.bytes()),
    ], 1..20)) {
        let mut numbers: Vec<_> = units(&packets, ALL).into_iter().flat_map(|(numbers, _)| numbers).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (0..packets.len()).collect::<Vec<_>>());
    }
}

#[test]
fn a_stream_is_one_unit_and_two_streams_are_two() {
    for (v6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
        let whole = TestPacket {
            v6,
            udp,
            content: (0..=255).collect(),
            sequence: u32::MAX - 99,
            id: 65_535,
            ..tcp()
        };
        let one = whole.cut(100);
        assert_eq!(numbers(&one), [[0, 1, 2]], "{v6} {udp}");
        let other = TestPacket { port: 2, ..whole }.cut(100);
        let both: Vec<_> = one.into_iter().zip(other).flat_map(|(a, b)| [a, b]).collect();
        assert_eq!(numbers(&both), [[0, 2, 4], [1, 3, 5]]);
    }
}

#[test]
fn a_short_segment_or_push_closes_a_unit() {
    let whole = TestPacket { content: vec![0; 600], ..tcp() };
    let mut segments = whole.cut(100);
    segments[2].flags |= 0x08;
    assert_eq!(numbers(&segments), [vec![0, 1, 2], vec![3, 4, 5]]);
    let mut segments = TestPacket { content: vec![0; 250], ..tcp() }.cut(100);
    segments.extend(TestPacket { content: vec![0; 200], sequence: 250, id: 3, ..tcp() }.cut(100));
    assert_eq!(numbers(&segments), [vec![0, 1, 2], vec![3, 4]]);
}

#[test]
fn a_wrong_checksum_is_never_merged() {
    for wrong in 0..3 {
        let mut packets: Vec<_> = TestPacket { content: vec![5; 300], ..tcp() }
            .cut(100)
            .iter()
            .map(TestPacket::bytes)
            .collect();
        packets[wrong][60] ^= 4;
        let units = units(&packets, ALL);
        assert!(units.iter().any(|(numbers, _)| *numbers == [wrong]), "{wrong}: {units:?}");
    }
}

/// Options of IPv4, extension headers of IPv6, and fragments, in the midst of a stream: nothing joins them, nor passes them.
#[test]
fn what_has_unusual_headers_passes_alone() {
    for (v6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
        let plain = TestPacket { v6, udp, content: vec![5; 900], ..tcp() };
        let with_options =
            TestPacket { ip_options: if v6 { vec![0; 6] } else { vec![1; 4] }, ..plain.clone() };
        let bytes =
            |whole: &TestPacket| whole.cut(100).iter().map(TestPacket::bytes).collect::<Vec<_>>();
        let options = bytes(&with_options);
        let fragments: Vec<_> =
            bytes(&plain).into_iter().map(|packet| fragment(packet, 0)).collect();
        for unusual in [options, fragments] {
            assert_eq!(units(&unusual, ALL).len(), 9, "{v6} {udp}");
            let mut packets = bytes(&plain);
            packets[3..6].clone_from_slice(&unusual[3..6]);
            let numbers: Vec<_> =
                units(&packets, ALL).into_iter().map(|(numbers, _)| numbers).collect();
            let expected = [vec![0, 1, 2], vec![3], vec![4], vec![5], vec![6, 7, 8]];
            assert_eq!(numbers, expected, "{v6} {udp}");
        }
    }
}

#[test]
fn what_is_not_allowed_passes_alone() {
    for (v6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
        let packets: Vec<_> = TestPacket { v6, udp, content: vec![5; 300], ..tcp() }
            .cut(100)
            .iter()
            .map(TestPacket::bytes)
            .collect();
        assert_eq!(units(&packets, CoalescedProtocols::default()).len(), 3);
    }
}

#[test]
fn a_unit_stays_within_what_a_header_can_tell() {
    let mut samples = Vec::new();
    for number in 0..80_u32 {
        samples.push(TestPacket {
            sequence: number * 1200,
            id: number as u16,
            content: vec![0; 1200],
            ..tcp()
        });
    }
    assert_eq!(numbers(&samples).iter().map(Vec::len).collect::<Vec<_>>(), [54, 26]);
    for sample in &mut samples {
        sample.content.truncate(1);
    }
    for (number, sample) in samples.iter_mut().enumerate() {
        sample.sequence = number as u32;
    }
    assert_eq!(numbers(&samples).iter().map(Vec::len).collect::<Vec<_>>(), [64, 16]);
}

/// A socket with a small buffer would lose what does not fit: the kernel puts all of a unit there at once.
#[test]
fn few_datagrams_are_put_together() {
    let datagram = |id: u16| TestPacket { udp: true, id, ..tcp() };
    let datagrams: Vec<_> = (0..40).map(datagram).collect();
    let lens: Vec<usize> = numbers(&datagrams).iter().map(Vec::len).collect();
    assert_eq!(lens, [16, 16, 8]);
}
