//! A port that sends back what it gets, by TCP and UDP, on machines of the lab.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use lab::Machine;
use testkit::blocking::eventually;

/// The port.
pub(crate) const PORT: u16 = 7777;
/// How long an exchange may take: a path must be found first.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one try waits.
const TRY: Duration = Duration::from_secs(2);

/// Listens on all addresses of a machine until the test ends.
pub(crate) fn serve(machine: &Machine) {
    let (listener, socket) = machine.in_network(|| {
        (TcpListener::bind(("0.0.0.0", PORT)).unwrap(), UdpSocket::bind(("0.0.0.0", PORT)).unwrap())
    });
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut writer = stream.try_clone().unwrap();
                // Whoever connects may leave.
                let _ = std::io::copy(&mut stream, &mut writer);
                let _ = writer.shutdown(Shutdown::Write);
            });
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
}

/// Whether TCP connects within a try.
pub(crate) fn reaches(machine: &Machine, address: Ipv4Addr) -> bool {
    let to = SocketAddr::from((address, PORT));
    machine.in_network(|| TcpStream::connect_timeout(&to, TRY)).is_ok()
}

/// Sends bytes by TCP and datagrams by UDP, and requires that all come back.
pub(crate) fn exchange(machine: &Machine, address: Ipv4Addr) {
    let to = SocketAddr::from((address, PORT));
    let what = format!("{} and {address}", machine.name());
    let mut stream = eventually(&format!("TCP between {what}"), || {
        machine.in_network(|| TcpStream::connect_timeout(&to, TRY))
    });
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(64 * 1024).collect();
    let mut writer = stream.try_clone().unwrap();
    let mut returned = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut returned).unwrap();
    });
    assert!(returned == sent, "other bytes came back between {what}");

    let socket = machine.in_network(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.set_read_timeout(Some(TRY)).unwrap();
    for number in 0_u8..5 {
        let datagram = [number; 1000];
        // One may be lost, but not each of five.
        assert!((0..5).any(|_| comes_back(&socket, to, &datagram)), "no UDP between {what}");
    }
}

fn comes_back(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) -> bool {
    let mut buffer = [0; 2048];
    socket.send_to(datagram, to).unwrap();
    let length = socket.recv(&mut buffer).unwrap_or(0);
    buffer[..length] == *datagram
}
