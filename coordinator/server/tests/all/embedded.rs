//! The relay as a part of the coordinator, on its HTTPS port.

use std::{fs, net::SocketAddr, time::Duration};

use control_protocol::key::NodePrivate;
use coordinator_api::settings::{Relay, Settings, Tls};
use derp::{frame::Frame, stun};
use rustix::{
    net::{getpeername, sockopt::tcp_user_timeout},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};
use serde_json::json;
use tokio::{net::UdpSocket, time::timeout};

use crate::{
    device::Device,
    harness::{Coordinator, PATIENCE, configured, settings},
    relay::Client,
    tls::{Authority, NAME, ask},
};

/// How long the socket of this process whose other end is `peer` waits for what it sent to be acknowledged.
fn unacknowledged_ms(peer: SocketAddr) -> Option<u32> {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let sockets = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let number = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let socket = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()).ok()?;
        let other = SocketAddr::try_from(getpeername(&socket).ok()??).ok()?;
        (other == peer).then_some(socket)
    });
    sockets.map(|socket| tcp_user_timeout(&socket).unwrap()).next()
}

#[tokio::test]
async fn nodes_relay_over_the_coordinators_own_port() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.issue(folder.path(), NAME);
    let file = |name: &str| Some(folder.path().join(name));
    let tls = Tls { certificate: file("cert.pem"), key: file("key.pem"), ..Tls::default() };
    let stun_listen = lab::free_port().unwrap();
    let config = configured(Settings {
        server_url: Some(format!("https://{NAME}:8443")),
        tls: Some(tls),
        relay: Relay { embedded: true, stun_listen: stun_listen.into(), ..Relay::default() },
        ..settings()
    });
    let mut coordinator = Coordinator::with(config, None).await;
    let wanted = json!({ "user": "alice", "pre_approved": true, "reusable": true });
    let key = coordinator.key(wanted).await;
    let [one, other] = ["one", "other"].map(Device::new);
    let mut channel = one.join(&coordinator, &key).await;
    other.join(&coordinator, &key).await;

    // Where it is, and that it is believed as the coordinator is.
    let map = channel.stream().await.next().await.unwrap().derp_map.unwrap();
    let node = &map.regions[&1].nodes[0];
    assert_eq!((node.host_name.as_str(), node.port(), node.cert_name.as_str()), (NAME, 8443, ""));
    assert_eq!(node.stun(), Some(stun_listen.port()));

    // The rest of the port is as it was.
    let mut asking = authority.open(coordinator.address).await.unwrap();
    assert!(ask(&mut asking, "/key?v=130").await.contains("publicKey"));
    let mut asking = authority.open(coordinator.address).await.unwrap();
    let answer = ask(&mut asking, "/register/0123").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");

    let stranger = NodePrivate::generate().unwrap();
    assert!(Client::try_connect(coordinator.address, stranger, false).await.is_none());
    let mut a = Client::connect(coordinator.address, one.node, false).await;
    let mut b = Client::connect(coordinator.address, other.node, true).await;
    let (from, to) = (a.key, b.key);
    assert_eq!(unacknowledged_ms(a.own_address()), Some(90_000), "who is gone is not kept");
    a.send(&Frame::SendPacket { to, packet: &[5; 1400] }).await;
    b.expect(&Frame::RecvPacket { from, packet: &[5; 1400] }).await;

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&stun::request([3; 12]), stun_listen).await.unwrap();
    let mut buffer = [0; 1500];
    let (len, _) = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert!(stun::parse_response(&buffer[..len]).is_ok());

    coordinator.ok(hyper::Method::DELETE, "/devices/other", serde_json::Value::Null).await;
    assert!(b.is_cut_within(Duration::from_secs(5)).await);
    let gone = derp::frame::GoneReason::Disconnected;
    a.expect(&Frame::PeerGone { peer: to, reason: gone }).await;
    coordinator.stop().await;
    let said = a.rest().await;
    assert_eq!(said.first(), Some(&0x15), "that it restarts: {said:?}");
}
