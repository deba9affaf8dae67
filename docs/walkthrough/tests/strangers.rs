//! Those who are near, but are not members: websites, local processes, the LAN.
//!
//! Fails if any of them can send, read or stream in a member's name, or pass as a member.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

use std::{
    io::Read as _,
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use lab::{Scene, http};

const ASK: &str =
    r#"{"model":"default","max_tokens":3,"messages":[{"role":"user","content":"hi"}]}"#;

#[test]
#[ignore = "needs: root, podman, model"]
fn a_website_open_on_a_members_laptop_speaks_for_nobody() {
    let mut scene = Scene::start().unwrap();
    let device = scene.member("laptop", "alice").unwrap();
    let laptop = &device.seat;
    let (chat, own) = ("chat.maru.internal", "chat.maru.internal:18789");
    let doors = [
        (18789, own, "/v1/chat/completions"),
        (18789, own, "/maru/v1/chat"),
        (80, chat, "/maru/v1/chat"),
    ];
    for (port, host, path) in doors {
        let send = |host: &str, headers: &[(&str, &str)]| {
            let stream = laptop.dial(port).unwrap();
            http::request(stream, "POST", path, host, headers, Some(ASK)).unwrap()
        };
        let evil = ("Origin", "http://evil.example");
        for (what, answer) in [
            ("a foreign origin", send(host, &[evil])),
            ("no origin at all, as of a sandboxed page", send(host, &[("Origin", "null")])),
            ("a foreign host", send("evil.example", &[])),
            ("a form", send(host, &[("Content-Type", "application/x-www-form-urlencoded")])),
            ("plain text", send(host, &[("Content-Type", "text/plain")])),
        ] {
            assert!((400..500).contains(&answer.status), "{what} at {path}: {}", answer.status);
            assert!(!answer.head.contains("access-control-allow"), "{what}: {}", answer.head);
        }
        let read =
            http::request(laptop.dial(port).unwrap(), "GET", "/maru/v1/keys", host, &[evil], None);
        assert!((400..500).contains(&read.unwrap().status), "a foreign origin reads the keys");
    }
    // The same request without the website's marks is answered.
    let stream = laptop.dial(18789).unwrap();
    let answer =
        http::request(stream, "POST", "/v1/chat/completions", own, &[], Some(ASK)).unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_process_at_home_and_a_packet_from_the_lan_do_not_pass_as_members() {
    let mut scene = Scene::start().unwrap();
    let device = scene.member("laptop", "alice").unwrap();
    let laptop = &device.seat;
    let address = |status: serde_json::Value| -> IpAddr {
        status["node"]["addresses"][0].as_str().unwrap().parse().unwrap()
    };
    let home = address(scene.home.status().unwrap());
    let member = address(laptop.status().unwrap());

    // A process on the home machine may connect to its own address, and gets no answer.
    let answered = scene.home.machine.in_network(|| {
        let dialled =
            TcpStream::connect_timeout(&SocketAddr::new(home, 18789), Duration::from_secs(2));
        let Ok(stream) = dialled else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        http::request(stream, "GET", "/v1/models", "chat.maru.internal:18789", &[], None).is_ok()
    });
    assert!(!answered, "a local process passed as a member");

    // The router takes the member's address and sends to the home node over the LAN.
    laptop.machine.sh("ip link set eth0 down").unwrap();
    scene
        .household
        .router
        .sh(&format!(
            "ip addr add {member}/32 dev lo; ip route add {home}/32 via 10.77.1.2 src {member}"
        ))
        .unwrap();
    scene.home.machine.sh(&format!("ip route replace {member}/32 via 10.77.1.1")).unwrap();
    let dialled = scene.household.router.in_network(|| {
        TcpStream::connect_timeout(&SocketAddr::new(home, 18789), Duration::from_secs(3))
    });
    let answered = dialled.is_ok_and(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        stream.read(&mut [0; 1]).is_ok_and(|count| count > 0)
    });
    assert!(!answered, "a packet from the LAN passed as a member's");
}
