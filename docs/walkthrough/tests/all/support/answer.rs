//! Servers on machines of the lab that tell who asked: a web server and a resolver.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use lab::Machine;

/// How long one try waits.
const TRY: Duration = Duration::from_secs(2);

/// Serves HTTP on port 80 until the test ends: the answer is the address that the request came from.
pub(crate) fn serve_web(machine: &Machine) {
    // Of both families.
    let listener = machine.in_network(|| TcpListener::bind(("::", 80)).unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let from = stream.peer_addr().unwrap().ip().to_canonical().to_string();
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(TRY));
                let _ = stream.read(&mut [0; 1024]);
                let length = from.len();
                // Whoever asks may leave.
                let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{from}");
            });
        }
    });
}

/// From which address a web server sees what this machine sends; nothing if it is not reached.
pub(crate) fn seen_as(machine: &Machine, server: impl Into<IpAddr>) -> Option<IpAddr> {
    let to = SocketAddr::new(server.into(), 80);
    let mut stream = machine.in_network(|| TcpStream::connect_timeout(&to, TRY)).ok()?;
    stream.set_read_timeout(Some(TRY)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.rsplit("\r\n").next()?.parse().ok()
}

/// Answers DNS on port 53 until the test ends: one name has one address, no other has any.
pub(crate) fn serve_name(machine: &Machine, name: &'static str, address: Ipv4Addr) {
    let socket = machine.in_network(|| UdpSocket::bind(("0.0.0.0", 53)).unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = answer(&buffer[..length], name, address) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
}

/// Answers one question (RFC 1035, section 4.1): an address for the name, no record of other types, NXDOMAIN for others.
fn answer(query: &[u8], name: &str, address: Ipv4Addr) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let question = query.get(12..at + 4)?;
    let is_known = labels.join(".") == name;
    let is_address = query.get(at..at + 2)? == [0, 1];
    let answers = u8::from(is_known && is_address);
    let mut reply = query.get(..2)?.to_vec();
    reply.extend([0x84 | query[2] & 1, if is_known { 0x80 } else { 0x83 }]);
    reply.extend([0, 1, 0, answers, 0, 0, 0, 0]);
    reply.extend(question);
    if answers == 1 {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

/// The IPv4 address that programs of this machine find for a name, by its own `resolv.conf`.
pub(crate) fn looks_up(machine: &Machine, name: &str) -> Option<Ipv4Addr> {
    let out = machine.command("getent").args(["ahostsv4", name]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split_whitespace().next()?.parse().ok()
}
