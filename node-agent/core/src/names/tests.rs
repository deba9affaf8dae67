use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn empty() -> Zone {
    Zone::new(Some(domain("Maru.Home.Arpa.")), &[domain("example.org")])
}

fn zone() -> Zone {
    let mut zone = empty();
    zone.add_node("home.maru.home.arpa.", [ip("100.64.0.1"), ip("fd7a:115c:a1e0::1")]);
    zone.add_node("laptop.maru.home.arpa.", [ip("100.64.0.2")]);
    zone.add_record("chat.maru.home.arpa", ip("100.64.0.1"));
    zone.add_record("deep.below.maru.home.arpa", ip("100.64.0.1"));
    zone.add_record("wiki.example.org", ip("100.64.0.2"));
    zone
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn ask(name: &str, kind: RecordType) -> Option<(ResponseCode, Vec<RData>)> {
    match zone().answer(&query(name, kind).to_vec().unwrap(), Transport::Udp) {
        Answer::Reply(bytes) => {
            let reply = Message::from_vec(&bytes).unwrap();
            assert_eq!(reply.metadata.id, 7);
            assert_eq!(reply.metadata.message_type, MessageType::Response);
            assert_eq!(reply.queries.len(), 1);
            let data = reply.answers.iter().map(|record| record.data.clone()).collect();
            Some((reply.metadata.response_code, data))
        }
        Answer::Forward => None,
        Answer::Drop => panic!("a query is never dropped"),
    }
}

fn v4(text: &str) -> RData {
    RData::A(A(text.parse().unwrap()))
}

#[test]
fn nodes_and_extra_records_have_their_addresses() {
    let ok = |data| Some((ResponseCode::NoError, data));
    assert_eq!(ask("home.maru.home.arpa.", RecordType::A), ok(vec![v4("100.64.0.1")]));
    assert_eq!(
        ask("home.maru.home.arpa.", RecordType::AAAA),
        ok(vec![RData::AAAA(AAAA("fd7a:115c:a1e0::1".parse().unwrap()))])
    );
    assert_eq!(ask("CHAT.maru.HOME.ARPA.", RecordType::A), ok(vec![v4("100.64.0.1")]));
    assert_eq!(ask("wiki.example.org.", RecordType::A), ok(vec![v4("100.64.0.2")]));
}

#[test]
fn a_name_without_that_kind_of_record_exists_all_the_same() {
    let nothing = Some((ResponseCode::NoError, vec![]));
    assert_eq!(ask("laptop.maru.home.arpa.", RecordType::AAAA), nothing);
    assert_eq!(ask("laptop.maru.home.arpa.", RecordType::HTTPS), nothing);
    assert_eq!(ask("maru.home.arpa.", RecordType::A), nothing);
    assert_eq!(ask("below.maru.home.arpa.", RecordType::A), nothing);
}

#[test]
fn unknown_names_of_the_network_are_never_asked_of_others() {
    let unknown = Some((ResponseCode::NXDomain, vec![]));
    assert_eq!(ask("nobody.maru.home.arpa.", RecordType::A), unknown);
    assert_eq!(ask("nobody.maru.home.arpa.", RecordType::TXT), unknown);
    assert_eq!(ask("9.0.64.100.in-addr.arpa.", RecordType::PTR), unknown);
}

#[test]
fn for_whom_an_address_is_not_shown_its_names_are_unknown() {
    let ask = |name: &str, kind| {
        let packet = query(name, kind).to_vec().unwrap();
        let is_shown = |address| address != ip("100.64.0.2") && address != ip("fd7a:115c:a1e0::1");
        let Answer::Reply(bytes) =
            zone_with_hidden().answer_showing(&packet, Transport::Udp, is_shown)
        else {
            panic!("{name} is asked of others");
        };
        let reply = Message::from_vec(&bytes).unwrap();
        (reply.metadata.response_code, reply.answers.len())
    };
    for (name, kind) in [
        ("laptop.maru.home.arpa.", RecordType::A),
        ("laptop.maru.home.arpa.", RecordType::ANY),
        ("laptop.maru.home.arpa.", RecordType::TXT),
        ("wiki.example.org.", RecordType::A),
        ("secret.maru.home.arpa.", RecordType::A),
        ("2.0.64.100.in-addr.arpa.", RecordType::PTR),
    ] {
        assert_eq!(ask(name, kind), (ResponseCode::NXDomain, 0), "{name}");
    }
    for (name, kind, records) in [
        ("home.maru.home.arpa.", RecordType::A, 1),
        ("home.maru.home.arpa.", RecordType::AAAA, 0),
        ("below.maru.home.arpa.", RecordType::A, 0),
        ("1.0.64.100.in-addr.arpa.", RecordType::PTR, 1),
    ] {
        assert_eq!(ask(name, kind), (ResponseCode::NoError, records), "{name}");
    }
}

/// With an intermediate name that only a node below it has.
fn zone_with_hidden() -> Zone {
    let mut zone = zone();
    zone.add_record("deep.secret.maru.home.arpa", ip("100.64.0.2"));
    zone
}

#[test]
fn other_names_are_forwarded() {
    for name in ["example.org.", "www.wiki.example.org.", "xmaru.home.arpa.", "home.arpa.", "."] {
        assert_eq!(ask(name, RecordType::A), None, "{name}");
    }
    assert_eq!(ask("1.2.0.192.in-addr.arpa.", RecordType::PTR), None);
}

#[test]
fn before_the_first_map_everything_is_forwarded() {
    let packet = query("example.org.", RecordType::A).to_vec().unwrap();
    assert_eq!(Zone::default().answer(&packet, Transport::Udp), Answer::Forward);
}

#[test]
fn addresses_of_the_mesh_point_back_to_the_node() {
    let name = |text| RData::PTR(PTR(Name::from_ascii(text).unwrap()));
    assert_eq!(
        ask("1.0.64.100.in-addr.arpa.", RecordType::PTR),
        Some((ResponseCode::NoError, vec![name("home.maru.home.arpa.")]))
    );
    let octets = "fd7a:115c:a1e0::1".parse::<Ipv6Addr>().unwrap().octets();
    let arpa: String = octets.iter().rev().map(|b| format!("{:x}.{:x}.", b & 15, b >> 4)).collect();
    assert_eq!(
        ask(&format!("{arpa}ip6.arpa."), RecordType::PTR),
        Some((ResponseCode::NoError, vec![name("home.maru.home.arpa.")]))
    );
}

#[test]
fn an_answer_too_long_for_a_datagram_says_so() {
    let mut zone = empty();
    for last in 0..200 {
        zone.add_record("many.maru.home.arpa", IpAddr::from([100, 64, 1, last]));
    }
    let packet = query("many.maru.home.arpa.", RecordType::A).to_vec().unwrap();
    let Answer::Reply(udp) = zone.answer(&packet, Transport::Udp) else { panic!() };
    assert!(udp.len() <= 512);
    assert!(Message::from_vec(&udp).unwrap().metadata.truncation);
    let Answer::Reply(tcp) = zone.answer(&packet, Transport::Tcp) else { panic!() };
    assert_eq!(Message::from_vec(&tcp).unwrap().answers.len(), 200);
}

#[test]
fn a_node_with_an_impossible_name_spoils_nothing() {
    let mut zone = zone();
    zone.add_node(&format!("{}.maru.home.arpa.", "x".repeat(64)), [ip("100.64.0.9")]);
    zone.add_node("a..b", [ip("100.64.0.9")]);
    assert_eq!(zone.lookup("home.maru.home.arpa"), [ip("100.64.0.1"), ip("fd7a:115c:a1e0::1")]);
}

#[test]
fn names_and_addresses_of_others_are_not_taken() {
    let mut zone = empty();
    for name in
        ["bank.example", "maru.home.arpa", "org", "wpad.maru.home.arpa", "a b.maru.home.arpa"]
    {
        zone.add_record(name, ip("100.64.0.9"));
        zone.add_node(name, [ip("100.64.0.9")]);
    }
    for address in ["8.8.8.8", "192.168.1.1", "127.0.0.1", "2001:db8::1", "::1"] {
        zone.add_record("printer.maru.home.arpa", ip(address));
        zone.add_node("printer.maru.home.arpa", [ip(address)]);
    }
    assert_eq!(zone, empty());
    let mut nameless = Zone::new(None, &[]);
    nameless.add_node("home.maru.home.arpa", [ip("100.64.0.1")]);
    assert_eq!(nameless, Zone::default());
}

#[test]
fn what_is_no_query_gets_no_answer() {
    let mut response = query("home.maru.home.arpa.", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    let packet = response.to_vec().unwrap();
    assert_eq!(zone().answer(&packet, Transport::Udp), Answer::Drop);
    assert_eq!(zone().answer(b"short", Transport::Udp), Answer::Drop);
}

/// Names near to ours, as well as any.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9.*_ \n-]{0,20}",
        "[a-z-]{1,6}(\\.[a-z]{1,6}){0,2}(\\.maru)?\\.home\\.arpa\\.?",
        "[a-z.\n]{0,8}\\.example\\.org",
    ]
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    let mesh = (0..1_u32 << 22).prop_map(|low| Ipv4Addr::from_bits(100 << 24 | 64 << 16 | low));
    prop_oneof![any::<IpAddr>(), mesh.prop_map(IpAddr::V4)]
}

