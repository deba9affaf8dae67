use std::collections::BTreeMap as Map;

use control_protocol::{
    key::NodePrivate,
    map::{Node, NodeId},
};
use proptest::prelude::*;

use super::*;

const OWN: &str = "203.0.113.9:41641";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A map with one peer that has these endpoints, and its key.
fn map(endpoints: &[&str]) -> (Netmap, NodePublic) {
    let key = NodePrivate::generate().unwrap().public();
    let peer = Node {
        key,
        machine_authorized: true,
        addresses: vec!["100.64.0.7/32".parse().unwrap()],
        allowed_ips: vec!["100.64.0.7/32".parse().unwrap()].into(),
        endpoints: endpoints.iter().map(|text| at(text)).collect(),
        ..Node::default()
    };
    (Netmap { peers: Map::from([(NodeId::from(7), peer)]), ..Netmap::default() }, key)
}

#[test]
fn an_endpoint_is_judged_by_what_arrived_where_somebody_tried() {
    let reach = Reach::default();
    let (first, second, third) = (at(OWN), at("198.51.100.1:7"), at("198.51.100.2:7"));
    let requests = reach.begin(1, &[first, second, third], &[]);
    let transaction = stun::parse_request(&requests[0]).unwrap();
    let says = |endpoint| stun::response(transaction, endpoint);
    for endpoint in [first, second] {
        assert!(reach.handle_answer(&says(endpoint), |round, it| round.sent.insert(it)));
    }
    assert!(reach.handle_datagram(&says(first)));
    // Neither a stranger's datagram nor one of an endpoint that is not ours counts.
    assert!(!reach.handle_datagram(&stun::response([9; 12], second)));
    assert!(reach.handle_datagram(&says(at("192.0.2.1:1"))));

    reach.end(&[first, second, third], &[], Instant::now());

    assert_eq!(reach.reached(first), Some(true));
    assert_eq!(reach.reached(second), Some(false));
    assert_eq!((reach.reached(third), reach.reached(at("192.0.2.1:1"))), (None, None));
    // The round is over.
    assert!(!reach.handle_datagram(&says(second)));
    // An endpoint that is no more is forgotten.
    reach.begin(0, &[second], &[]);
    reach.end(&[second], &[], Instant::now());
    assert_eq!((reach.reached(first), reach.reached(second)), (None, Some(false)));
}

#[test]
fn a_member_that_answers_about_other_endpoints_has_nothing_kept() {
    let reach = Reach::default();
    let requests = reach.begin(1, &[at(OWN)], &[]);
    let transaction = stun::parse_request(&requests[0]).unwrap();
    for port in 1..=1000 {
        let answer = stun::response(transaction, SocketAddr::from(([192, 0, 2, 1], port)));
        assert!(reach.handle_datagram(&answer));
        assert!(reach.handle_answer(&answer, |round, it| round.sent.insert(it)));
    }
    let state = reach.state();
    assert_eq!((state.round.sent.len(), state.round.arrived.len()), (0, 0));
}

#[test]
fn a_member_has_a_few_datagrams_sent_to_its_own_outer_addresses_alone_and_seldom() {
    let many: Vec<_> = (1..=9).map(|host| format!("198.51.100.{host}:41641")).collect();
    let mut listed = vec!["192.168.1.2:41641", "169.254.1.1:1", "[fd00::1]:1", "127.0.0.1:1"];
    listed.extend(many.iter().map(String::as_str));
    let (map, key) = map(&listed);
    let stranger = NodePrivate::generate().unwrap().public();
    let reach = Reach::default();
    let now = Instant::now();
    let asked = |key, now| reach.endpoints_for(&map, &[at(OWN)], key, now);

    let expected: Vec<_> = many[..MAX_ENDPOINTS].iter().map(|text| at(text)).collect();
    assert!(asked(stranger, now).is_empty());
    assert_eq!(asked(key, now), expected);
    assert!(asked(key, now + PAUSE / 2).is_empty());
    assert_eq!(asked(key, now + 2 * PAUSE), expected);
}

#[test]
fn a_member_in_the_same_place_proves_nothing_and_does_not_try() {
    let asked = |seen: &str, endpoint: &str| {
        let (map, key) = map(&[endpoint]);
        Reach::default().endpoints_for(&map, &[at(seen)], key, Instant::now())
    };
    assert_eq!(asked("203.0.113.9:7", "198.51.100.1:41641"), [at("198.51.100.1:41641")]);
    assert!(asked("198.51.100.1:7", "198.51.100.1:41641").is_empty());
    // No STUN server showed an address of this family.
    assert!(asked("[2001:db8::1]:7", "198.51.100.1:41641").is_empty());
}

