//! Whom the relay lets in, for how long, and how much each may send.

use std::time::{Duration, Instant};

use control_protocol::{key::NodePrivate, register::RegisterRequest};
use coordinator::config::Config;
use coordinator_api::settings::{Relay, Settings};
use derp::frame::{Decoder, Frame};
use hyper::Method;
use mesh_identity::members::Members;
use serde_json::{Value, json};

use crate::{
    device::Device,
    harness::Coordinator,
    relay::{Client, admit, nodes, start, start_with},
};

/// How long a device that is no node any more may go on.
const CUT_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn only_nodes_get_in_and_who_is_taken_off_the_list_is_cut() {
    let root = tempfile::tempdir().unwrap();
    let relay = start(root.path()).await;
    let [first, second] = [(); 2].map(|()| NodePrivate::generate().unwrap());
    let refused = Client::try_connect(relay.derp, first.clone(), false).await;
    assert!(refused.is_none(), "there is no list yet");

    admit(root.path(), &[first.public(), second.public()]);
    let mut kept = Client::connect(relay.derp, first.clone(), false).await;
    let mut cut = Client::connect(relay.derp, second.clone(), true).await;
    let mut deaf = Client::connect(relay.derp, second, false).await;
    // It never reads what it is sent.
    for _ in 0..300 {
        kept.send(&Frame::SendPacket { to: cut.key, packet: &[0; 60_000] }).await;
    }
    let stranger = NodePrivate::generate().unwrap();
    assert!(Client::try_connect(relay.derp, stranger, true).await.is_none());

    admit(root.path(), &[first.public()]);
    assert!(cut.is_cut_within(CUT_WITHIN).await);
    assert!(deaf.is_cut_within(CUT_WITHIN).await);
    assert!(kept.is_served_after_others_left().await);
}

#[tokio::test]
async fn a_node_is_let_in_as_soon_as_it_registered_and_cut_once_it_is_none() {
    let mut coordinator = Coordinator::open().await;
    let relay = start(coordinator.root.path()).await;
    let wanted = json!({ "user": "alice", "pre_approved": true, "reusable": true });
    let key = coordinator.key(wanted).await;
    let [mut rotates, expires, removed, stays] =
        ["rotates", "expires", "removed", "stays"].map(Device::new);
    assert!(Client::try_connect(relay.derp, stays.node.clone(), false).await.is_none());
    let mut clients = Vec::new();
    for device in [&rotates, &expires, &removed, &stays] {
        device.join(&coordinator, &key).await;
        clients.push(Client::connect(relay.derp, device.node.clone(), false).await);
    }

    let old = rotates.node.public();
    rotates.node = NodePrivate::generate().unwrap();
    let request = RegisterRequest { old_node_key: Some(old), ..rotates.with_key(&key) };
    let mut channel = rotates.connect(coordinator.address).await;
    assert!(channel.register(&request).await.machine_authorized);
    let mut rotated = Client::connect(relay.derp, rotates.node.clone(), false).await;
    assert!(clients[0].is_served().await, "for a moment both keys are let in");
    coordinator.ok(Method::POST, "/devices/expires/expire", Value::Null).await;
    coordinator.ok(Method::DELETE, "/devices/removed", Value::Null).await;

    let until = Instant::now() + CUT_WITHIN;
    for (client, name) in clients.iter_mut().zip(["rotates", "expires", "removed"]) {
        let left = until.saturating_duration_since(Instant::now());
        assert!(client.is_cut_within(left).await, "{name}");
    }
    assert!(clients[3].is_served().await && rotated.is_served().await);

    // Nor does a relay need the coordinator that starts while that is down.
    coordinator.stop().await;
    let relay = start(coordinator.root.path()).await;
    Client::connect(relay.derp, stays.node, false).await;
    assert!(Client::try_connect(relay.derp, removed.node, false).await.is_none());
}

