//! Streams of a device, and whether they go on.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use lab::{Machine, transfer::Transfer};
use testkit::blocking::eventually;

use super::TRY;
use crate::control_plane::LIMIT;

/// Bytes of a stream that is compared.
pub(super) const MANY: usize = 10_000_000;

/// An open connection to the echo service.
pub(super) struct EchoStream(pub(super) TcpStream);

impl EchoStream {
    pub(super) fn open(machine: &Machine, to: IpAddr) -> io::Result<Self> {
        let to = SocketAddr::new(to, 80);
        machine.in_network(|| TcpStream::connect_timeout(&to, TRY)).map(Self)
    }

    /// Whether what it says comes back in time.
    pub(super) fn goes_on(&mut self, within: Duration) -> bool {
        let mut back = [0; 5];
        self.0.set_read_timeout(Some(within)).unwrap();
        self.0.write_all(b"hello").is_ok() && self.0.read_exact(&mut back).is_ok()
    }

    /// Sends many bytes, and gets the same ones back.
    pub(super) fn carries(mut self) {
        let sent: Vec<u8> = (0..MANY).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
        self.0.set_read_timeout(Some(LIMIT)).unwrap();
        let mut writer = self.0.try_clone().unwrap();
        let mut back = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                writer.write_all(&sent).unwrap();
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            });
            self.0.read_to_end(&mut back).unwrap();
        });
        assert!(back == sent, "{} of {MANY} bytes came back, or others", back.len());
    }
}

/// Waits until more of a stream arrives.
pub(super) fn goes_on(stream: &Transfer, what: &str) {
    let before = stream.carried();
    eventually(what, || stream.carried() > before + 1_000_000);
}