proptest! {
    /// Whatever a coordinator names, what is answered is a host below one of the domains, at an address of the mesh.
    #[test]
    fn a_coordinator_names_only_its_own(
        told in prop::collection::vec((names(), addresses(), any::<bool>()), 0..20),
    ) {
        let mut zone = empty();
        for (name, address, is_node) in told {
            if is_node {
                zone.add_node(&name, [address]);
            } else {
                zone.add_record(&name, address);
            }
        }
        for (name, addresses) in &zone.forward {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            prop_assert!(name.chars().all(fits), "{name:?}");
            prop_assert!(name.ends_with(".maru.home.arpa") || name.ends_with(".example.org"), "{name:?}");
            prop_assert!(addresses.iter().all(|address| mesh::contains(*address)), "{addresses:?}");
        }
        for (address, name) in &zone.reverse {
            prop_assert!(mesh::contains(*address));
            prop_assert!(zone.forward.contains_key(&key(&name.to_ascii())));
        }
    }

    #[test]
    fn arbitrary_packets_never_panic_and_replies_can_be_read(
        packet in prop::collection::vec(any::<u8>(), 0..600),
        tcp in any::<bool>(),
    ) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        if let Answer::Reply(bytes) = zone().answer(&packet, transport) {
            let reply = Message::from_vec(&bytes).unwrap();
            prop_assert_eq!(&reply.metadata.id.to_be_bytes(), &packet[..2]);
            prop_assert_eq!(reply.metadata.message_type, MessageType::Response);
        }
    }

    #[test]
    fn a_damaged_query_never_panics(
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut packet = query("home.maru.home.arpa.", RecordType::A).to_vec().unwrap();
        let at = at.index(packet.len());
        packet[at] = to;
        packet.truncate(cut.index(packet.len() + 1));
        let _ = zone().answer(&packet, Transport::Udp);
    }

    /// A resolver's packet is taken by its id and its kind; a failure is always taken, and can be read.
    #[test]
    fn only_a_response_with_the_querys_id_is_an_answer(
        query in prop::collection::vec(any::<u8>(), 0..40),
        packet in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        if is_answer(&packet, &query) {
            prop_assert!(packet.len() >= HEADER && packet[..2] == query[..2] && packet[2] >= 0x80);
        }
        let failure = failure(&query);
        prop_assert!(query.len() < 2 || is_answer(&failure, &query));
        let read = Message::from_vec(&failure).unwrap().metadata;
        prop_assert_eq!((read.message_type, read.response_code), (MessageType::Response, ResponseCode::ServFail));
        prop_assert!(!is_answer(&query, &query) || query[2] >= 0x80, "a query is no answer to itself");
    }
}
