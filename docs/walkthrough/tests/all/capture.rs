//! What a stranger sees who reads along on the router.
//!
//! Fails if a prompt or a reply can be read there, as it is or encoded, or if a byte flows on a port
//! that the design does not list. Fails if a sealed prompt or reply can be read even inside the
//! laptop's tunnel. The same search finds there what is meant to be readable (the OpenAI-compatible
//! interface), and what was encoded on purpose, so that it is known to search.

use std::{
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use lab::{Deployment, Machine, topology::HOME};
use testkit::blocking::http;

use super::support::{
    recording::{Recording, packets, tunnel},
    search::{holds, searchable},
};

const SEALED: &str = "kumquat-4417-sealed";
const PLAIN: &str = "kumquat-5528-plain";
/// Sent in base64 on purpose, with the given number of bytes before it.
const ENCODED: [&str; 3] = ["kumquat-6630-encoded", "kumquat-6631-encoded", "kumquat-6632-encoded"];
/// What a reply's events would show if they were not sealed.
const EVENT: &str = "\"delta\":\"";

/// Where the home machine listens, and nowhere else: coordinator, relay, STUN, WireGuard.
const LISTED: [(&str, u16); 4] = [("tcp", 8443), ("tcp", 8444), ("udp", 3478), ("udp", 41641)];

/// What a recording of the router holds beside the listed ports of the home machine.
fn foreign(router: &Machine, file: &str) -> Vec<String> {
    let listed = LISTED.map(|(protocol, port)| {
        let end =
            |way| format!("({protocol} and {way} host {HOME} and {protocol} {way} port {port})");
        format!("{} or {}", end("src"), end("dst"))
    });
    packets(router, file, &format!("(tcp or udp) and not ({})", listed.join(" or ")))
}

#[test]
#[ignore = "needs: root, podman, model"]
fn the_router_sees_neither_prompt_nor_reply_and_only_the_listed_ports() {
    let mut deployment = Deployment::start().unwrap();
    let router = deployment.topology.router.clone();
    let home = HOME.parse().unwrap();
    let on_router = Recording::begin(&router, "home0", "house");
    let device = deployment.member("laptop", "alice").unwrap();
    let laptop = &device.instance;
    let on_tun = Recording::begin(&laptop.machine, &tunnel(&laptop.machine), "tunnel");

    // A sealed prompt and its reply, token by token; then both again in one piece, as history.
    let ask = ["chat", "--ignore-eos", "--max-tokens", "30", "--ask", SEALED];
    laptop.ok(&ask).unwrap();
    let history = laptop.ok(&["chat", "--history", "-o", "json"]).unwrap();
    let said = history.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let said: Vec<_> = said.map(|event| event["message"].clone()).collect();
    assert_eq!(said[0]["content"], SEALED, "{history}");
    assert_eq!(said[1]["role"], "assistant", "{history}");
    let sealed_reply = searchable(said[1]["content"].as_str().unwrap());

    let encoded = ENCODED
        .iter()
        .enumerate()
        .map(|(before, text)| STANDARD_NO_PAD.encode(format!("{}{text}", "x".repeat(before))));
    let prompt = format!("{PLAIN} {}", encoded.collect::<Vec<_>>().join(" "));
    let body = serde_json::json!({
        "model": "default", "max_tokens": 30, "ignore_eos": true,
        "messages": [{ "role": "user", "content": prompt }],
    });
    let host = "chat.maru.home.arpa:18789";
    let answer = http::request(
        laptop.dial(18789).unwrap(),
        "POST",
        "/v1/chat/completions",
        host,
        &[],
        Some(&body.to_string()),
    );
    let answer = answer.unwrap().json().unwrap();
    let plain_reply = searchable(answer["choices"][0]["message"]["content"].as_str().unwrap());

    let (_, tun_file) = on_tun.finish(SocketAddr::new(laptop.gateway().unwrap(), 80));
    let (on_router, router_file) = on_router.finish(SocketAddr::new(home, 3478));

    for readable in [PLAIN, plain_reply].iter().chain(&ENCODED) {
        assert!(holds(&tun_file, readable), "{readable:?} is readable inside the tunnel");
    }
    assert!(holds(&router_file, "/ts2021"), "what is not sealed on the router is found there");
    for sealed in [SEALED, sealed_reply, EVENT] {
        assert!(!holds(&tun_file, sealed), "the tunnel shows {sealed:?}, which was sealed");
    }
    for secret in [PLAIN, plain_reply, SEALED, sealed_reply, EVENT].iter().chain(&ENCODED) {
        assert!(!holds(&router_file, secret), "the router saw {secret:?}");
    }

    assert_eq!(foreign(&router, &on_router), Vec::<String>::new());
    let direct = packets(&router, &on_router, "udp port 41641");
    assert!(!direct.is_empty(), "nothing went through the tunnel directly");
    each_foreign_flow_would_be_noticed(&router, &laptop.machine);
}

/// Flows that the same check must find: to a port that is not listed, under a listed port at the wrong end, and to a
/// listed port of the other protocol.
fn each_foreign_flow_would_be_noticed(router: &Machine, laptop: &Machine) {
    let home = HOME.parse().unwrap();
    let to = |port| SocketAddr::new(home, port);
    let send = |from: u16, port| {
        let socket = UdpSocket::bind(("0.0.0.0", from)).unwrap();
        socket.send_to(b"planted", to(port)).unwrap();
    };
    let planted: [(&str, &(dyn Fn() + Sync)); 4] = [
        ("TCP to a port of its own", &|| {
            drop(TcpStream::connect_timeout(&to(9999), Duration::from_secs(5)));
        }),
        ("UDP to a port of its own", &|| send(0, 9999)),
        ("UDP from the port of STUN", &|| send(3478, 9999)),
        ("UDP to the coordinator's port", &|| send(0, 8443)),
    ];
    for (at, (what, flow)) in planted.into_iter().enumerate() {
        let recording = Recording::begin(router, "home0", &format!("planted-{at}"));
        laptop.in_network(flow);
        let (file, _) = recording.finish(to(3478));
        assert!(!foreign(router, &file).is_empty(), "not noticed: {what}");
    }
}