#[test]
fn a_tcp_address_is_judged_by_the_word_of_members_who_were_asked() {
    let reach = Reach::default();
    let (open, closed, untried) =
        (at("203.0.113.9:8443"), at("203.0.113.9:8444"), at("203.0.113.9:8445"));
    let all = [open, closed, untried];
    let requests = reach.begin(1, &[at(OWN)], &[all.as_slice(), &[at(OWN)]].concat());
    let transaction = stun::parse_request(&requests[0]).unwrap();
    for address in [open, closed, at(OWN), at("192.0.2.1:22")] {
        reach.handle_tcp_answer(&stun::response(transaction, address));
    }
    reach.handle_tcp_answer(&stun::response(connected(transaction), open));
    // A stranger, who knows no transaction.
    reach.handle_tcp_answer(&stun::response([9; 12], untried));
    reach.handle_tcp_answer(&stun::response(connected([9; 12]), closed));

    reach.end(&[at(OWN)], &all, Instant::now());
    assert_eq!(reach.tcp(), [(open, true), (closed, false)].into());
    // A round in which nobody answers takes nothing back; an address that is no more is forgotten.
    reach.begin(1, &[at(OWN)], &[closed]);
    reach.end(&[at(OWN)], &[closed], Instant::now());
    assert_eq!(reach.tcp(), [(closed, false)].into());
}

/// A laptop in a hotel that lets little out says nothing about the router at home.
#[test]
fn a_member_that_does_not_arrive_takes_back_nothing_of_the_last_hour() {
    let (endpoint, address) = (at(OWN), at("203.0.113.9:8443"));
    let udp = |reach: &Reach, transaction, arrives| {
        let word = stun::response(transaction, endpoint);
        reach.handle_answer(&word, |round, endpoint| round.sent.insert(endpoint));
        if arrives {
            reach.handle_datagram(&word);
        }
    };
    let tcp = |reach: &Reach, transaction, arrives| {
        reach.handle_tcp_answer(&stun::response(transaction, address));
        if arrives {
            reach.handle_tcp_answer(&stun::response(connected(transaction), address));
        }
    };
    type Try<'a> = &'a dyn Fn(&Reach, TransactionId, bool);
    type Observed<'a> = &'a dyn Fn(&Reach) -> Option<bool>;
    let reached: [(Try<'_>, Observed<'_>); 2] = [
        (&udp, &|reach| reach.reached(endpoint)),
        (&tcp, &|reach| reach.tcp().get(&address).copied()),
    ];
    for (member, reached) in reached {
        let (reach, start) = (Reach::default(), Instant::now());
        // What is known after a round in which a member tries and arrives or not, or nobody tries.
        let round = |arrives: Option<bool>, after| {
            let requests = reach.begin(1, &[endpoint], &[address]);
            if let Some(arrives) = arrives {
                member(&reach, stun::parse_request(&requests[0]).unwrap(), arrives);
            }
            reach.end(&[endpoint], &[address], start + after);
            reached(&reach)
        };
        assert_eq!(round(Some(false), Duration::ZERO), Some(false));
        assert_eq!(round(Some(true), Duration::ZERO), Some(true));
        assert_eq!(round(Some(false), KEPT / 2), Some(true));
        // The hour is that of the arrival, not of the last word.
        assert_eq!(round(Some(false), KEPT), Some(false));
        assert_eq!(round(Some(true), 2 * KEPT), Some(true));
        // It ends when nobody tries, too: nothing is known then.
        assert_eq!(round(None, 3 * KEPT - Duration::from_secs(1)), Some(true));
        assert_eq!(round(None, 3 * KEPT), None);
    }
}

#[test]
fn the_ports_of_a_coordinator_are_tried_at_few_addresses() {
    let endpoints: Vec<_> = (1..=4).map(|host| at(&format!("198.51.100.{host}:41641"))).collect();
    let tried = tcp_addresses(&endpoints, &[8443, 8444]);
    let expected =
        ["198.51.100.1:8443", "198.51.100.1:8444", "198.51.100.2:8443", "198.51.100.2:8444"];
    assert_eq!(tried, expected.map(at));
    assert!(tcp_addresses(&endpoints, &[]).is_empty());
}

proptest! {
    #[test]
    fn no_bytes_are_taken_for_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        let reach = Reach::default();
        reach.begin(3, &[at(OWN)], &[]);
        prop_assert!(!reach.handle_datagram(&bytes));
    }
}