#[tokio::test]
async fn who_sends_too_much_waits_and_is_not_cut_and_nobody_else_waits() {
    const RATE: u32 = 4 * 1024;
    const BURST: u32 = 64 * 1024;
    const PACKET: usize = 16 * 1024;
    /// As many as are read before the first of them is waited for.
    const AT_ONCE: usize = 4;
    const PACKETS: usize = 6;
    let root = tempfile::tempdir().unwrap();
    let relay = Relay { bytes_per_second: RATE, burst_bytes: BURST, ..Relay::default() };
    let settings = Settings { relay, ..Settings::default() };
    let relay = start_with(root.path(), Config::from(settings)).await;
    let [flooding, drain, other] = nodes(root.path());
    let mut flood = Client::connect(relay.derp, flooding, false).await;
    let mut sink = Client::connect(relay.derp, drain, false).await;
    let mut other = Client::connect(relay.derp, other, false).await;
    let (from, to, itself) = (flood.key, sink.key, other.key);
    // What was read last is passed on before it is paid for.
    let paid = PACKETS * PACKET - usize::try_from(BURST).unwrap() - PACKET;
    let least = Duration::from_secs_f64(paid as f64 / f64::from(RATE));

    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        for _ in 0..PACKETS {
            flood.send(&Frame::SendPacket { to, packet: &[7; PACKET] }).await;
        }
        flood
    });
    for _ in 0..AT_ONCE {
        sink.expect(&Frame::RecvPacket { from, packet: &[7; PACKET] }).await;
    }
    // Much more than the other's bucket gives away in that time, and less than the own one holds.
    for _ in 0..50 {
        other.send(&Frame::SendPacket { to: itself, packet: &[9; 1024] }).await;
        other.expect(&Frame::RecvPacket { from: itself, packet: &[9; 1024] }).await;
    }
    let served = begun.elapsed();
    assert!(served < least, "after {served:?}, when the flood is held back no longer");
    for _ in AT_ONCE..PACKETS {
        sink.expect(&Frame::RecvPacket { from, packet: &[7; PACKET] }).await;
    }

    assert!(begun.elapsed() >= least, "{:?} is less than {least:?}", begun.elapsed());
    assert!(sending.await.unwrap().is_served().await, "it is not cut");
}

#[tokio::test]
async fn a_relay_that_stops_tells_its_clients_when_to_come_back() {
    let root = tempfile::tempdir().unwrap();
    let relay = start(root.path()).await;
    let [node, other] = nodes(root.path());
    let mut clients = [
        Client::connect(relay.derp, node, false).await,
        Client::connect(relay.derp, other, true).await,
    ];

    relay.stop.cancel();

    for client in &mut clients {
        let said = client.rest().await;
        let mut decoder = Decoder::new();
        decoder.handle_bytes(&said);
        let frame = decoder.poll_frame().unwrap();
        let Some(Frame::Restarting { reconnect_in_ms, try_for_ms }) = frame else {
            panic!("it says {frame:?}");
        };
        assert!((500..=2000).contains(&reconnect_in_ms) && try_for_ms == 5000);
        assert_eq!(decoder.poll_frame().unwrap(), None, "and then nothing");
    }
}

#[tokio::test]
async fn telmeet_reads_who_is_in_the_network_once_a_command_has_returned() {
    let coordinator = Coordinator::open().await;
    let list = coordinator.root.path().join("var/lib/maru/telmeet-members").join(Members::FILE);
    let read = || {
        let text = std::fs::read(&list).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&text).unwrap()["version"],
            json!(Members::VERSION)
        );
        serde_json::from_slice::<Members>(&text).unwrap()
    };
    let wanted = json!({ "user": "alice", "pre_approved": true, "reusable": true });
    let key = coordinator.key(wanted).await;
    for name in ["phone", "expires", "server"] {
        Device::new(name).join(&coordinator, &key).await;
    }
    coordinator.ok(Method::POST, "/users", json!({ "name": "bob" })).await;
    let tags = json!({ "tags": ["tag:server"] });
    coordinator.ok(Method::POST, "/devices/server/tags", tags).await;
    coordinator.ok(Method::POST, "/devices/expires/expire", Value::Null).await;

    let there = read();
    let logins: Vec<_> = there.people.iter().map(|person| person.login.as_str()).collect();
    assert_eq!(logins, ["alice", "bob"], "also who has no device");
    let alice = Some(there.people[0].id);
    let owners: Vec<_> = there.nodes.iter().map(|node| node.owner).collect();
    assert_eq!(owners, [alice, alice, None], "also one whose key has expired");

    coordinator.ok(Method::DELETE, "/devices/phone", Value::Null).await;
    coordinator.ok(Method::DELETE, "/users/bob", Value::Null).await;
    let left = read();
    assert_eq!(
        (left.people.as_slice(), left.nodes.as_slice()),
        (&there.people[..1], &there.nodes[1..])
    );
}
