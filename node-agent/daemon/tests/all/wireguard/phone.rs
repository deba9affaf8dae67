//! A phone with plain WireGuard, and what it and others open.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, mpsc::Receiver},
    thread,
    time::Duration,
};

use control_protocol::key::NodePrivate;
use lab::{Machine, Process, wireguard};

use super::{INTERFACE, PHONE, TRY};
use crate::control_plane::LIMIT;

pub(super) struct Phone {
    pub(super) machine: Arc<Machine>,
    _wireguard: Process,
    settings: String,
    router: String,
}

impl Phone {
    pub(super) fn start(machine: &Arc<Machine>, key: &NodePrivate, router: &str) -> Self {
        let process = wireguard::start(machine, INTERFACE).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let router = hex(&base64(router));
        let settings = format!(
            "private_key={}\npublic_key={}\nendpoint=10.77.1.2:51820\nallowed_ip=0.0.0.0/0\nallowed_ip=::/0",
            hex(key.as_bytes()),
            router
        );
        wireguard::set(machine, INTERFACE, &settings).unwrap();
        machine
            .sh(&format!(
                "ip addr add {}/32 dev {INTERFACE}; ip addr add {}/128 dev {INTERFACE} nodad
                 ip link set {INTERFACE} mtu 1420 up
                 ip route add 100.64.0.0/10 dev {INTERFACE}; ip -6 route add fd7a:115c:a1e0::/48 dev {INTERFACE}
                 ip route add 203.0.113.0/24 dev {INTERFACE}; ip route add 198.51.100.0/24 dev {INTERFACE}
                 ip -6 route add 2001:db8::/32 dev {INTERFACE}",
                PHONE[0], PHONE[1]
            ))
            .unwrap();
        Self { machine: Arc::clone(machine), _wireguard: process, settings, router }
    }

    /// Begins a new session. By itself it does so once it has heard nothing for 15 seconds.
    pub(super) fn begin_again(&self) {
        let without = format!("public_key={}\nremove=true", self.router);
        for settings in [&without, &self.settings] {
            wireguard::set(&self.machine, INTERFACE, settings).unwrap();
        }
    }

    pub(super) fn open(&self, to: &str, port: u16) -> Option<TcpStream> {
        open(&self.machine, to, port)
    }
}

fn base64(text: &str) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text).unwrap()
}

pub(super) fn open(machine: &Machine, to: &str, port: u16) -> Option<TcpStream> {
    let to = SocketAddr::new(to.parse().unwrap(), port);
    let stream = machine.in_network(|| TcpStream::connect_timeout(&to, TRY)).ok()?;
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    Some(stream)
}

/// Whether a connection carries something there and back; `false` once nothing came for a while.
pub(super) fn carries(stream: &mut TcpStream, limit: Duration) -> bool {
    stream.set_read_timeout(Some(limit)).unwrap();
    stream.write_all(b"a").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

/// Echoes on a port of all addresses of a machine; says who connects.
pub(super) fn listen(machine: &Machine, port: u16) -> Receiver<IpAddr> {
    let listener = machine.in_network(|| TcpListener::bind(("::", port)).unwrap());
    let (sender, callers) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let _ = sender.send(stream.peer_addr().unwrap().ip().to_canonical());
            thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                std::io::copy(&mut from, &mut to)
            });
        }
    });
    callers
}

/// The answer to a query for the address of the laptop, asked by UDP or TCP of this address.
pub(super) fn resolves(machine: &Machine, at: &str, by_tcp: bool) -> Option<Vec<u8>> {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(b"\x06laptop\x04maru\x04home\x04arpa\x00\x00\x01\x00\x01");
    let at = SocketAddr::new(at.parse().unwrap(), 53);
    let answer = if by_tcp {
        let mut stream = machine.in_network(|| TcpStream::connect_timeout(&at, TRY)).ok()?;
        stream.set_read_timeout(Some(TRY)).unwrap();
        let len = u16::try_from(query.len()).unwrap().to_be_bytes();
        stream.write_all(&[&len, &query[..]].concat()).ok()?;
        let mut len = [0; 2];
        stream.read_exact(&mut len).ok()?;
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut answer).ok()?;
        answer
    } else {
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = machine.in_network(|| UdpSocket::bind(any)).unwrap();
        socket.set_read_timeout(Some(TRY)).unwrap();
        socket.send_to(&query, at).ok()?;
        let mut answer = vec![0; 512];
        let len = socket.recv(&mut answer).ok()?;
        answer.truncate(len);
        answer
    };
    Some(answer[answer.len() - 4..].to_vec())
}
