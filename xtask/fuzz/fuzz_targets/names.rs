//! DNS: questions to the agent, what other resolvers answer it, what it asks of its own helper, and `resolv.conf`.
#![no_main]

use libfuzzer_sys::fuzz_target;

use common::mesh::RESOLVER;
use fuzz::Input;
use hickory_proto::op::{Message, MessageType, OpCode};
use node_agent_core::{
    names::{Answer, Transport, Zone, failure, is_answer},
    resolv_conf::{MARK, REQUEST_MAX, Request, nameservers, render},
};

const DOMAIN: &str = "maru.internal";

/// What the coordinator's map may make of it: names of any kind, and addresses.
fn zone(input: &mut Input<'_>) -> Zone {
    let mut zone = Zone::new(DOMAIN.parse().ok(), &[]);
    zone.add_node("home.maru.internal", addresses(1));
    zone.add_record("chat.maru.internal", addresses(1)[0]);
    for last in 2..2 + input.below(4) {
        let name = String::from_utf8_lossy(input.bytes()).into_owned();
        zone.add_node(&name, addresses(last));
    }
    zone
}

fn addresses(last: usize) -> [std::net::IpAddr; 2] {
    [
        format!("100.64.0.{last}").parse().unwrap(),
        format!("fd7a:115c:a1e0::{last:x}").parse().unwrap(),
    ]
}

/// Whether a question is about the network itself: it must not leave this machine.
fn is_ours(question: &Message) -> bool {
    let [query] = question.queries.as_slice() else { return false };
    let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    name == DOMAIN || name.ends_with(&format!(".{DOMAIN}"))
}

/// A question is answered by its own number, in room that the asker has, or passed on.
fn answer(zone: &Zone, packet: &[u8]) {
    for transport in [Transport::Udp, Transport::Tcp] {
        match zone.answer(packet, transport) {
            Answer::Reply(reply) => {
                assert!(is_answer(&reply, packet));
                assert!(transport == Transport::Tcp || reply.len() <= 1232);
                let reply = Message::from_vec(&reply).unwrap();
                assert_eq!(reply.metadata.message_type, MessageType::Response);
            }
            Answer::Forward => {
                let question = Message::from_vec(packet).unwrap();
                assert_eq!(question.metadata.op_code, OpCode::Query);
                let class = question.queries[0].query_class();
                let ours = is_ours(&question) && class == hickory_proto::rr::DNSClass::IN;
                assert!(!ours, "a name of the network leaves this machine");
            }
            Answer::Drop => {}
        }
    }
}

/// What the helper takes of an agent is one word that it wrote itself, or nothing.
fn question(packet: &[u8]) {
    let Some(question) = Request::decode(packet) else { return };
    assert_eq!(question.encode(), packet);
    assert!(packet.len() <= REQUEST_MAX);
    if let Request::Point(domain) = question {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        assert!(domain.as_str().bytes().all(is_plain));
    }
}

/// For every `resolv.conf`: while it points at the agent, it has these lines and no other name server.
fn resolver_configuration(bytes: &[u8]) {
    let original = String::from_utf8_lossy(bytes);
    assert!(!nameservers(&original).contains(&RESOLVER.into()));
    let network = DOMAIN.parse().unwrap();
    let text = render(&original, &network);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], [MARK.to_owned(), format!("nameserver {RESOLVER}")]);
    assert!(lines[2].starts_with(&format!("search {DOMAIN}")) && lines.len() <= 4);
    assert!(lines[3..].iter().all(|line| line.starts_with("options ")));
    assert!(!lines.iter().any(|line| line.contains(char::is_control)));
    assert_eq!(render(&text, &network), text);
}

fuzz_target!(|bytes: &[u8]| {
    question(bytes);
    resolver_configuration(bytes);
    let mut input = Input::new(bytes);
    let zone = zone(&mut input);
    let packet = input.rest();
    answer(&zone, packet);
    assert!(packet.len() < 2 || is_answer(&failure(packet), packet));
    let (query, other) = packet.split_at(packet.len() / 2);
    if is_answer(other, query) {
        assert_eq!(other[..2], query[..2]);
    }
});
