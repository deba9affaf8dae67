use proptest::prelude::*;

use super::*;

fn keys() -> [DiscoPrivate; 2] {
    [DiscoPrivate::from_bytes([7; 32]), DiscoPrivate::from_bytes([8; 32])]
}

/// The ends of a channel between two nodes.
fn channel() -> [Channel; 2] {
    let [one, other] = keys();
    [Channel::new(&one, &other.public()), Channel::new(&other, &one.public())]
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    // An IPv4 address that is mapped into IPv6 is read as IPv4.
    let v6 = any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).to_canonical());
    let v4 = any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from_bits(bits).into());
    (prop_oneof![v6, v4], any::<u16>()).prop_map(SocketAddr::from)
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<[u8; 12]>(), any::<[u8; 32]>()).prop_map(|(transaction, node)| Message::Ping {
            transaction,
            node: NodePublic::from_bytes(node)
        }),
        (any::<[u8; 12]>(), any_address())
            .prop_map(|(transaction, seen)| Message::Pong { transaction, seen }),
        prop::collection::vec(any_address(), 0..70).prop_map(Message::CallMeMaybe),
    ]
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened_by_the_peer_alone(message in any_message(), nonce: [u8; 24]) {
        let [one, other] = channel();
        let datagram = one.seal(&message, nonce);
        prop_assert_eq!(sender(&datagram), Some(keys()[0].public()));
        prop_assert_eq!(other.open(&datagram), Some(message));
        let stranger = Channel::new(&DiscoPrivate::from_bytes([9; 32]), &keys()[0].public());
        prop_assert_eq!(stranger.open(&datagram), None);
    }

    #[test]
    fn a_changed_datagram_is_not_opened(message in any_message(), at: prop::sample::Index, bit in 0..8_u8) {
        let [one, other] = channel();
        let mut datagram = one.seal(&message, [3; 24]);
        // The key in the header only chooses the channel.
        let at = at.index(datagram.len() - 32 - MAGIC.len()) + 32 + MAGIC.len();
        datagram[at] ^= 1 << bit;
        prop_assert_eq!(other.open(&datagram), None);
    }

    /// Whatever the content is, what is read is written the same; unknown types and versions are ignored.
    #[test]
    fn any_content_is_read_or_ignored(mut content in prop::collection::vec(any::<u8>(), 0..200), kind in 0..6_u8, version in 0..3_u8) {
        if let Some([first, second]) = content.first_chunk_mut() {
            (*first, *second) = (kind, version);
        }
        let read = Message::decode(&content);
        if !(1..=3).contains(&kind) || version != 0 {
            prop_assert_eq!(&read, &None);
        }
        if let Some(message) = read {
            prop_assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn any_bytes_are_no_message(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let [one, _] = channel();
        prop_assert_eq!(one.open(&bytes), None);
        prop_assert!(sender(&bytes).is_none() || bytes.starts_with(&MAGIC));
    }
}

/// Bytes as `disco_test.go` of the Go client has them.
#[test]
fn contents_are_those_of_the_go_client() {
    let transaction = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let pong = Message::Pong { transaction, seen: "2.3.4.5:1234".parse().unwrap() };
    assert_eq!(
        hex(&pong.encode()),
        "02000102030405060708090a0b0c00000000000000000000ffff0203040504d2"
    );
    let addresses = ["1.2.3.4:567", "[2001::3456]:789"].map(|text| text.parse().unwrap());
    assert_eq!(
        hex(&Message::CallMeMaybe(addresses.into()).encode()),
        "030000000000000000000000ffff010203040237200100000000000000000000000034560315"
    );
    let node = NodePublic::from_bytes([0xab; 32]);
    let ping = Message::Ping { transaction, node }.encode();
    assert_eq!(hex(&ping), format!("01000102030405060708090a0b0c{}", "ab".repeat(32)));
    let padded = [&ping[..], &[0; 900]].concat();
    assert_eq!(Message::decode(&padded), Some(Message::Ping { transaction, node }));
    assert_eq!(Message::decode(&ping[..14]), None, "no node key");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
